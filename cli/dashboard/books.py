"""What the dashboard reads of batches and dead letters, by the producer's code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from redis.exceptions import NoPermissionError, RedisError

from broker.connection import connect
from dashboard.actions import BatchHead, Form, Letter
from evidence.reader import EvidenceReader
from producer import letters, manifest, marks, repeats
from producer.results import COLUMNS, Result, results, to_csv, to_jsonl
from replay.contracts import DeadLetter
from replay.errors import BrokerUnavailable, ConfigurationError, ReplayError
from replay.settings import Settings

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[-+]?[0-9][0-9.,_]*[A-Za-z%]{0,3}")


class ProducerBooks:
    """Reads what lies on the disk and in the broker of these settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def batches(self, start: int, count: int) -> tuple[list[BatchHead], int]:
        """See `dashboard.actions.Books`."""
        ids = manifest.known(self._settings.batches_dir)
        return [self._head_or_problem(batch_id) for batch_id in ids[start : start + count]], len(ids)

    def batch(self, batch_id: str) -> BatchHead:
        """See `dashboard.actions.Books`."""
        return self._head(manifest.find_id(self._settings.batches_dir, batch_id))

    def _head_or_problem(self, exact: str) -> BatchHead:
        try:
            return self._head(exact)
        except ReplayError as error:
            # One damaged manifest hides no other batch.
            return BatchHead(exact, "", "", 0, None, cancelled=False, problem=error.message)

    def _head(self, exact: str) -> BatchHead:
        folder = self._settings.batches_dir
        header = manifest.header(folder, exact)
        return BatchHead(
            batch_id=exact,
            created_at=header.created_at,
            source=header.source,
            tasks=header.count,
            corpus_version=header.corpus_version,
            cancelled=manifest.is_cancelled(folder, exact),
            paused=marks.why_paused(folder, exact),
            repeated=len(self.superseded(exact)),
        )

    def superseded(self, batch_id: str) -> tuple[str, ...]:
        """See `dashboard.actions.Books`."""
        return repeats.superseded(manifest.folder(self._settings.batches_dir, batch_id))

    def results(self, batch_id: str, form: Form) -> Iterator[str]:
        """See `dashboard.actions.Books`."""
        batch = manifest.find(self._settings.batches_dir, batch_id)
        rows = results(batch, EvidenceReader(self._settings.evidence_log))
        return to_jsonl(rows) if form == "jsonl" else to_csv(map(_without_formulas, rows))

    def letters(self, count: int, cause: str) -> tuple[list[Letter], int]:
        """See `dashboard.actions.Books`."""
        try:
            with connect(self._settings, patience=0) as broker:
                shown, older = letters.newest(broker, count, cause=cause or None)
        except RedisError as error:
            raise no_answer(error) from error
        return [_letter(letter) for letter in reversed(shown)], older

    def letter(self, letter_id: str) -> Letter:
        """See `dashboard.actions.Books`."""
        try:
            with connect(self._settings, patience=0) as broker:
                [lying] = letters.choose(broker, [letter_id])
        except RedisError as error:
            raise no_answer(error) from error
        return _letter(lying.letter, message=letters.readable(lying.letter))


def _without_formulas(row: Result) -> Result:
    """The row for a spreadsheet: what a model or a task says is no formula there. Numbers stay numbers."""
    changed: dict[str, Any] = {}
    for name in COLUMNS:
        value = getattr(row, name)
        if isinstance(value, str):
            changed[name] = _quoted(value)
        elif isinstance(value, tuple):
            changed[name] = tuple(map(_quoted, value))
    return replace(row, **changed)


def _quoted(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def no_answer(error: RedisError) -> ReplayError:
    """The error for a broker that went away, or that does not let this user do it."""
    if isinstance(error, NoPermissionError):
        return ConfigurationError(
            f"the broker's user may not do this: {error}",
            hint="A dashboard on which people act needs the rights of an operator: docs/broker-security.md.",
        )
    return BrokerUnavailable(f"the broker does not answer: {error}", hint="Start it with `replay up`, then try again.")


def _letter(letter: DeadLetter, message: str = "") -> Letter:
    return Letter(
        id=letter.id,
        at=letter.recorded_at,
        queue=letter.queue,
        cause=letter.cause,
        run_id=letters.run_id_of(letter),
        batch_id=letters.batch_id_of(letter),
        payload_bytes=letter.payload_bytes,
        kept_bytes=len(letters.payload(letter)),
        message=message,
    )
