"""Is the index of the evidence in step with the log, and are runs waiting that nobody will find?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from evidence.index import index_path, indexed_head, open_read_only
from evidence.reader import EvidenceReader
from replay.settings import Settings
from stack.finding import Finding, ok, warn

# What one batch of the writer may be: written, and not yet indexed.
_IN_STEP = 64 * 1024 * 1024


def index(settings: Settings) -> Iterator[Finding]:
    """Does the index know as much as the log holds?

    Raises:
        EvidenceDamaged: The list of closed segments is not what was written.
    """
    log = settings.evidence_log
    end = EvidenceReader(log).end()
    if not end:
        yield ok("evidence index", "the log is not begun")
        return
    db = open_read_only(log)
    if db is None:
        mend = "Start the writer: it makes it from the log. Until then every question reads the whole log."
        yield warn("evidence index", f"{index_path(log)} is missing, damaged or of another version", mend)
        return
    with closing(db):
        head = indexed_head(db)
    # The log was looked at first, so while a writer runs the index is at most ahead.
    behind = end - head.end
    if behind > _IN_STEP or (behind > 0 and not _is_written(settings)):
        mend = "Start the writer: it catches up when it opens the log."
        yield warn("evidence index", f"{behind:,} bytes behind the log", mend)
    elif behind < 0 and EvidenceReader(log).end() < head.end:
        mend = "The log is shorter than the index knows it: `replay evidence verify`, and look for a backup."
        yield warn("evidence index", f"{-behind:,} bytes ahead of the log", mend)
    else:
        yield ok("evidence index", f"in step, {head.seq:,} records")


def _is_written(settings: Settings) -> bool:
    """Is the log growing just now? Then the index may be one batch behind."""
    reader = EvidenceReader(settings.evidence_log)
    db = open_read_only(settings.evidence_log)
    if db is None:
        return False
    with closing(db):
        return indexed_head(db).end >= reader.end()
