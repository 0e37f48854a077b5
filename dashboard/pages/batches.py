"""Batches: how far each is, by whom it was answered, when it will be done; and what an operator can do to it."""

from __future__ import annotations

import re
import sqlite3
import time
from collections import Counter as Counts
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from dashboard.acting import Counter, Form
from dashboard.actions import Actions, BatchHead, Books, Done
from dashboard.desk import Desk, not_found, whole
from dashboard.pace import WINDOW_S, Pace
from evidence.views import batches, runs
from evidence.views.batches import BatchSum
from evidence.views.runs import RunFilter
from replay.contracts import TERMINAL, State

PAGE = 25
_LOOKED_AT = 500
_ENDS = tuple(state.value for state in State if state in TERMINAL)
_CHUNK = 64 * 1024
_TYPES = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


@dataclass(frozen=True)
class BatchView:
    """A batch, and how far it is.

    Attributes:
        head: What was accepted.
        sum: What its evidence comes to, runs in whose place others stand left out; None before there is any.
        state: `waiting`, `running`, `paused`, `cancelled` (and not yet over), `done`; or `damaged`: see its problem.
        done: Tasks that have ended, each once.
        per_s: Ends in a second, lately; None before there is a rate, and of what does not go on.
        eta_s: Seconds to its end at that rate.
    """

    head: BatchHead
    sum: BatchSum | None
    state: str
    done: int
    per_s: float | None
    eta_s: float | None


@dataclass(frozen=True)
class BatchesView:
    """A page of batches, the newest first."""

    batches: tuple[BatchView, ...]
    page: int
    total: int
    newer: str
    older: str


@dataclass(frozen=True)
class OneBatch:
    """One batch in full.

    Attributes:
        batch: How far it is.
        rules: Which rules of the gate objected to how many of its runs, the most frequent first.
        looked_at: Of how many of its newest runs that is counted.
    """

    batch: BatchView
    rules: tuple[tuple[str, int], ...]
    looked_at: int


def routes(desk: Desk, books: Books, counter: Counter) -> list[BaseRoute]:
    """The list, one batch, its results, and the actions on it."""
    pace = Pace()

    def take(request: Request) -> BatchesView:
        number = whole(request, "page", 1, most=1_000_000)
        heads, total = books.batches((number - 1) * PAGE, PAGE)
        with desk.views() as db:
            sums = _sums(db, heads, books)
        shown = tuple(_view(head, sums.get(head.batch_id), pace) for head in heads)
        newer = f"/batches?page={number - 1}" if number > 1 else ""
        older = f"/batches?page={number + 1}" if number * PAGE < total else ""
        return BatchesView(shown, number, total, newer, older)

    def take_one(request: Request) -> OneBatch:
        head = books.batch(request.path_params["batch_id"])
        with desk.views() as db:
            found = _sums(db, [head], books).get(head.batch_id)
            newest = runs.page(db, RunFilter(batch=head.batch_id), limit=_LOOKED_AT).rows if db is not None else ()
        rules = Counts(rule for run in newest for rule in run.rules)
        return OneBatch(_view(head, found, pace), tuple(rules.most_common(20)), len(newest))

    def download(request: Request) -> Response:
        form = request.path_params["form"]
        if form not in _TYPES:
            raise not_found("Results are there as jsonl and csv.")
        head = books.batch(request.path_params["batch_id"])
        lines = books.results(head.batch_id, form)
        name = re.sub(r"[^A-Za-z0-9_-]", "_", head.batch_id)
        headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"', "Content-Type": _TYPES[form]}
        return StreamingResponse(_chunks(lines), headers=headers)

    def back(request: Request) -> str:
        return f"/batches/{request.path_params['batch_id']}"

    return [
        *desk.view("/batches", "pages/batches.html", take),
        Route("/batches/{batch_id}/results.{form}", download),
        *(counter.route(f"/batches/{{batch_id}}/{name}", do, back=back) for name, do in _ACTIONS.items()),
        *desk.view("/batches/{batch_id}", "pages/batch.html", take_one),
    ]


def _sums(db: sqlite3.Connection | None, heads: Sequence[BatchHead], books: Books) -> dict[str, BatchSum]:
    """What the evidence of batches comes to, with each task once: without runs in whose place others stand."""
    if db is None:
        return {}
    sums = batches.of(db, [head.batch_id for head in heads])
    for head in heads:
        if head.repeated and head.batch_id in sums:
            found = sums[head.batch_id]
            before = runs.states(db, books.superseded(head.batch_id))
            ended = {state: getattr(found, state) - before.get(state, 0) for state in _ENDS}
            sums[head.batch_id] = replace(found, runs=found.runs - sum(before.values()), **ended)
    return sums


def _view(head: BatchHead, found: BatchSum | None, pace: Pace) -> BatchView:
    done = found.ended if found is not None else 0
    state = _state(head, done, found)
    if state not in {"running", "cancelled"} or found is None:
        return BatchView(head, found, state, done, None, None)
    now = time.time()
    fresh = now - found.last_at <= WINDOW_S
    per_s = pace.per_s(head.batch_id, done, max(now - _moment(head, found), 1.0) if fresh else None)
    eta_s = (head.tasks - done) / per_s if per_s else None
    return BatchView(head, found, state, done, per_s, eta_s)


def _state(head: BatchHead, done: int, found: BatchSum | None) -> str:
    if head.problem:
        return "damaged"
    if done >= head.tasks:
        return "done"
    if head.cancelled:
        return "cancelled"
    if head.paused is not None:
        return "paused"
    return "running" if found is not None else "waiting"


def _moment(head: BatchHead, found: BatchSum) -> float:
    """When it was begun: its first evidence came with the first end, so it is rather when it was accepted."""
    try:
        accepted = datetime.fromisoformat(head.created_at)
    except ValueError:
        return found.first_at
    at = (accepted if accepted.tzinfo else accepted.replace(tzinfo=UTC)).timestamp()
    # One that lay for long before a worker came is not slow for that.
    return at if 0 <= found.first_at - at < WINDOW_S else found.first_at


def _chunks(lines: Iterable[str]) -> Iterator[bytes]:
    held = bytearray()
    for line in lines:
        held += line.encode("utf-8", "replace") + b"\n"
        if len(held) >= _CHUNK:
            yield bytes(held)
            held.clear()
    yield bytes(held)


def _cancel(actions: Actions, request: Request, _form: Form, who: str) -> Done:
    return actions.cancel_batch(request.path_params["batch_id"], who)


def _pause(actions: Actions, request: Request, form: Form, who: str) -> Done:
    return actions.pause_batch(request.path_params["batch_id"], form.get("reason", ""), who)


def _resume(actions: Actions, request: Request, _form: Form, who: str) -> Done:
    return actions.resume_batch(request.path_params["batch_id"], who)


def _retry(actions: Actions, request: Request, _form: Form, who: str) -> Done:
    return actions.retry_batch(request.path_params["batch_id"], who)


_ACTIONS = {"cancel": _cancel, "pause": _pause, "resume": _resume, "retry": _retry}
