"""The corpus: records, sources, exact indexes and retrieval."""
