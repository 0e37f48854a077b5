"""What came of a batch: its manifest joined with the evidence, in the order of the input."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from itertools import islice

from pydantic import ValidationError

from evidence.ledger import BatchLedger
from evidence.reader import Entry, EvidenceReader
from evidence.row import RUN_SCHEMA
from producer.manifest import Batch
from replay.contracts import TERMINAL, Answer, Bundle, Finding, ReplayRun, ReplayTask
from replay.errors import EvidenceDamaged

WAITING = "waiting"
_PAGE = 200


@dataclass(frozen=True)
class Result:
    """One task and what is known of it now.

    Attributes:
        custom_id: Its name in the input.
        task: Its text.
        state: A `State`, or `waiting` where there is no evidence yet.
        tier: Of the attempt that stands: the latest one.
        ruling: What that attempt's answer says: `pass`, `fail` or `unsure`. It counts where the state is `accepted`.
        expected: The value that the answer says the task asserts.
        found: The value that it found.
        citation: `path:line` of its first cited line; the record's id where the record has no path.
        quote: That line, verbatim.
        model: Name of the model.
        seconds: Time in retrieval, generation and gate, over all attempts; waiting in queues is not in it.
        prompt_tokens: Over all attempts.
        completion_tokens: Over all attempts.
        cached_tokens: Over all attempts.
        reasons: What the gate held against the attempt that stands, each as `rule: message`; then why it ended so, if
            the gate does not say it.
        local_rules: Rules that rejected the local answer before the large model was asked.
        run_id: For `replay evidence show`.
        reused: Has an attempt of it the generation of an earlier one, because it asked the very same question?
    """

    custom_id: str
    task: str
    state: str
    tier: str | None = None
    ruling: str | None = None
    expected: str | None = None
    found: str | None = None
    citation: str | None = None
    quote: str | None = None
    model: str | None = None
    seconds: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasons: tuple[str, ...] = ()
    local_rules: tuple[str, ...] = ()
    run_id: str = ""
    reused: bool = False


COLUMNS = tuple(field.name for field in fields(Result))


def results(batch: Batch, reader: EvidenceReader) -> Iterator[Result]:
    """Join each task of a batch with its evidence. Partial results are fine at any time.

    Raises:
        EvidenceDamaged: A record is not what was written.
    """
    standing = BatchLedger(reader, batch.batch_id).standing()
    tasks = iter(batch.tasks)
    # A page at a time: a few questions to the index for all of it, and no more held than it takes.
    while page := list(islice(tasks, _PAGE)):
        ids = [task.run_id for task in page]
        begun = reader.runs(run_id for run_id in ids if run_id in standing.ended or run_id in standing.escalated)
        found = next(begun, None)
        for task in page:
            entries: list[Entry] = []
            if found is not None and found[0] == task.run_id:
                entries = found[1]
                found = next(begun, None)
            yield result_of(task, _runs(task.run_id, entries))


def result_of(task: ReplayTask, runs: list[ReplayRun]) -> Result:
    """One task and its evidence, oldest first."""
    if not runs:
        return Result(task.custom_id, task.text, WAITING, run_id=task.run_id)
    ended = [run for run in runs if run.state in TERMINAL]
    last = ended[-1] if ended else runs[-1]
    attempts = [run.attempt for run in runs if run.attempt is not None]
    generations = [attempt.generation for attempt in attempts if attempt.generation is not None]
    attempt = last.attempt
    answer = attempt.answer if attempt is not None else None
    verdict = attempt.verdict if attempt is not None else None
    finding = _finding(answer)
    citation, quote = _citation(finding, last.bundle)
    reasons = tuple(f"{reason.rule}: {reason.message}" for reason in verdict.reasons) if verdict is not None else ()
    return Result(
        custom_id=task.custom_id,
        task=task.text,
        state=last.state.value,
        tier=attempt.tier.value if attempt is not None else None,
        ruling=answer.verdict.value if answer is not None else None,
        expected=finding.expected,
        found=finding.found,
        citation=citation,
        quote=quote,
        model=attempt.generation.model if attempt is not None and attempt.generation is not None else None,
        seconds=round(
            sum(tried.timings.retrieve_ms + tried.timings.generate_ms + tried.timings.gate_ms for tried in attempts)
            / 1000,
            3,
        ),
        prompt_tokens=sum(generation.usage.prompt_tokens or 0 for generation in generations),
        completion_tokens=sum(generation.usage.completion_tokens or 0 for generation in generations),
        cached_tokens=sum(generation.usage.cached_tokens or 0 for generation in generations),
        reasons=(*reasons, *((last.reason,) if last.reason else ())),
        local_rules=tuple(
            reason.rule
            for run in runs
            if run is not last and run.attempt is not None and run.attempt.verdict is not None
            for reason in run.attempt.verdict.reasons
        ),
        run_id=task.run_id,
        reused=any(tried.reused is not None for tried in attempts),
    )


def to_jsonl(rows: Iterable[Result]) -> Iterator[str]:
    """One JSON object a row, without line ends."""
    for row in rows:
        yield json.dumps(asdict(row), ensure_ascii=False)


def to_csv(rows: Iterable[Result]) -> Iterator[str]:
    """The header and one record a row (RFC 4180), without line ends; lists are joined by `; `."""
    yield _csv(COLUMNS)
    for row in rows:
        values = asdict(row)
        yield _csv("; ".join(value) if isinstance(value, tuple) else value for value in values.values())


def _csv(values: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()


def _runs(run_id: str, entries: Iterable[Entry]) -> list[ReplayRun]:
    # Conflicts are about a run too, but they are no part of what came of it.
    records = [entry.record for entry in entries if entry.record.get("schema") == RUN_SCHEMA]
    try:
        return [ReplayRun.model_validate(record) for record in records]
    except ValidationError as error:
        raise EvidenceDamaged(
            f"The evidence of {run_id} cannot be read by this version: {error.errors()[0]['msg']}",
            hint="Was it written by a newer version of Replay? `replay evidence verify` checks the log itself.",
        ) from error


def _finding(answer: Answer | None) -> Finding:
    findings = answer.findings if answer is not None else ()
    cited = [finding for finding in findings if finding.cites]
    return next(iter(cited or findings), Finding())


def _citation(finding: Finding, bundle: Bundle) -> tuple[str | None, str | None]:
    if not finding.cites:
        return None, None
    cite = finding.cites[0]
    record = bundle.records().get(cite.record_id)
    path = record.path if record is not None and record.path else cite.record_id
    shown = {line.line_id: line.line_no for line in bundle.lines}
    line_no = shown.get(cite.line_id) if cite.line_id is not None else record.first_line if record is not None else None
    return (f"{path}:{line_no}" if line_no is not None else path), cite.quote
