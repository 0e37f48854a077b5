"""Foreign text on pages: templates escape it; what would not be seen, or would turn it round, is spelt out here."""

from __future__ import annotations

from markupsafe import Markup, escape

from replay.study.visible import one_line, visible

_LONG = 20_000


def plain(text: str | None, most: int = 400) -> str:
    """A foreign text on one line, at most so many characters of it."""
    return one_line(text or "", most)


def lines(text: str | None) -> str:
    """A foreign text that keeps its lines and tabs; of a very long one the beginning."""
    held = text or ""
    cut = held if len(held) <= _LONG else f"{held[:_LONG]}\n… {len(held) - _LONG:,} more characters"
    return visible(cut, keep="\n\t")


def marked(claim: str, places: tuple[tuple[int, int], ...]) -> Markup:
    """A claim in which what nothing backs is marked; each piece of it is escaped by itself."""
    parts, at = [], 0
    for start, end in places:
        parts += [
            escape(visible(claim[at:start])),
            Markup("<mark>"),
            escape(visible(claim[start:end])),
            Markup("</mark>"),
        ]
        at = end
    return Markup("").join([*parts, escape(visible(claim[at:]))])


FILTERS = {"plain": plain, "lines": lines}
