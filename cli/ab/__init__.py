"""`replay ab`: the local model with evidence, from memory, and no model, side by side."""
