"""`replay corpus`: what retrieval finds."""
