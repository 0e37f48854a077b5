"""Records of the evidence that are no runs, in words: what they are, who did it, and about what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from replay.corpus.oneline import one_line

Record = Mapping[str, Any]

_ACTS = {
    "dead.requeue": "dead letter requeued",
    "dead.discard": "dead letter discarded",
    "lane.pause": "lane paused",
    "lane.resume": "lane resumed",
    "lane.budget.set": "budget set",
    "lane.budget.unset": "budget taken back",
    "lane.budget.reset": "budget counted anew",
    "batch.cancel": "batch cancelled",
    "batch.pause": "batch paused",
    "batch.resume": "batch resumed",
    "batch.retry": "batch retried",
}
_CONFLICTS = {"same_id": "another record of the same id", "second_end": "a second end of one run"}


def kind(record: Record) -> str:
    """What a record that is no run is, in a word or two."""
    return _told(record)[0]


def in_words(record: Record) -> str:
    """The same in a sentence without an end: `lane paused by ada@host: escalation, budget review`."""
    what, by, about = _told(record)
    return what + (f" by {by}" if by else "") + (f": {about}" if about else "")


def about(record: Record) -> str:
    """Who did it, and about what."""
    _, by, of_what = _told(record)
    return ": ".join(part for part in (f"by {by}" if by else "", of_what) if part)


def _told(record: Record) -> tuple[str, str, str]:
    """What it is, by whom, and about what. A record may hold anything: what is no text is left out."""
    teller = _TELLERS.get(_text(record, "schema"))
    if teller is None:
        return f"record of the kind {_text(record, 'schema') or 'unknown'}", "", ""
    return teller(record)


def _action(record: Record) -> tuple[str, str, str]:
    act = _text(record, "action")
    place = next(filter(None, (_text(record, name) for name in ("lane", "batch_id", "run_id", "letter_id"))), "")
    detail = _text(record, "detail") or _text(record, "cause")
    return _ACTS.get(act, act or "action"), _text(record, "who"), ", ".join(filter(None, (place, detail)))


def _review(record: Record) -> tuple[str, str, str]:
    decision = {"accept": "accepted", "reject": "rejected"}.get(_text(record, "decision"), "made")
    said = ", ".join(filter(None, (_text(record, "custom_id"), _text(record, "note"))))
    return f"review: {decision}", _text(record, "who"), said


def _admission(record: Record) -> tuple[str, str, str]:
    said = ", ".join(filter(None, (_text(record, "custom_id"), _text(record, "why"))))
    return f"corpus: {_text(record, 'decision') or 'decided'}", _text(record, "who"), said


def _dead(record: Record) -> tuple[str, str, str]:
    return "dead letter", "", ", ".join(filter(None, (_text(record, "queue"), _text(record, "cause"))))


def _conflict(record: Record) -> tuple[str, str, str]:
    what = _CONFLICTS.get(_text(record, "kind"), _text(record, "kind"))
    return "conflict", "", f"{what}, kept beside {_text(record, 'first_id')}"


def _recovery(record: Record) -> tuple[str, str, str]:
    return "log recovered", "", f"{record.get('length', '?')} bytes of a torn end cut off"


def _loss(record: Record) -> tuple[str, str, str]:
    return "loss accepted", _text(record, "who"), _text(record, "reason")


def _writer(record: Record) -> tuple[str, str, str]:
    return "writer began", "", f"{_text(record, 'host')}, pid {record.get('pid', '?')}"


_TELLERS: dict[str, Callable[[Record], tuple[str, str, str]]] = {
    "replay_action.v1": _action,
    "replay_review.v1": _review,
    "replay_admission.v1": _admission,
    "replay_dead.v1": _dead,
    "replay_conflict.v1": _conflict,
    "replay_recovery.v1": _recovery,
    "replay_loss.v1": _loss,
    "replay_writer.v1": _writer,
}


def _text(record: Record, name: str) -> str:
    value = record.get(name)
    return one_line(value) if isinstance(value, str) else ""
