"""The whole local system as supervised processes."""
