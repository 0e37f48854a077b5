"""The monitoring web page: reads only."""
