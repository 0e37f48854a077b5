"""What is wrong, in words, and what to do now: one function for each thing that can be, the worst first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from broker.lanes import LaneState, LaneStatus
from broker.overview import Overview
from dashboard.formats import duration, number, percent
from dashboard.watch import Look
from evidence.views.follow import Progress
from evidence.views.period import Series
from replay.contracts import Tier
from replay.errors import ReplayError
from replay.topology import ROUTES, TaskName

LANE_NAMES = {"local": "local lane", "escalation": "large model's lane"}
QUEUE_OF = {
    Tier.LOCAL.value: ROUTES[TaskName.AUDIT_LOCAL].value,
    Tier.ESCALATION.value: ROUTES[TaskName.AUDIT_ESCALATION].value,
}

_LAG_S = 15.0
_FEW = 20
_MOSTLY_REJECTED = 0.1
_OFTEN_FAILED = 0.05
_ALMOST_FULL = 0.85
_MAKING = 0.98


@dataclass(frozen=True)
class Alert:
    """Something that a person should know now.

    Attributes:
        level: `bad` where work stands still or is being lost, `warn` where it will, `info` where nothing is wrong.
        what: What is so, in a sentence.
        do: What to do about it; commands stand in backticks.
        path: The page that shows more; empty where none does.
    """

    level: str
    what: str
    do: str = ""
    path: str = ""


def alerts(look: Look, progress: Progress, problem: ReplayError | None, hour: Series | None) -> tuple[Alert, ...]:
    """All that is to be said, the worst first.

    Args:
        look: At the broker.
        progress: How far the views of the evidence are.
        problem: Why they stand still; None where they do not.
        hour: The last hour of the evidence, in any steps; None where it is not known.
    """
    found = list(_said(look, progress, problem, hour))
    return tuple(sorted(found, key=lambda alert: ("bad", "warn", "info").index(alert.level)))


def _said(look: Look, progress: Progress, problem: ReplayError | None, hour: Series | None) -> Iterator[Alert]:
    if look.problem is not None:
        yield Alert("bad", sentence(look.problem.message), sentence(look.problem.hint))
    if look.system is not None:
        for lane in look.system.lanes:
            yield from _lane(lane.status, look.system)
        yield from _writer(look.system)
        yield from _rest(look.system)
    if problem is not None:
        yield Alert("bad", sentence(problem.message), sentence(problem.hint))
    elif progress.share < _MAKING:
        yield Alert(
            "info",
            f"Evidence is being read: {percent(progress.share)} so far.",
            "Runs and charts fill up by themselves.",
        )
    if hour is not None:
        yield from _outcomes(hour)


def _lane(lane: LaneStatus, system: Overview) -> Iterator[Alert]:
    name = LANE_NAMES.get(lane.lane, lane.lane)
    queue = QUEUE_OF.get(lane.lane, "")
    waiting = system.depths.waiting.get(queue, 0)
    wait = f"{number(waiting)} {_tasks(waiting)}" if waiting else "Nothing"
    again = "" if lane.seconds is None else f" It is tried again in {duration(lane.seconds)}."
    reason = f" ({lane.reason})" if lane.reason else ""
    resume = f"`replay lane resume {lane.lane}`"
    match lane.state:
        case LaneState.PAUSED if lane.seconds is None:
            yield Alert("warn", f"The {name} is paused{reason}.", f"{wait} waits there. Go on with {resume}.")
        case LaneState.PAUSED:
            yield Alert(
                "warn", f"The {name} waits: its endpoint asked for a pause{reason}.{again}", f"Or at once: {resume}."
            )
        case LaneState.BREAKER:
            yield Alert(
                "bad",
                f"The {name} stands still: its model does not answer{reason}.{again}",
                f"See that {lane.target or 'the endpoint'} runs (`replay doctor`); {resume} tries at once.",
            )
        case LaneState.QUOTA:
            yield Alert("bad", f"The account of the {name} is used up{reason}.{again}", f"Fill it up, then {resume}.")
        case LaneState.BUDGET:
            yield Alert(
                "warn" if not waiting else "bad",
                f"The {name} is out of budget{reason}.{again}",
                "Raise it with `replay lane budget set`, or wait for the next period.",
            )
        case _:
            pass
    serves = any(lane.lane in worker.role.split("+") for worker in system.workers)
    if waiting and not serves:
        yield Alert(
            "bad",
            f"{number(waiting)} {_tasks(waiting)} for the {name}, and no worker serves it.",
            f"Start one: `replay up`, or `replay worker {lane.lane}`.",
        )


def _writer(system: Overview) -> Iterator[Alert]:
    depths = system.depths
    writes = any(worker.role == "writer" and not worker.state for worker in system.workers)
    if depths.evidence and not writes:
        yield Alert(
            "bad",
            f"{number(depths.evidence)} records of evidence wait, and no writer takes them.",
            "Start one with `replay up` or `replay worker writer`; a full disk stops it, see `replay doctor`.",
        )
    elif depths.evidence_lag_s > _LAG_S:
        yield Alert(
            "warn",
            f"Evidence is {duration(depths.evidence_lag_s)} behind: {number(depths.evidence)} records wait.",
            "See its disk, and the writer's log. Lanes stop by themselves when too many wait.",
        )


def _rest(system: Overview) -> Iterator[Alert]:
    depths = system.depths
    if depths.dead:
        letters = "1 message" if depths.dead == 1 else f"{number(depths.dead)} messages"
        yield Alert("warn", f"{letters} could not be run.", "See why, then requeue or discard.", "/dead")
    work = sum(depths.waiting.values()) + sum(depths.in_flight.values())
    if work and not any(worker.role == "scheduler" for worker in system.workers):
        yield Alert(
            "warn",
            "No scheduler runs: what the broker loses is not brought back.",
            "Start it: `replay worker scheduler`.",
        )
    server = system.server
    if server.memory_limit_bytes and server.memory_bytes > _ALMOST_FULL * server.memory_limit_bytes:
        share = percent(server.memory_bytes / server.memory_limit_bytes)
        yield Alert(
            "warn", f"The broker's memory is {share} full.", "Raise `maxmemory`, or let the queues drain first."
        )


def _outcomes(hour: Series) -> Iterator[Alert]:
    local = hour.whole(Tier.LOCAL)
    if local.judged >= _FEW and local.accepted < _MOSTLY_REJECTED * local.judged:
        yield Alert(
            "warn",
            f"The gate rejected {percent(1 - local.accepted / local.judged)} of the local answers of the last hour.",
            "See which rules object, and examples.",
            "/gate",
        )
    whole = hour.whole()
    if whole.ended >= _FEW and whole.failed > _OFTEN_FAILED * whole.ended:
        yield Alert(
            "bad",
            f"{percent(whole.failed / whole.ended)} of the last hour's runs failed, {number(whole.failed)} in all.",
            "See what they say.",
            "/runs?state=failed",
        )


def _tasks(count: int) -> str:
    return "task waits" if count == 1 else "tasks wait"


def sentence(text: str) -> str:
    """A message with a capital and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".") if text else ""
