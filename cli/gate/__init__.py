"""`replay gate`: what the gate says and why."""
