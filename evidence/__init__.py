"""The append-only evidence log: its format, durable writes, the one writer, readers, verification and a derived index.

Files of a log `runs.jsonl`, and what losing each of them means:

- `runs.jsonl`                the evidence itself; losing it is losing everything.
- `runs.jsonl.lock`           who writes; may be deleted while no writer runs.
- `runs.jsonl.index.sqlite`   derived; may be deleted while no writer runs, the next writer builds it again.
- `runs.jsonl.torn-OFFSET`    bytes that a crash left behind and recovery cut off; nobody reads them but people.
"""
