"""Names on the wire: queues, tasks and streams.

Stable strings, never derived from module paths: a rename of a module must not orphan a message that waits in a queue.
"""

from __future__ import annotations

from enum import StrEnum


class Queue(StrEnum):
    """Broker lists that hold work."""

    LOCAL = "replay.local"
    ESCALATION = "replay.escalation"
    DEAD = "replay.dead"


class TaskName(StrEnum):
    """Celery task names."""

    AUDIT_LOCAL = "replay.audit_local"
    AUDIT_ESCALATION = "replay.audit_escalation"


ROUTES: dict[TaskName, Queue] = {
    TaskName.AUDIT_LOCAL: Queue.LOCAL,
    TaskName.AUDIT_ESCALATION: Queue.ESCALATION,
}

EVIDENCE_STREAM = "replay.evidence"
WRITER_GROUP = "replay.writer"
HEARTBEATS = "replay.workers"
STARTS = "replay.starts"
CANCELLED = "replay.cancelled"
PAUSED = "replay.paused"
METERS = "replay.meters"
