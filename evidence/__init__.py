"""The append-only evidence log: format, durable writes, reading, verification and its derived index."""
