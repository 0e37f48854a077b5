"""The append-only evidence log: its format, durable writes, the one writer, readers, verification and a derived index.

Files of a log `runs.jsonl`, and what losing each of them means:

- `runs.jsonl`                the newest evidence itself; losing it is losing that.
- `runs.segments/`            the evidence before, in closed files, and the manifest that names them; as above.
- `runs.checkpoints.jsonl`    what the log was at earlier times; without it nobody notices that the log was put back.
- `runs.jsonl.lock`           who writes; may be deleted while no writer runs.
- `runs.jsonl.index.sqlite`   derived; may be deleted while no writer runs, the next writer builds it again.
- `runs.jsonl.views.sqlite`   derived, for people; may be deleted at any time, the dashboard builds it again.
- `runs.jsonl.torn-OFFSET`    bytes that a crash left behind and recovery cut off; nobody reads them but people.
"""
