"""The `replay` command: the composition root; it may import everybody, nobody imports it."""
