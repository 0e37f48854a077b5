"""One pass over a stretch of the log, one record after the other."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime

from pydantic import ValidationError

from evidence.reader import EvidenceReader
from evidence.row import REVIEW_SCHEMA, RUN_SCHEMA
from evidence.views.extract import Seen, seen
from producer import manifest, marks, repeats
from producer.estimate import cost_of
from producer.gold import Gold, KnownAnswer, compare
from producer.manifest import Header
from producer.report import scope as scopes
from producer.report.figures import OTHERS, Counts, Judged, Named, Report, Took
from producer.report.scope import Head, Scope
from producer.results import result_of
from replay.compact import TextSet
from replay.contracts import ReplayRun, State, Tier
from replay.errors import EvidenceDamaged, InputError
from replay.identity import Json
from replay.settings import Settings

CONFLICT_SCHEMA = "replay_conflict.v1"
BATCHES = 300

_BATCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_JUDGED = (State.ACCEPTED, State.REJECTED, State.ESCALATED)


def report(
    scope: Scope,
    settings: Settings,
    *,
    known: Mapping[str, KnownAnswer] | None = None,
    on_read: Callable[[int, int], object] = lambda _position, _end: None,
    now: datetime | None = None,
) -> Report:
    """Make a report of the evidence as it is now.

    Args:
        scope: What it is about.
        settings: Where batches and evidence lie, and what tokens cost.
        known: Known answers by `custom_id`.
        on_read: Told now and then how far it is: a position in the log, and the last one.
        now: When it is made.

    Raises:
        EvidenceDamaged: A line of the log or a manifest cannot be read.
        ConfigurationError: The prices cannot be read.
    """
    reader = EvidenceReader(settings.evidence_log)
    head = scopes.head(reader)
    header = _header(settings, scope.batch_id) if scope.batch_id is not None else None
    batches = [] if scope.batch_id is not None else scopes.newest_batches(reader, scope, BATCHES + 1)
    shown = batches[-BATCHES:]
    counts = _Gathering(set(shown), superseded(scope, settings), known).read(reader, scope, head, on_read)
    still_open = scopes.still_open(reader, scope, head)
    without = None
    if header is not None:
        without = max(0, header.count - sum(counts.ended.values()) - still_open)
    large = {model: took.tokens() for model, took in counts.took.get(Tier.ESCALATION, Named(Took)) if took.attempts}
    return Report(
        scope=scope,
        head=head,
        made_at=now or datetime.now(UTC),
        counts=counts,
        header=header,
        marks=_marks(settings, header) if header is not None else (),
        sources=dict(_sources(settings, shown)),
        batches=len(shown),
        older_batches=len(batches) > len(shown),
        still_open=still_open,
        without_evidence=without,
        cost=cost_of(large, settings),
    )


def superseded(scope: Scope, settings: Settings) -> TextSet:
    """The runs in whose place others stand, of the batches that a report is about."""
    ids = [scope.batch_id] if scope.batch_id is not None else manifest.known(settings.batches_dir)
    return TextSet(run for one in ids for run in repeats.superseded(manifest.folder(settings.batches_dir, one)))


class _Gathering:
    def __init__(self, batches: set[str], without: TextSet, known: Mapping[str, KnownAnswer] | None) -> None:
        self._batches = batches
        self._without = without
        self._known = dict(known) if known is not None else None
        self._counts = Counts(gold=None if known is None else Gold())

    def read(self, reader: EvidenceReader, scope: Scope, head: Head, on_read: Callable[[int, int], object]) -> Counts:
        part = scopes.stretch(reader, scope, head)
        for record, end in _records(reader, part.start, part.end):
            on_read(end - part.start, part.end - part.start)
            if scope.takes(record):
                self._take(record)
        return self._counts

    def _take(self, record: Mapping[str, Json]) -> None:
        counts = self._counts
        if record.get("schema") != RUN_SCHEMA:
            if record.get("schema") == REVIEW_SCHEMA:
                counts.reviews[str(record.get("decision"))[:20]] += 1
            counts.conflicts += record.get("schema") == CONFLICT_SCHEMA
            return
        found = seen(record, 0, math.inf)
        if found is None:
            return
        counts.records += 1
        if math.isfinite(found.at):
            counts.first_at, counts.last_at = min(counts.first_at, found.at), max(counts.last_at, found.at)
        self._take_end(found, record)
        if found.tier:
            self._take_attempt(found, record)

    def _take_end(self, found: Seen, record: Mapping[str, Json]) -> None:
        if not found.ends:
            self._counts.handed_on += 1
        elif found.run_id in self._without:
            self._counts.repeated += 1
        else:
            tier = found.tier if found.tier in tuple(Tier) else ""
            self._counts.ended[found.state, tier] += 1
            self._compare(found, record)

    def _take_attempt(self, found: Seen, record: Mapping[str, Json]) -> None:
        counts = self._counts
        attempt = _object(record.get("attempt"))
        verdict = _object(attempt.get("verdict"))
        if verdict:
            gate = counts.gates[str(verdict.get("gate_version"))[:100]]
            gate["accepted" if verdict.get("accepted") is True else "rejected"] += 1
        lane = found.tier if found.tier in tuple(Tier) else OTHERS
        for rule in found.rules:
            counts.rules[rule][lane] += 1
        took = counts.took.setdefault(lane, Named(Took))[found.model or "-"]
        took.attempts += 1
        took.reused += attempt.get("reused") is not None
        took.prompt += found.prompt_tokens
        took.completion += found.completion_tokens
        took.cached += found.cached_tokens
        took.generate_ms += found.generate_ms
        if found.generated:
            took.durations.add(found.generate_ms)
        if _object(record.get("bundle")).get("retrieval") is False:
            counts.baseline += 1
        elif found.tier == Tier.LOCAL and found.state in _JUDGED:
            self._judge(found, record)

    def _judge(self, found: Seen, record: Mapping[str, Json]) -> None:
        counts = self._counts
        day = datetime.fromtimestamp(found.at, UTC).date().isoformat() if found.at < _LAST_DAY else OTHERS
        groups: Iterable[Judged] = (
            counts.judged,
            counts.by_day[day],
            counts.by_batch[found.batch_id if found.batch_id in self._batches else OTHERS],
            counts.by_corpus[str(record.get("corpus_version") or "-")[:100]],
        )
        for group in groups:
            group.count += 1
            group.passed += found.state == State.ACCEPTED
            group.escalated += found.state == State.ESCALATED

    def _compare(self, found: Seen, record: Mapping[str, Json]) -> None:
        if self._known is None or self._counts.gold is None or found.custom_id not in self._known:
            return
        try:
            run = ReplayRun.model_validate(record)
        except ValidationError as error:
            raise EvidenceDamaged(
                f"The evidence of {found.run_id} cannot be read by this version: {error.errors()[0]['msg']}",
                hint="Was it written by a newer version of Replay? `replay evidence verify` checks the log itself.",
            ) from error
        one = compare([result_of(run.task, [run])], self._known)
        before = asdict(self._counts.gold)
        self._counts.gold = Gold(**{name: before[name] + count for name, count in asdict(one).items()})


# Later than this no date is made of a time.
_LAST_DAY = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def _records(reader: EvidenceReader, start: int, end: int) -> Iterator[tuple[Mapping[str, Json], int]]:
    if start >= end:
        return
    for entry in reader.iterate(start):
        yield entry.record, entry.end
        if entry.end >= end:
            return


def _header(settings: Settings, batch_id: str) -> Header | None:
    # The id may come from a record, and is no path of anything else.
    if not _BATCH_ID.fullmatch(batch_id):
        return None
    try:
        return manifest.header(settings.batches_dir, batch_id)
    except InputError:
        return None  # evidence is enough for a report


def _sources(settings: Settings, batches: Iterable[str]) -> Iterator[tuple[str, Header]]:
    for batch_id in batches:
        with suppress(EvidenceDamaged):  # it is only about where they came from
            if (found := _header(settings, batch_id)) is not None:
                yield batch_id, found


def _marks(settings: Settings, header: Header) -> tuple[str, ...]:
    place = settings.batches_dir
    held = []
    if manifest.is_cancelled(place, header.batch_id):
        held.append("cancelled")
    if (why := marks.why_paused(place, header.batch_id)) is not None:
        held.append(f"paused: {why}" if why else "paused")
    return tuple(held)


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}
