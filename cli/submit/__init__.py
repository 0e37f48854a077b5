"""`replay submit`: tasks in."""
