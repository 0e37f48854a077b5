"""Foreign text for terminals and documents: what would not be seen, or would move or turn round what is, is spelt out.

A reply of a model is foreign text, and so is a record. An escape sequence in it would steer the terminal that shows
it, and a mark of the bidirectional algorithm would show it in another order than it is stored and judged in.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

_SPELT_OUT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(text: str, *, keep: str = "") -> str:
    r"""Spell out control and format characters, line and paragraph separators and halves of surrogate pairs.

    Args:
        text: Any text.
        keep: Such characters that stay, for instance the ends of lines.

    Returns:
        The text with `\x1b`, `\u202e` and the like for them.
    """
    if text.isprintable():
        return text
    return "".join(
        _spelt_out(char) if unicodedata.category(char) in _SPELT_OUT and char not in keep else char for char in text
    )


def one_line(text: str, most: int = 0) -> str:
    """A text for one line: white space is levelled, the unseen spelt out, and what is longer than `most` cut."""
    levelled = " ".join(text[: most * 4 if most else None].split())
    cut = levelled if not most or len(levelled) <= most else levelled[: most - 1] + "…"
    return visible(cut)


def _spelt_out(char: str) -> str:
    return char.encode("unicode_escape").decode()


def json_line(value: Any) -> str:
    r"""A JSON document on one line that steers no terminal: what `visible` spells out is written as `\uXXXX`."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    # Within JSON such a character stands in a string only, where its escape means the same.
    return "".join(json.dumps(char)[1:-1] if unicodedata.category(char) in _SPELT_OUT else char for char in text)
