"""Claims against the installed packages: where a line stands, and whether two values are one.

On purpose nothing of this project is imported: the yardstick must not be made by what it measures.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

CONTEXT_WINDOW = 30

TRUE_WORDS = frozenset({"true", "on", "enabled", "switched on"})
FALSE_WORDS = frozenset({"false", "off", "disabled", "switched off"})
UNSET_WORDS = frozenset({"none", "unset", "not set", ""})
SECONDS = {"ms": Fraction(1, 1000), "s": Fraction(1), "minute": Fraction(60), "hour": Fraction(3600)}
SECONDS |= {"millisecond": SECONDS["ms"], "second": SECONDS["s"]}


def rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file, in its order."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@cache
def source_lines(path: str) -> tuple[str, ...]:
    """The stripped lines of an installed file; `path` is relative to site-packages."""
    at = Path(str(metadata.distribution("celery").locate_file(path)))
    assert at.is_file(), f"{path} is not installed"
    return tuple(line.strip() for line in at.read_text(encoding="utf-8").split("\n"))


def deciding_lines(place: dict[str, Any]) -> list[int]:
    """Numbers of the lines that equal the pattern; with a context only the first one that follows it closely."""
    lines = source_lines(place["path"])
    hits = [number for number, line in enumerate(lines, 1) if line == place["pattern"]]
    if "context" not in place:
        return hits
    anchors = [number for number, line in enumerate(lines, 1) if line == place["context"]]
    assert len(anchors) == 1, f"the context {place['context']!r} occurs {len(anchors)} times in {place['path']}"
    return [hit for hit in hits if anchors[0] < hit <= anchors[0] + CONTEXT_WINDOW][:1]


def occurs(value: str, text: str) -> bool:
    """Whether `value` stands in `text` as a whole, not as a part of a longer word or number."""
    return re.search(rf"(?<!\w)(?<!\d\.){re.escape(value)}(?!\w|\.\d)", text) is not None


def normal(value: str, unit: str | None) -> tuple[str, object]:
    """A value in comparable form: switches, nothing, durations in seconds, numbers multiplied out, or plain text."""
    text = value.strip().strip("'\"`")
    if text.casefold() in TRUE_WORDS | FALSE_WORDS:
        return ("switch", text.casefold() in TRUE_WORDS)
    if text.casefold() in UNSET_WORDS:
        return ("unset", None)
    if duration := re.fullmatch(r"(\d+(?:\.\d+)?) ?([a-z]+?)s?", text):
        scale = SECONDS.get("ms" if text.endswith("ms") else duration[2])
        if scale is not None:
            return ("number", Fraction(duration[1]) * scale)
    factors = [factor.strip().replace("_", "") for factor in text.split("*")]
    if all(re.fullmatch(r"-?\d+(?:\.\d+)?", factor) for factor in factors):
        number = Fraction(1)
        for factor in factors:
            number *= Fraction(factor)
        return ("number", number * SECONDS[unit] if unit else number)
    return ("text", text)
