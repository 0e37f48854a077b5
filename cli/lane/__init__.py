"""`replay lane`: whether the tiers run, and on what budget."""
