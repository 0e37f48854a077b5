"""Places that a claim names: paths, and lines of them; each has to be where the cited record is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINES = r"(?P<{0}first>\d{{1,7}})(?:\s?(?:-|\u2013|to|and)\s?L?(?P<{0}last>\d{{1,7}}))?"
_PATH = r"(?:(?<![\w./-])(?P<path>[\w.-]{1,80}(?:/[\w.-]{1,80}){0,20}(?:\.[A-Za-z]{1,8}|/[A-Z]{4,16}))(?![\w/]))"
_PLACE = re.compile(
    rf"(?:lines?\s{_LINES.format('before_')}\s(?:of|in)\s)?{_PATH}"
    rf"(?:(?::|#L|,?\s?\(?lines?\s){_LINES.format('after_')})?"
    rf"|(?<!\w)lines?\s{_LINES.format('bare_')}(?!\w)",
    re.IGNORECASE,
)
# Endings by which a name with a dot is a file and no dotted name.
_ENDINGS = frozenset(
    """
    c cc cfg conf cpp cs css csv go h hpp html ini java js json jsonl jsx kt lock log lua md mjs php pl proto ps1 py
    pyi pyx rb rs rst scala sh sql swift tf toml ts tsx txt vue xml yaml yml
    """.split()  # noqa: SIM905  as in the lexicon
)


@dataclass(frozen=True)
class Place:
    """A path, lines or both, as a claim names them, and where in the claim."""

    text: str
    path: str | None
    first: int | None
    last: int | None
    start: int
    end: int


def _is_file(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.isupper() or name.rpartition(".")[2].lower() in _ENDINGS


def places(text: str) -> Iterator[Place]:
    """The places that a text names, in order."""
    if "/" not in text and "." not in text and "line" not in text.lower():
        return
    for match in _PLACE.finditer(text):
        path = match["path"]
        if path is not None and not _is_file(path):
            continue
        first = match["before_first"] or match["after_first"] or match["bare_first"]
        last = match["before_last"] or match["after_last"] or match["bare_last"] or first
        yield Place(
            match[0].strip(),
            path,
            int(first) if first else None,
            int(last) if last else None,
            match.start(),
            match.end(),
        )
