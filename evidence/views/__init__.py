"""A second database beside the log, derived and rebuildable: what people ask of a million runs, ready to be read.

The index (`evidence.index`) tells the writer what it has; it must be quick to write and has few columns. Nobody waits
for these views: who wants them fresh follows the log (`follow.catch_up`), one process at a time, and everybody reads.

- `follow.catch_up(log, budget_s=…) -> Progress`      bring them up to date, or nearer to it
- `schema.reading(log)` (context manager)              a read-only connection, or None where there are none yet
- `runs.page(db, RunFilter(…), before=…, after=…)`     runs, newest first, searched and filtered; `runs.get(db, run_id)`
- `runs.choices(db)`, `runs.totals(db)`                what can be filtered by; how many runs stand in each state
- `period.series(db, since, until, step_s)`            attempts, tokens and latencies over time, by tier
- `period.objections(db, since, until)`                which rules rejected how often; `objections_over` over time
- `uses.page(db, …)`, `uses.of(db, record_ids)`        how often each record of the corpus was retrieved, cited, passed
- `batches.of(db, batch_ids)`, `batches.latest(db, …)` totals of batches
- `notes.page(db, schema, …)`, `notes.about(db, run)`  records that are no runs: actions, reviews, conflicts, recoveries

Losing the file loses nothing; it is made again from the log.
"""
