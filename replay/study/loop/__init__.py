"""The study of the loop: does what was accepted make the next answers better? Pure; `cli/study/loop.py` runs it."""
