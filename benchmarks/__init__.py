"""Measurements of this machine, each beside a named baseline that was measured in the same run: `make bench`."""
