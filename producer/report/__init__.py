"""The replay report: what was run, what came of it and what it took, of a batch, a period or all evidence.

- `scope`      which records it is about, and which stretch of the log holds them
- `figures`    what is counted, in memory that does not grow with the evidence
- `gathering`  one pass over that stretch
- `listing`    the runs that a person had better look at, one after the other
- `writing`    Markdown, or one HTML file that needs nothing else; every foreign text escaped
"""
