"""Runs of the evidence as commands name and read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from cli.output.reading_bar import ReadingBar
from evidence import telling
from evidence.reader import Entry, EvidenceReader
from producer import manifest
from replay.contracts import ReplayRun
from replay.errors import EvidenceError, InputError
from replay.settings import Settings
from replay.study.visible import one_line

_SCHEMA = "replay_run.v1"
_MOST_NAMED = 8
_LOOKED_BACK = 1000


@dataclass
class Aside:
    """What a pass over the evidence left aside.

    Attributes:
        others: Records that are no runs: dead letters, conflicts, recoveries.
        unreadable: Runs of a form that this version does not read.
    """

    others: int = 0
    unreadable: int = 0

    def told(self) -> str:
        """In words; empty where nothing was left aside."""
        parts = [f"{self.others} records that are no runs"] if self.others else []
        parts += [f"{self.unreadable} runs that this version cannot read"] if self.unreadable else []
        return "left aside: " + ", ".join(parts) if parts else ""


def reader(settings: Settings) -> EvidenceReader:
    """The evidence.

    Raises:
        InputError: There is none.
    """
    path = settings.evidence_log
    if not path.exists():
        raise InputError(f"there is no evidence log at {path}", hint="It begins with the first task: replay quickstart")
    return EvidenceReader(path)


def runs(
    evidence: EvidenceReader, batch_id: str | None, aside: Aside, *, streaming: bool = False
) -> Iterator[ReplayRun]:
    """Every run of the log, or of one batch of it, in its order and one at a time.

    Args:
        evidence: Where they are.
        batch_id: None is every batch.
        aside: Counts what is left aside.
        streaming: The caller prints results meanwhile.
    """
    last = evidence.tail(1)
    with ReadingBar("reading evidence", last[0].seq if last else None, streaming=streaming) as bar:
        for entry in evidence.iterate():
            bar.advance()
            if entry.record.get("schema") != _SCHEMA:
                aside.others += 1
            elif batch_id is None or entry.record.get("batch_id") == batch_id:
                try:
                    run = ReplayRun.model_validate(entry.record)
                except ValidationError:
                    aside.unreadable += 1
                    continue
                yield run


def batch_of(evidence: EvidenceReader, settings: Settings, name: str | None) -> str:
    """The id of a batch by its id or an unambiguous beginning; None is the newest.

    Raises:
        InputError: There is none, or there are several.
    """
    known = manifest.known(settings.batches_dir)
    if name is None:
        # A log may have come here without its batches.
        seen = (row.batch_id for row in reversed(evidence.tail(_LOOKED_BACK)) if row.batch_id)
        newest = next(iter(known), None) or next(seen, None)
        if newest is None:
            raise InputError("there is no batch in the evidence", hint="Submit one: replay submit FILE")
        return newest
    if name in known or any(evidence.batch_counts(name).values()):
        return name
    fitting = [batch for batch in known if batch.removeprefix("batch_").startswith(name.removeprefix("batch_"))]
    if len(fitting) == 1:
        return fitting[0]
    what = f"{len(fitting)} batches begin" if fitting else "no batch begins"
    raise InputError(f"{what} with {name!r}", hint=f"The newest are: {', '.join(known[:5]) or 'none'}.")


def find(evidence: EvidenceReader, name: str) -> list[ReplayRun]:
    """Everything about one run, in the order of the log.

    Args:
        evidence: Where to look.
        name: Of the run: its id, an attempt's id, its custom id, or an unambiguous beginning of one of them. An
            attempt's name gives that attempt alone. What is no whole id takes a pass over the log.

    Raises:
        InputError: There is none, there are several, or it is no run.
        EvidenceError: It is of a form that this version does not read.
    """
    if entries := evidence.run(name):
        # What was said and decided of a run afterwards goes by its name too.
        return [_read(entry) for entry in entries if entry.record.get("schema") == _SCHEMA] or [_read(entries[0])]
    if entry := evidence.get(name):
        return [_read(entry)]
    found = _going_by(evidence, name)
    if len(found) == 1:
        return find(evidence, next(iter(found)))
    if not found:
        raise InputError(f"there is no evidence of {name!r}", hint="`replay evidence tail` lists ids.")
    several = ", ".join(f"{key} ({what})" for key, what in list(found.items())[:_MOST_NAMED])
    count = f"more than {_MOST_NAMED}" if len(found) > _MOST_NAMED else len(found)
    raise InputError(f"{count} runs go by {name!r}", hint=f"Name one by its id: {several}")


def _going_by(evidence: EvidenceReader, name: str) -> dict[str, str]:
    """Ids of runs with this custom id, or else of runs and attempts with this beginning; each with what it is of."""
    exact: dict[str, str] = {}
    begun: dict[str, str] = {}
    last = evidence.tail(1)
    with ReadingBar("looking for it", last[0].seq if last else None) as bar:
        for entry in evidence.iterate():
            bar.advance()
            record = entry.record
            if record.get("schema") != _SCHEMA:
                continue
            run_id, record_id, custom_id = (str(record.get(field)) for field in ("run_id", "id", "custom_id"))
            what = f"{custom_id} of {record.get('batch_id')}"
            if custom_id == name:
                _keep(exact, run_id, what)
            elif custom_id.startswith(name) or run_id.removeprefix("run_").startswith(name.removeprefix("run_")):
                _keep(begun, run_id, what)
            elif record_id.removeprefix("att_").startswith(name.removeprefix("att_")):
                _keep(begun, record_id, what)
    return exact or begun


def _keep(found: dict[str, str], key: str, what: str) -> None:
    if len(found) <= _MOST_NAMED:
        found.setdefault(key, one_line(what, 120))


def _read(entry: Entry) -> ReplayRun:
    if entry.record.get("schema") != _SCHEMA:
        raise InputError(
            f"{entry.record['id']} is no run: {telling.in_words(entry.record)}",
            hint=f"Look at it: replay evidence show {entry.record['id']}",
        )
    try:
        return ReplayRun.model_validate(entry.record)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise EvidenceError(
            f"record {entry.chain.seq} is of a form that this version does not read: {where}",
            hint="It was written by another version of Replay; read it with that one.",
        ) from error
