"""The running system as the overview shows it: each lane with its queue, the evidence's way to the log, the workers."""

from __future__ import annotations

from dataclasses import dataclass

from broker.heartbeat import Heartbeat
from broker.limits.snapshot import LaneSnapshot
from broker.overview import Overview
from dashboard.alerts import QUEUE_OF
from dashboard.watch import Pace, Watch

_TITLES = {"local": "Local lane", "escalation": "Large model's lane"}


@dataclass(frozen=True)
class Lane:
    """A lane and its queue. Rates are a second, None where they are not known (yet).

    Attributes:
        state: `open`, or why its workers take nothing: see `broker.lanes.LaneState`; `no worker` where none serves it.
        waiting: Tasks in the queue; `oldest_s` is for how long the next one has waited.
        in_flight: Tasks in work, of `most` where there is a limit.
        slots: Tasks that its workers work on at once, all together.
        eta_s: Until nothing is left at this pace.
        spent: What is spent of its budget, in words.
    """

    lane: str
    title: str
    state: str
    reason: str
    again_s: float | None
    target: str
    waiting: int
    oldest_s: float | None
    in_flight: int
    most: float | None
    workers: int
    slots: int
    taken: float | None
    came: float | None
    eta_s: float | None
    grows: bool
    spent: tuple[str, ...]


@dataclass(frozen=True)
class Way:
    """Evidence on its way to the log."""

    waiting: int
    lag_s: float
    writer: str
    standby: int


@dataclass(frozen=True)
class System:
    """All of it.

    Attributes:
        broker: Name and version.
        memory_bytes: What its data takes.
        endpoints: Endpoints that are not asked, with the reason.
    """

    lanes: tuple[Lane, ...]
    evidence: Way
    dead: int
    workers: tuple[Heartbeat, ...]
    endpoints: dict[str, str]
    broker: str
    memory_bytes: int
    at: float

    @property
    def left(self) -> int:
        """Tasks that wait or are in work."""
        return sum(lane.waiting + lane.in_flight for lane in self.lanes)

    @property
    def eta_s(self) -> float | None:
        """Until every lane is empty; None where one does not know."""
        etas = [lane.eta_s for lane in self.lanes if lane.waiting or lane.in_flight]
        return max((eta for eta in etas if eta is not None), default=None) if None not in etas else None


def system(seen: Overview, watch: Watch) -> System:
    """The system of one look."""
    paces = watch.paces()
    writers = [worker for worker in seen.workers if worker.role == "writer"]
    return System(
        lanes=tuple(_lane(one, seen, paces.get(QUEUE_OF[one.status.lane], Pace())) for one in seen.lanes),
        evidence=Way(
            seen.depths.evidence,
            seen.depths.evidence_lag_s,
            next((worker.worker for worker in writers if not worker.state), ""),
            sum(bool(worker.state) for worker in writers),
        ),
        dead=seen.depths.dead,
        workers=seen.workers,
        endpoints=seen.endpoints,
        broker=seen.server.version,
        memory_bytes=seen.server.memory_bytes,
        at=seen.at,
    )


def _lane(one: LaneSnapshot, seen: Overview, pace: Pace) -> Lane:
    status, queue = one.status, QUEUE_OF[one.status.lane]
    serving = [worker for worker in seen.workers if status.lane in worker.role.split("+")]
    waiting = seen.depths.waiting.get(queue, 0)
    in_flight = seen.depths.in_flight.get(queue, 0)
    state = status.state.value
    if state == "open" and not serving:
        state = "no worker"
    spent = [
        f"{use} {name}"
        for use, name in ((one.budget.calls, "calls"), (one.budget.tokens, "tokens"), (one.budget.money, "spent"))
        if use.limit is not None
    ]
    return Lane(
        lane=status.lane,
        title=_TITLES.get(status.lane, status.lane),
        state=state,
        reason=status.reason,
        again_s=status.seconds,
        target=status.target,
        waiting=waiting,
        oldest_s=seen.depths.oldest_waiting_s.get(queue),
        in_flight=in_flight,
        most=one.in_flight.limit,
        workers=len(serving),
        slots=sum(worker.concurrency for worker in serving),
        taken=pace.taken,
        came=pace.came,
        eta_s=pace.eta_s(waiting + in_flight),
        grows=pace.grows and waiting > 0,
        spent=tuple(spent),
    )
