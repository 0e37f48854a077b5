"""Review: what a person says of runs that the gate rejected, or whose answer is unsure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute

from dashboard.acting import Counter, Form
from dashboard.actions import Actions, Done
from dashboard.desk import Desk, whole
from evidence import reviews
from evidence.reader import EvidenceReader
from evidence.reviews import Case, Decision
from evidence.row import REVIEW_SCHEMA
from evidence.views import notes, runs
from evidence.views.gather import REVIEW
from evidence.views.notes import Note
from evidence.views.runs import RunFilter, RunRow
from evidence.views.schema import reading
from replay.contracts import ReplayRun, Ruling
from replay.errors import InputError

PAGE = 25
_LAST = 1 << 53


@dataclass(frozen=True)
class Waiting:
    """A page of what waits for a person.

    Attributes:
        rows: Runs, newest first.
        waiting: How many wait in all.
        newer: Address of the page before; empty where there is none.
        older: Of the page after.
    """

    rows: tuple[RunRow, ...]
    waiting: int
    newer: str
    older: str


@dataclass(frozen=True)
class Said:
    """A page of what was said, newest first."""

    notes: tuple[Note, ...]
    waiting: int
    older: str


@dataclass(frozen=True)
class CaseView:
    """A run to be reviewed.

    Attributes:
        run: The record that ended it.
        seq: Its place in the log.
        hash: Its hash in the chain.
        answer: What the answer says; None where there is none.
        no_admission: Why it cannot be admitted to the corpus; empty where it can.
        reviews: What was said so far, oldest first.
        cited: Ids of the evidence lines that the answer cites.
    """

    run: dict[str, Any]
    seq: int
    hash: str
    answer: str | None
    no_admission: str
    reviews: tuple[dict[str, Any], ...]
    cited: tuple[str, ...]


def routes(desk: Desk, counter: Counter) -> list[BaseRoute]:
    """What waits, what was said, one run, and the action on it."""

    def count() -> int:
        # As fresh as the views are: it stands on every page, and none of them waits for it.
        with reading(desk.settings.evidence_log) as db:
            return runs.totals(db)[REVIEW] if db is not None else 0

    def waiting(request: Request) -> Waiting:
        place = {
            name: whole(request, name, 0, most=_LAST) for name in ("before", "after") if name in request.query_params
        }
        with desk.views() as db:
            if db is None:
                return Waiting((), 0, "", "")
            page = runs.page(db, RunFilter(review="waiting"), limit=PAGE, **place)
            total = runs.totals(db)[REVIEW]
        newer = f"/review?after={page.newer}" if page.newer is not None else ""
        older = f"/review?before={page.older}" if page.older is not None else ""
        return Waiting(page.rows, total, newer, older)

    def said(request: Request) -> Said:
        before = whole(request, "before", _LAST, most=_LAST)
        with desk.views() as db:
            if db is None:
                return Said((), 0, "")
            found = notes.page(db, REVIEW_SCHEMA, before=before, limit=PAGE)
            total = runs.totals(db)[REVIEW]
        older = f"/reviewed?before={found[-1].seq}" if len(found) == PAGE else ""
        return Said(tuple(found), total, older)

    def one(request: Request) -> CaseView:
        return _view(reviews.case(EvidenceReader(desk.settings.evidence_log), request.path_params["run_id"]))

    desk.badges["/review"] = count
    return [
        *desk.view("/review", "pages/review.html", waiting),
        *desk.view("/reviewed", "pages/reviewed.html", said),
        counter.route("/review/{run_id}", _review, back=lambda _: "/review"),
        *desk.view("/review/{run_id}", "pages/review_run.html", one),
    ]


def _view(case: Case) -> CaseView:
    return CaseView(
        run=case.run.wire(),
        seq=case.end.chain.seq,
        hash=case.end.chain.hash,
        answer=case.answer.value if case.answer is not None else None,
        no_admission=case.cannot_be_admitted,
        reviews=tuple(review.wire() for review in case.reviews),
        cited=_cited(case.run),
    )


def _cited(run: ReplayRun) -> tuple[str, ...]:
    answer = run.attempt.answer if run.attempt is not None else None
    findings = answer.findings if answer is not None else ()
    return tuple(cite.line_id for finding in findings for cite in finding.cites if cite.line_id is not None)


def _review(actions: Actions, request: Request, form: Form, who: str) -> Done:
    return actions.review(
        request.path_params["run_id"],
        _decision(form),
        note=form.get("note", ""),
        verdict=_verdict(form),
        admit=form.get("admit") == "on",
        who=who,
    )


def _decision(form: Form) -> Decision:
    match form.get("decision"):
        case "accept":
            return "accept"
        case "reject":
            return "reject"
        case _:
            raise InputError("a review accepts or rejects", hint="Send decision=accept or decision=reject.")


def _verdict(form: Form) -> Ruling | None:
    given = form.get("verdict", "")
    try:
        return Ruling(given) if given else None
    except ValueError:
        raise InputError("there is no such verdict", hint=f"Verdicts: {', '.join(Ruling)}.") from None
