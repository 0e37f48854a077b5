"""`replay study`: what the evidence says of gates and of the loop."""
