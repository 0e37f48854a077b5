"""`replay evidence`: the log, read, proved and taken elsewhere."""
