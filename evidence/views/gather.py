"""A chunk of the log on its way into the views: summed up in memory, then written in one transaction."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evidence.row import REVIEW_SCHEMA, RUN_SCHEMA
from replay.contracts import Ruling, State, Tier
from replay.identity import Json

from . import latency
from .extract import Seen, Use, moment, seen
from .schema import SPANS

_MAX_BODY = 16 * 1024
_MAX_CITED = 64
_LOOKUP = 500
_RUN_COLUMNS = (  # noqa: SIM905  a list of names reads better
    "n run_id batch_id custom_id text state ruling tier model rules attempts first_at last_at retrieve_ms generate_ms "
    "gate_ms prompt_tokens completion_tokens cached_tokens cost seq review facets"
).split()
_PUT_RUN = f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * len(_RUN_COLUMNS))})"  # noqa: S608  question marks
_FOUND = "rowid, text, custom_id, facets"
_SUMS = (  # noqa: SIM905  a list of names reads better
    "attempts accepted rejected escalated failed cancelled prompt_tokens completion_tokens cached_tokens cost "
    "retrieve_ms generate_ms gate_ms"
).split()
_BATCH = (  # noqa: SIM905  a list of names reads better
    "runs accepted rejected failed cancelled local escalation by_local by_escalation prompt_tokens completion_tokens "
    "cached_tokens generate_ms cost"
).split()
_USES = ("retrieved", "cited", "accepted", "accepted_cited")
REVIEW = "review"
"""The total, and the facet, of ended runs that wait for a person."""


@dataclass
class _Run:
    """A row of `runs` that this chunk touches; `old` is what was found under it before."""

    values: dict[str, Any]
    rules: list[str]
    models: list[str]
    tiers: list[str]
    old: tuple[str, str, str] | None = None
    old_state: str | None = None


@dataclass
class _Use:
    use: Use
    at: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)


@dataclass
class _Batch:
    first_at: float
    last_at: float
    counts: Counter[str] = field(default_factory=Counter)


class Chunk:
    """Records of the log, to be written by `write`.

    Args:
        db: The database, within a transaction that the caller ends.
        latest: The latest moment that a record can have: now, by this machine's clock.
    """

    def __init__(self, db: sqlite3.Connection, latest: float) -> None:
        self._db = db
        self._latest = latest
        self._next = 1 + (db.execute("SELECT MAX(n) FROM runs").fetchone()[0] or 0)
        self._runs: dict[str, _Run] = {}
        self._sums: defaultdict[tuple[int, int, str], Counter[str]] = defaultdict(Counter)
        self._latency: defaultdict[tuple[int, int, str], list[int]] = defaultdict(latency.blank)
        self._objections: Counter[tuple[int, int, str, str]] = Counter()
        self._uses: dict[str, _Use] = {}
        self._citing: set[tuple[str, int]] = set()
        self._batches: dict[str, _Batch] = {}
        self._begun: dict[int, tuple[int, int]] = {}
        self._notes: list[tuple[Any, ...]] = []
        self._names: set[tuple[str, str]] = set()
        self._totals: Counter[str] = Counter()

    def add(self, record: Mapping[str, Json], seq: int) -> None:
        """Take a record in."""
        if record.get("schema") != RUN_SCHEMA:
            self._note(record, seq)
            return
        found = seen(record, seq, self._latest)
        if found is not None:
            self.take(found)

    def take(self, found: Seen) -> None:
        """Take a run's record in."""
        self._sum_up(found)
        new = self._merge(found)
        self._count_batch(found, new)
        if found.ends:
            self._count_uses(found)
            number = self._runs[found.run_id].values["n"]
            self._citing.update((record_id, number) for record_id in sorted(found.cited)[:_MAX_CITED])
        self._names.update((kind, name) for kind, name in (("model", found.model), ("tier", found.tier)) if name)
        self._names.update(("rule", rule) for rule in found.rules)

    def write(self) -> None:
        """Write all of it."""
        self._write_runs()
        self._write_sums()
        self._write_uses()
        self._write_batches()
        put = self._db.executemany
        put("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?, ?, ?, ?)", self._notes)
        put("INSERT OR IGNORE INTO names VALUES (?, ?)", self._names)
        put("INSERT OR IGNORE INTO citing VALUES (?, ?)", self._citing)
        put(
            "INSERT INTO begun VALUES (?, ?, ?) ON CONFLICT (minute) DO UPDATE SET"
            " first_n = MIN(first_n, excluded.first_n), last_n = MAX(last_n, excluded.last_n)",
            ((minute, *numbers) for minute, numbers in self._begun.items()),
        )
        put(
            "INSERT INTO totals VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            [(name, by) for name, by in self._totals.items() if by],
        )

    def _note(self, record: Mapping[str, Json], seq: int) -> None:
        run_id = record.get("run_id") if isinstance(record.get("run_id"), str) else None
        batch_id = record.get("batch_id") if isinstance(record.get("batch_id"), str) else None
        body = json.dumps(record, ensure_ascii=False)
        self._notes.append(
            (
                seq,
                str(record.get("schema")),
                str(record.get("id")),
                run_id,
                batch_id,
                moment(record.get("recorded_at"), self._latest),
                body if len(body) <= _MAX_BODY else None,
            )
        )
        if record.get("schema") == REVIEW_SCHEMA and run_id is not None:
            run = self._touched(run_id)
            if run is not None:
                run.values["review"] = str(record.get("decision"))

    def _touched(self, run_id: str) -> _Run | None:
        run = self._runs.get(run_id)
        if run is None:
            row = self._db.execute("SELECT * FROM runs WHERE run_id = ?", (run_id,)).fetchone()
            if row is None:
                return None
            values = dict(zip(_RUN_COLUMNS, row, strict=True))
            models, tiers = (values[name].split("\n") if values[name] else [] for name in ("model", "tier"))
            rules = values["rules"].split("\n") if values["rules"] else []
            old = (values["text"], values["custom_id"], values["facets"])
            run = self._runs[run_id] = _Run(values, rules, models, tiers, old, values["state"])
        return run

    def _merge(self, found: Seen) -> bool:
        run = self._touched(found.run_id)
        new = run is None
        if run is None:
            values: dict[str, Any] = dict.fromkeys(_RUN_COLUMNS, 0)
            values |= {
                "n": self._next, "run_id": found.run_id, "batch_id": found.batch_id, "custom_id": found.custom_id,
                "text": found.text, "first_at": found.at, "ruling": None, "cost": None, "review": None,
            }  # fmt: skip
            run = self._runs[found.run_id] = _Run(values, [], [], [])
            minute = int(found.at) // 60 * 60
            first, last = self._begun.get(minute, (self._next, self._next))
            self._begun[minute] = (min(first, self._next), max(last, self._next))
            self._next += 1
        values = run.values
        values["attempts"] += bool(found.tier)
        # A conflict cannot unmake an end: the first one counts.
        if values["state"] in {0, State.ESCALATED}:
            values["state"] = found.state
            values["ruling"] = found.ruling or values["ruling"]
        values["last_at"] = max(values["last_at"], found.at)
        values["seq"] = found.seq
        for name in ("retrieve_ms", "generate_ms", "gate_ms", "prompt_tokens", "completion_tokens", "cached_tokens"):
            values[name] += getattr(found, name)
        if found.cost is not None:
            values["cost"] = (values["cost"] or 0.0) + found.cost
        for kept, more in ((run.tiers, [found.tier]), (run.models, [found.model]), (run.rules, found.rules)):
            kept += [name for name in more if name and name not in kept]
        return new

    def _sum_up(self, found: Seen) -> None:
        for span in SPANS:
            key = (span, int(found.at) // span * span, found.tier)
            counts = self._sums[key]
            counts["attempts"] += bool(found.tier)
            counts[found.state] += 1
            for name in _SUMS[6:]:
                if amount := getattr(found, name):
                    counts[name] += amount
            if found.generated:
                self._latency[key][latency.bucket(found.generate_ms)] += 1
            for rule in found.rules:
                self._objections[*key, rule] += 1

    def _count_uses(self, found: Seen) -> None:
        accepted = found.state == State.ACCEPTED
        for use in {use.record_id: use for use in found.uses}.values():
            kept = self._uses.setdefault(use.record_id, _Use(use))
            kept.at = max(kept.at, found.at)
            cited = use.record_id in found.cited
            kept.counts["retrieved"] += 1
            kept.counts["cited"] += cited
            kept.counts["accepted"] += accepted
            kept.counts["accepted_cited"] += accepted and cited

    def _count_batch(self, found: Seen, new: bool) -> None:
        batch = self._batches.setdefault(found.batch_id, _Batch(found.at, found.at))
        batch.first_at, batch.last_at = min(batch.first_at, found.at), max(batch.last_at, found.at)
        counts = batch.counts
        counts["runs"] += new
        if found.ends:
            counts[found.state] += 1
        if found.tier in tuple(Tier):
            counts[found.tier] += 1
            counts[f"by_{found.tier}"] += found.state == State.ACCEPTED
        for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "generate_ms", "cost"):
            counts[name] += getattr(found, name) or 0

    def _write_runs(self) -> None:
        gone, rows, found = [], [], []
        for run in self._runs.values():
            values = run.values
            values["tier"], values["model"] = "\n".join(run.tiers), "\n".join(run.models)
            values["rules"] = "\n".join(run.rules)
            waits = waits_for_review(values["state"], values["ruling"], values["review"])
            facets = " ".join(_facets(run, waits))
            was = REVIEW_FACET in (run.old[2].split() if run.old else ())
            self._totals[REVIEW] += waits - was
            if run.old_state != values["state"]:
                self._totals[f"state:{values['state']}"] += 1
                if run.old_state is not None:
                    self._totals[f"state:{run.old_state}"] -= 1
            if run.old is not None:
                gone.append((values["n"], *run.old))
            values["facets"] = facets
            rows.append(tuple(values.values()))
            found.append((values["n"], values["text"], values["custom_id"], facets))
        # An index without content forgets by being told exactly what it was given.
        self._db.executemany(
            "INSERT INTO found (found, rowid, text, custom_id, facets) VALUES ('delete', ?, ?, ?, ?)", gone
        )
        self._db.executemany(_PUT_RUN, rows)
        self._db.executemany("INSERT INTO found (rowid, text, custom_id, facets) VALUES (?, ?, ?, ?)", found)

    def _write_sums(self) -> None:
        adding = ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS)
        rows = []
        for key, counts in self._sums.items():
            buckets = self._latency.get(key) or latency.blank()
            old = self._db.execute("SELECT latency FROM sums WHERE (span, start, tier) = (?, ?, ?)", key).fetchone()
            if old is not None:
                latency.add(buckets, old[0])
            rows.append((*key, *(counts[name] for name in _SUMS), latency.pack(buckets)))
        self._db.executemany(
            f"INSERT INTO sums VALUES ({', '.join('?' * (len(_SUMS) + 4))})"  # noqa: S608  names of this file
            f" ON CONFLICT DO UPDATE SET {adding}, latency = excluded.latency",
            rows,
        )
        self._db.executemany(
            "INSERT INTO objections VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET attempts = attempts + excluded.attempts",
            [(*key, count) for key, count in self._objections.items()],
        )

    def _write_uses(self) -> None:
        adding = ", ".join(f"{name} = {name} + excluded.{name}" for name in _USES)
        self._db.executemany(
            f"INSERT INTO uses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (record_id) DO UPDATE SET {adding},"  # noqa: S608  names of this file
            " kind = excluded.kind, title = excluded.title, place = excluded.place,"
            " last_at = MAX(last_at, excluded.last_at)",
            (
                (
                    record_id,
                    kept.use.kind,
                    kept.use.title,
                    kept.use.place,
                    *(kept.counts[name] for name in _USES),
                    kept.at,
                )
                for record_id, kept in self._uses.items()
            ),
        )

    def _write_batches(self) -> None:
        adding = ", ".join(f"{name} = {name} + excluded.{name}" for name in _BATCH)
        self._db.executemany(
            f"INSERT INTO batches VALUES ({', '.join('?' * (len(_BATCH) + 3))})"  # noqa: S608  names of this file
            f" ON CONFLICT (batch_id) DO UPDATE SET {adding}, first_at = MIN(first_at, excluded.first_at),"
            " last_at = MAX(last_at, excluded.last_at)",
            (
                (batch_id, batch.first_at, batch.last_at, *(batch.counts[name] for name in _BATCH))
                for batch_id, batch in self._batches.items()
            ),
        )


def facet(kind: str, value: str) -> str:
    """The one token by which `found` knows a property; a hash, since a tokenizer would take names apart."""
    return "x" + hashlib.blake2b(f"{kind}:{value}".encode(), digest_size=7).hexdigest()


REVIEW_FACET = facet(REVIEW, "")


def waits_for_review(state: str, ruling: str | None, review: str | None) -> bool:
    """Does an ended run wait for a person: it was rejected, or says that it is unsure, and nobody has looked at it?"""
    if review is not None:
        return False
    return state == State.REJECTED or (state == State.ACCEPTED and ruling == Ruling.UNSURE)


def _facets(run: _Run, waits: bool) -> Iterable[str]:
    yield facet("state", run.values["state"])
    yield facet("batch", run.values["batch_id"])
    if run.values["ruling"]:
        yield facet("ruling", run.values["ruling"])
    for kind, names in (("tier", run.tiers), ("model", run.models), ("rule", run.rules)):
        for name in names:
            yield facet(kind, name)
    if run.values["review"]:
        yield facet("reviewed", run.values["review"])
    if waits:
        yield REVIEW_FACET
