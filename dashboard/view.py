"""What the page shows, as one value: read from the broker and the evidence index, never from workers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from redis.exceptions import RedisError

from broker import heartbeat, queues
from broker.connection import connect
from evidence.reader import EvidenceReader
from evidence.row import Row
from replay.errors import ReplayError
from replay.settings import Settings

RECENT = 25


@dataclass(frozen=True)
class View:
    """One look at the system.

    Attributes:
        at: When it was taken, UTC.
        broker_problem: Why the queues are unknown; empty when they are known.
        queues: Depths, see `broker.queues.Depths`; empty when unknown.
        workers: Workers that gave a sign of life.
        recent: The last evidence records, newest first.
    """

    at: str
    broker_problem: str
    queues: dict[str, Any]
    workers: tuple[heartbeat.Heartbeat, ...]
    recent: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


def look(settings: Settings) -> View:
    """Take one look; why the broker cannot be asked is shown, not raised."""
    problem = ""
    depths: dict[str, Any] = {}
    workers: tuple[heartbeat.Heartbeat, ...] = ()
    try:
        with connect(settings, patience=0) as broker:
            depths = asdict(queues.depths(broker))
            workers = tuple(heartbeat.alive(broker))
    except ReplayError as error:
        problem = f"{error.message.rstrip('.')}. {error.hint}"
    except RedisError as error:
        problem = f"the broker answers, but not to everything: {error}"
    recent = tuple(reversed(EvidenceReader(settings.evidence_log).tail(RECENT)))
    return View(datetime.now(UTC).isoformat(timespec="seconds"), problem, depths, workers, recent)
