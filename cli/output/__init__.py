"""How commands speak: words, tables, progress, and files that are there when they are whole."""
