"""Everything that speaks Redis: connection, embedded server, envelopes, the evidence stream, leases and queue depths."""
