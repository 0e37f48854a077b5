"""Reviews: what a person says of a run that has ended. Each is a record of the log; nothing there is rewritten."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import ValidationError

from replay.afterwards import Review
from replay.contracts import ReplayRun, Ruling
from replay.errors import EvidenceDamaged, InputError

from .reader import Entry, EvidenceReader
from .row import REVIEW_SCHEMA, ended_run

MAX_NOTE = 4_000

Decision = Literal["accept", "reject"]


@dataclass(frozen=True)
class Case:
    """An ended run, as who reviews it needs it.

    Attributes:
        end: The record that ended it, in its place.
        run: The same, read.
        reviews: What was said of it so far, oldest first; the last one counts.
    """

    end: Entry
    run: ReplayRun
    reviews: tuple[Review, ...]

    @property
    def answer(self) -> Ruling | None:
        """What the answer says; None where there is none."""
        attempt = self.run.attempt
        return attempt.answer.verdict if attempt is not None and attempt.answer is not None else None

    @property
    def cannot_be_admitted(self) -> str:
        """Why the answer can be no exemplar of the corpus; empty where it can."""
        if self.answer is None:
            return "the run has no answer"
        if self.answer is Ruling.UNSURE:
            return "an answer that is unsure teaches nothing"
        if not self.run.task.options.retrieval:
            return "a baseline without retrieval never feeds the corpus"
        return ""


def case(reader: EvidenceReader, run_id: str) -> Case:
    """A run and what was said of it.

    Raises:
        InputError: There is no such run, or it has not ended.
        EvidenceDamaged: Its records cannot be read by this version.
    """
    entries = reader.run(run_id)
    end = next((entry for entry in entries if ended_run(entry.record) is not None), None)
    if end is None:
        what = "has not ended yet" if entries else "is in no evidence"
        raise InputError(f"run {run_id[:60]!r} {what}", hint="`replay review list` shows what waits for a review.")
    try:
        run = ReplayRun.model_validate(end.record)
        said = [entry.record for entry in entries if entry.record["schema"] == REVIEW_SCHEMA]
        return Case(end, run, tuple(Review.model_validate(record) for record in said))
    except ValidationError as error:
        raise EvidenceDamaged(
            f"the evidence of {run_id} cannot be read by this version: {error.errors()[0]['msg']}",
            hint="Was it written by a newer version of Replay? `replay evidence verify` checks the log itself.",
        ) from error


def judge(
    found: Case, decision: Decision, *, note: str, who: str, verdict: Ruling | None = None, admit: bool = False
) -> Review:
    """Make the record of a review.

    Args:
        found: What is judged.
        decision: `accept`: the answer stands. `reject`: it does not.
        note: Why.
        who: The person.
        verdict: The right one.
        admit: May the answer become an exemplar of the corpus?

    Raises:
        InputError: The parts contradict each other, or the note is empty or too long.
    """
    run = found.run
    if not note.strip() or len(note) > MAX_NOTE:
        raise InputError(f"a review needs a note of 1 to {MAX_NOTE:,} characters", hint="Say what you saw.")
    if decision == "accept" and found.answer is None:
        raise InputError(f"run {run.run_id} has no answer that could be accepted", hint="Reject it, with the verdict.")
    if decision == "accept" and verdict is not None and verdict is not found.answer:
        raise InputError(
            f"the answer says {found.answer}, and the right verdict is said to be {verdict}",
            hint="Then the answer does not stand: reject it with that verdict.",
        )
    if admit and decision == "reject":
        raise InputError("a rejected answer is not admitted to the corpus", hint="Leave the admission out.")
    if admit and found.cannot_be_admitted:
        raise InputError(f"the answer cannot be admitted: {found.cannot_be_admitted}", hint="Leave the admission out.")
    return Review(
        id=f"rev_{uuid.uuid4().hex[:24]}",
        run_id=run.run_id,
        batch_id=run.batch_id,
        custom_id=run.custom_id,
        record_id=run.id,
        record_hash=found.end.chain.hash,
        who=who,
        decision=decision,
        verdict=verdict,
        note=note,
        admit=admit,
        recorded_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
