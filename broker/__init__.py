"""Everything that speaks Redis: connection, embedded server, envelopes, claims, the evidence stream, queue depths."""
