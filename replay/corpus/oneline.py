"""Names that stay on one line: what heads evidence must not be able to look like more evidence."""

from __future__ import annotations

import os
import re

# The C0 and C1 controls, and the separators of lines and paragraphs: whatever some reader takes for a line's end.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def is_one_line(text: str) -> bool:
    """Does it hold no line end and no other control character?"""
    return _CONTROL.search(text) is None


def one_line(text: str) -> str:
    """The text with blanks in place of line ends and other control characters, and none at its ends."""
    return _CONTROL.sub(" ", text).strip()


def as_text(argument: str) -> str:
    """An argument or the name of a file as text that can be written down: what of its bytes is no UTF-8 is replaced."""
    return os.fsencode(argument).decode(errors="replace")
