"""A run told whole: task, bundle, each attempt laid open, its prompt rebuilt and checked, its place in the chain."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ValidationError

from evidence.reader import Entry, EvidenceReader
from evidence.row import RUN_SCHEMA
from evidence.views.notes import Note
from replay import prompting
from replay.contracts import Bundle, Hit, Reason, ReplayRun, ReplayTask, Tier
from replay.prompting import Prompt, PromptLimits
from replay.study.explaining import Explanation, explain

SHOWN_PROMPT = 60_000


@dataclass(frozen=True)
class Told:
    """One record of the run.

    Attributes:
        entry: As the log holds it.
        run: The same, read; None where it is of another version, and `unreadable` says so.
        explanation: The answer laid open.
        prompt: What the model was sent; None where there was no attempt.
        prompt_holds: It has the hash that the attempt recorded.
    """

    entry: Entry
    run: ReplayRun | None
    unreadable: str
    explanation: Explanation | None
    prompt: Prompt | None
    prompt_holds: bool

    def wire(self) -> dict[str, Any]:
        """For JSON: the record as it stands in the log, its chain, and what is made of it."""
        return {
            "record": self.entry.record,
            "chain": self.entry.chain._asdict(),
            "explanation": self.explanation.wire() if self.explanation else None,
            "prompt": {"messages": self.prompt.messages, "hash": self.prompt.hash} if self.prompt else None,
            "prompt_holds": self.prompt_holds,
        }


@dataclass(frozen=True)
class View:
    """A run.

    Attributes:
        records: Its records, in the order of the log.
        last: The last one that could be read.
        notes: What people said of it.
    """

    run_id: str
    records: tuple[Told, ...]
    notes: tuple[Note, ...]

    @property
    def last(self) -> ReplayRun | None:
        """What the run is now."""
        return next((told.run for told in reversed(self.records) if told.run is not None), None)

    @property
    def hits(self) -> tuple[tuple[str, Hit], ...]:
        """What retrieval gave, each with the part of the bundle that it is of."""
        bundle = self.last.bundle if self.last else Bundle()
        return (*(("playbook", hit) for hit in bundle.playbook), *(("source", hit) for hit in bundle.passages))

    @property
    def anchors(self) -> dict[str, str]:
        """By record id, the anchor on the page."""
        return {hit.record.record_id: f"record-{number}" for number, (_, hit) in enumerate(self.hits, start=1)}

    @property
    def cited(self) -> frozenset[str]:
        """Records that an answer cites."""
        answers = [told.run.attempt.answer for told in self.records if told.run and told.run.attempt]
        return frozenset(cite.record_id for one in answers if one for finding in one.findings for cite in finding.cites)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "run_id": self.run_id,
            "records": [told.wire() for told in self.records],
            "notes": [asdict(note) for note in self.notes],
        }


def tell(reader: EvidenceReader, run_id: str, notes: tuple[Note, ...], limits: PromptLimits) -> View | None:
    """Read a run from the log; None where it has no evidence.

    Raises:
        EvidenceDamaged: Another record stands where the index says.
    """
    entries = [entry for entry in reader.run(run_id) if entry.record.get("schema") == RUN_SCHEMA]
    if not entries:
        return None
    told: list[Told] = []
    for entry in entries:
        told.append(_told(entry, told[-1].run if told else None, limits))
    return View(run_id, tuple(told), notes)


def _told(entry: Entry, before: ReplayRun | None, limits: PromptLimits) -> Told:
    try:
        run = ReplayRun.model_validate(entry.record)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return Told(entry, None, f"{place}: {first['msg']}", None, None, prompt_holds=False)
    prompt = None
    if run.attempt is not None:
        prompt = _prompt(run.task, run.bundle, _reasons(run, before), limits)
    holds = prompt is not None and run.attempt is not None and prompt.hash == run.attempt.prompt_hash
    return Told(entry, run, "", explain(run), prompt, holds)


def _reasons(run: ReplayRun, before: ReplayRun | None) -> tuple[Reason, ...]:
    """What the gate held against the answer before, which the large model is told."""
    if run.attempt is None or run.attempt.tier is not Tier.ESCALATION or before is None or before.attempt is None:
        return ()
    return before.attempt.verdict.reasons if before.attempt.verdict else ()


def _prompt(task: ReplayTask, bundle: Bundle, reasons: tuple[Reason, ...], limits: PromptLimits) -> Prompt | None:
    try:
        return prompting.build(task, bundle, reasons, limits)
    except (KeyError, ValueError):
        # A bundle that names records which it does not hold: no prompt of ours was made of it.
        return None
