"""`replay batch`: batches after they were submitted."""
