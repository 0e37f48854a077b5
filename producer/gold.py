"""Results against known answers: right, right for the right reason, wrong, rejected, or without an answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from producer.results import WAITING, Result
from replay.contracts import Ruling, State
from replay.errors import InputError


@dataclass(frozen=True)
class KnownAnswer:
    """What is known of a task: the ruling, and where the gold file says so the line that decides it, verbatim."""

    ruling: Ruling
    path: str | None = None
    line: str | None = None

    def rests_on(self, result: Result) -> bool:
        """Does the result cite the deciding line? A claim about a missing thing has none."""
        cited = (result.citation or "").rpartition(":")[0]
        return self.line is not None and (cited, result.quote) == (self.path, self.line)


@dataclass(frozen=True)
class Gold:
    """Counts against known answers. Tasks without one, or that have not ended, are not counted.

    Attributes:
        total: Ended tasks with a known answer.
        correct: Accepted, with the known ruling.
        correct_on_line: Of these, the ones that cite the very line which decides the task.
        false_accepts: Accepted, with another ruling.
        false_rejects: Rejected, although the last answer had the known ruling.
        rejected: All others that were rejected, rightly.
        other: Failed or cancelled.
    """

    total: int = 0
    correct: int = 0
    correct_on_line: int = 0
    false_accepts: int = 0
    false_rejects: int = 0
    rejected: int = 0
    other: int = 0


def read_gold(path: Path) -> dict[str, KnownAnswer]:
    """Known answers by `custom_id`: JSONL with `custom_id`, `verdict`, and if known `path`, `pattern` and `absent`.

    Raises:
        InputError: The file cannot be read, or a line has no `custom_id` or verdict.
    """
    try:
        # Not splitlines: a text in a line may hold U+2028, U+0085 and other ends that are none in JSON lines.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The gold file {path} cannot be read: {error}.", hint="Check the path.") from error
    known: dict[str, KnownAnswer] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            decides = value.get("pattern") if value.get("absent") is None else None
            known[value["custom_id"]] = KnownAnswer(Ruling(value["verdict"]), value.get("path"), decides)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"Line {number} of {path} is no known answer: {error}.",
                hint='A line is {"custom_id": "…", "verdict": "pass"} or "fail".',
            ) from error
    return known


def compare(rows: Sequence[Result], known: dict[str, KnownAnswer]) -> Gold:
    """Count how results stand against known answers."""
    counts: Counter[str] = Counter()
    for row in rows:
        answer = known.get(row.custom_id)
        if answer is None or row.state in {WAITING, State.ESCALATED}:
            continue
        kind = _kind(row, answer.ruling)
        counts["total"] += 1
        counts[kind] += 1
        counts["correct_on_line"] += kind == "correct" and answer.rests_on(row)
    return Gold(**counts)


def _kind(row: Result, known: Ruling) -> str:
    right = row.ruling == known
    match row.state:
        case State.ACCEPTED if right:
            return "correct"
        case State.ACCEPTED:
            return "false_accepts"
        case State.REJECTED:
            return "false_rejects" if right else "rejected"
        case _:
            return "other"
