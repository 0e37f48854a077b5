"""`replay schedule`: replays that recur."""
