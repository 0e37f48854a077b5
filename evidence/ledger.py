"""What the index says of a whole batch, without an object for each of its runs: a batch may have millions.

Sums are made by the database. Sets of runs are kept as hashes (`replay.compact`).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from typing import Any

from replay.compact import TextSet
from replay.contracts import State, Tier

from .reader import EvidenceReader
from .row import COLUMNS, RUN_SCHEMA, Row

_PAGE = 500

# What the local attempt of a run left that has ended otherwise since.
_WENT_ON = (
    "SUM(terminal = 1 AND tier IS NOT 'local' AND EXISTS (SELECT 1 FROM records AS before"  # noqa: S608  constants
    " WHERE before.run_id = records.run_id AND before.terminal = 0 AND before.run_id IS NOT NULL"
    f" AND before.schema = '{RUN_SCHEMA}' AND before.state = '{State.ESCALATED}'))"
)
_SUMS = (
    f"SELECT state, tier, terminal, COUNT(*), {_WENT_ON}, SUM(prompt_tokens), SUM(completion_tokens),"  # noqa: S608  constants
    " SUM(cached_tokens), SUM(generate_ms), MAX(seq) FROM records"
)
_GROUPED = " GROUP BY state, tier, terminal"


@dataclass(frozen=True)
class Tokens:
    """What the attempts of one tier took.

    Attributes:
        attempts: How many there were.
        prompt: Tokens that they read.
        completion: Tokens that they wrote.
        cached: The part of `prompt` that a server had in its cache.
        generate_s: Seconds in generation.
    """

    attempts: int = 0
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    generate_s: float = 0.0

    def plus(self, other: Tokens, sign: int = 1) -> Tokens:
        """Both together."""
        return Tokens(
            self.attempts + sign * other.attempts,
            self.prompt + sign * other.prompt,
            self.completion + sign * other.completion,
            self.cached + sign * other.cached,
            self.generate_s + sign * other.generate_s,
        )


@dataclass(frozen=True)
class Tally:
    """How many runs of a batch stand where.

    Attributes:
        ended: By state and by the tier of the last attempt, `""` where there was none.
        escalated: Rejected locally, without an end.
        tokens: By tier.
        last_seq: Up to this record all are counted.
        handed_on: Rejected locally and sent to the large model, whether they have ended since or not.
    """

    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    escalated: int = 0
    tokens: dict[str, Tokens] = field(default_factory=dict)
    last_seq: int = 0
    handed_on: int = 0

    @property
    def done(self) -> int:
        """Runs that have ended."""
        return sum(self.ended.values())

    def in_state(self, state: State) -> int:
        """Runs that have ended so."""
        return sum(count for (name, _), count in self.ended.items() if name == state)

    def all_tokens(self) -> Tokens:
        """Of both tiers."""
        total = Tokens()
        for one in self.tokens.values():
            total = total.plus(one)
        return total

    def plus(self, other: Tally, sign: int = 1) -> Tally:
        """Both together, or this one without the other."""
        ended = Counter(self.ended)
        for key, count in other.ended.items():
            ended[key] += sign * count
        tokens = dict(self.tokens)
        for tier, one in other.tokens.items():
            tokens[tier] = tokens.get(tier, Tokens()).plus(one, sign)
        last = max(self.last_seq, other.last_seq) if sign > 0 else self.last_seq
        escalated = self.escalated + sign * other.escalated
        return Tally(+ended, escalated, tokens, last, self.handed_on + sign * other.handed_on)


@dataclass(frozen=True)
class Standing:
    """Which runs of a batch have evidence.

    Attributes:
        ended: Those with an end.
        escalated: Those whose local answer was rejected and handed on; some of them may have ended since.
    """

    ended: TextSet
    escalated: TextSet

    def is_open_escalation(self, run_id: str) -> bool:
        """Does the run go on with the large model?"""
        return run_id in self.escalated and run_id not in self.ended


class BatchLedger:
    """Answers questions about one batch.

    Args:
        reader: Of the log.
        batch_id: The batch.
        without: Runs that count no more, since others stand in their places; all of them have ended.
    """

    def __init__(self, reader: EvidenceReader, batch_id: str, without: Iterable[str] = ()) -> None:
        self._reader = reader
        self._batch_id = batch_id
        self._without = tuple(without)
        self._left_out: Tally | None = None
        self._known = Tally()

    def standing(self) -> Standing:
        """Which runs have evidence."""
        found = Standing(TextSet(), TextSet())
        sql = "SELECT run_id, terminal FROM records WHERE batch_id = ? AND schema = ? AND run_id IS NOT NULL"
        for run_id, terminal in self._reader.each(sql, self._batch_id, RUN_SCHEMA):
            (found.ended if terminal else found.escalated).add(run_id)
        return found

    def tally(self) -> Tally:
        """Count; after the first time only what came since is looked at."""
        newest = self._reader.question("SELECT MAX(seq) FROM records")[0][0] or 0
        if newest < self._known.last_seq:
            self._known, self._left_out = Tally(), None  # another log was put in its place
        if self._known.last_seq:
            # By place in the log: what came since, of all batches, is less than all of this one.
            where = " NOT INDEXED WHERE seq > ? AND batch_id = ? AND schema = ?"
            new = self._sums(where, self._known.last_seq, self._batch_id, RUN_SCHEMA)
        else:
            new = self._sums(" WHERE batch_id = ? AND schema = ?", self._batch_id, RUN_SCHEMA)
        # Up to the newest of all batches nothing is left to count, so what others did meanwhile is looked at once.
        self._known = replace(self._known.plus(new), last_seq=max(new.last_seq, newest))
        return self._known.plus(self._superseded(), sign=-1)

    def by_model(self, tier: Tier) -> dict[str, Tokens]:
        """What the attempts of a tier took, by model; those of runs in whose place others stand are among them."""
        sql = (
            "SELECT model, COUNT(*), SUM(prompt_tokens), SUM(completion_tokens), SUM(cached_tokens), SUM(generate_ms)"
            " FROM records WHERE batch_id = ? AND schema = ? AND tier = ? AND model IS NOT NULL GROUP BY model"
        )
        rows = self._reader.question(sql, self._batch_id, RUN_SCHEMA, tier)
        return {row[0]: _tokens(row[1:]) for row in rows}

    def seconds(self) -> array[float]:
        """Of each run that has ended: seconds in generation, over all attempts; in order of length."""
        sql = (
            "SELECT SUM(generate_ms) / 1000.0 FROM records WHERE batch_id = ? AND schema = ? AND run_id IS NOT NULL"
            " GROUP BY run_id HAVING MAX(terminal) = 1 AND SUM(generate_ms) IS NOT NULL ORDER BY 1"
        )
        return array("d", (seconds for (seconds,) in self._reader.each(sql, self._batch_id, RUN_SCHEMA)))

    def rejections(self, newest: int | None) -> Iterator[Row]:
        """The attempts that the gate rejected, the newest first."""
        sql = (
            f"SELECT {', '.join(COLUMNS)} FROM records WHERE batch_id = ? AND schema = ? AND state IN (?, ?)"  # noqa: S608  constants
            " ORDER BY seq DESC LIMIT ?"
        )
        values = (self._batch_id, RUN_SCHEMA, State.ESCALATED, State.REJECTED, -1 if newest is None else newest)
        yield from map(Row.of, self._reader.each(sql, *values))

    def rejected(self) -> int:
        """How many attempts the gate rejected."""
        sql = "SELECT COUNT(*) FROM records WHERE batch_id = ? AND schema = ? AND state IN (?, ?)"
        found = self._reader.question(sql, self._batch_id, RUN_SCHEMA, State.ESCALATED, State.REJECTED)
        return int(found[0][0])

    def in_states(self, states: Iterable[State]) -> Iterator[str]:
        """The runs that have ended in one of these states, those that count no more left out."""
        wanted = tuple(states)
        marks = ", ".join("?" * len(wanted))
        sql = f"SELECT run_id FROM records WHERE batch_id = ? AND terminal = 1 AND state IN ({marks})"  # noqa: S608  marks
        without = TextSet(self._without)
        for (run_id,) in self._reader.each(sql, self._batch_id, *wanted):
            if run_id not in without:
                yield run_id

    def _superseded(self) -> Tally:
        if self._left_out is None:
            left_out = Tally()
            ids = iter(self._without)
            while page := list(islice(ids, _PAGE)):
                marks = ", ".join("?" * len(page))
                for terminal in (0, 1):
                    where = f" WHERE run_id IN ({marks}) AND terminal = {terminal} AND schema = ?"
                    left_out = left_out.plus(self._sums(where, *page, RUN_SCHEMA))
            self._left_out = left_out
        return self._left_out

    def _sums(self, where: str, *values: object) -> Tally:
        ended: Counter[tuple[str, str]] = Counter()
        escalated, handed_on, last_seq = 0, 0, 0
        tokens: dict[str, Tokens] = {}
        for row in self._reader.question(_SUMS + where + _GROUPED, *values):
            state, tier, terminal, count, went_on = row[:5]
            if terminal:
                ended[state, tier or ""] += count
                escalated -= went_on or 0
            elif state == State.ESCALATED:
                escalated += count
                handed_on += count
            if tier:
                tokens[tier] = tokens.get(tier, Tokens()).plus(_tokens((count, *row[5:9])))
            last_seq = max(last_seq, row[9])
        return Tally(ended, escalated, tokens, last_seq, handed_on)


def _tokens(sums: tuple[Any, ...]) -> Tokens:
    attempts, prompt, completion, cached, generate_ms = (one or 0 for one in sums)
    return Tokens(attempts, prompt, completion, cached, generate_ms / 1000)


@dataclass(frozen=True)
class Measured:
    """What attempts took lately, in this log.

    Attributes:
        tokens: By tier.
        escalated: The share of local attempts that were handed on; None without any.
        ends_per_s: Runs that ended in a second of work, pauses left out; None where that cannot be told.
    """

    tokens: dict[str, Tokens]
    escalated: float | None
    ends_per_s: float | None


def measured(reader: EvidenceReader, newest: int = 5000, pause_s: float = 120.0) -> Measured:
    """Look at the newest attempts, whatever their batch.

    Args:
        reader: Of the log.
        newest: How many records.
        pause_s: Nothing for longer than this is no work.
    """
    rows = reader.question(
        "SELECT tier, state, terminal, prompt_tokens, completion_tokens, cached_tokens, generate_ms,"
        " (julianday(recorded_at) - 2440587.5) * 86400.0 FROM records WHERE schema = ? ORDER BY seq DESC LIMIT ?",
        RUN_SCHEMA,
        newest,
    )
    tokens: dict[str, Tokens] = {}
    for tier, _, _, prompt, completion, cached, generate_ms, _ in rows:
        if tier and completion is not None:
            took = Tokens(1, prompt or 0, completion, cached or 0, (generate_ms or 0.0) / 1000)
            tokens[tier] = tokens.get(tier, Tokens()).plus(took)
    local = [state for tier, state, *_ in rows if tier == Tier.LOCAL and state in _JUDGED]
    ends = sorted(at for _, state, terminal, *_, at in rows if terminal and at is not None and state != State.CANCELLED)
    return Measured(tokens, local.count(State.ESCALATED) / len(local) if local else None, _rate(ends, pause_s))


_JUDGED = (State.ACCEPTED, State.REJECTED, State.ESCALATED)
# Fewer ends say nothing of a rate.
_FEWEST = 10


def _rate(ends: list[Any], pause_s: float) -> float | None:
    gaps = [later - at for at, later in pairwise(ends) if later - at <= pause_s]
    return len(gaps) / sum(gaps) if len(gaps) >= _FEWEST and sum(gaps) > 0 else None
