"""What follows from a text alone, kept from one judgement to the next in bounded memory.

The tasks of a batch meet the same records again and again: what a passage says, and how its lines lie within each
other, is the same each time. Only pure functions of one text are kept so, by the text itself, so a verdict depends on
nothing that was judged before. `functools.lru_cache` counts entries, and a text may have one word or a megabyte; here
it is their characters that are counted, of which a reading takes about forty bytes each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

_Made = TypeVar("_Made")


class TextCache(Generic[_Made]):
    """A function of a text that remembers what it made lately: of at most `most` characters, twice.

    Texts are kept in two halves. What is asked for goes into the younger one; when that is full it becomes the older
    one, and what was not asked for since is forgotten. Threads may share it: at worst one makes again what another did.
    """

    def __init__(self, make: Callable[[str], _Made], most: int) -> None:
        self.__wrapped__ = self._make = make
        self._most = most
        self._younger: dict[str, _Made] = {}
        self._older: dict[str, _Made] = {}
        self._chars = 0

    def __call__(self, text: str) -> _Made:
        """What the function makes of a text."""
        younger = self._younger
        try:
            return younger[text]
        except KeyError:
            pass
        made = self._older[text] if text in self._older else self._make(text)
        if len(text) > self._most:
            return made
        if self._chars + len(text) > self._most:
            self._older, self._younger, self._chars = self._younger, {}, 0
        self._younger[text] = made
        self._chars += len(text)
        return made


def per_text(most: int) -> Callable[[Callable[[str], _Made]], TextCache[_Made]]:
    """Keep what a function makes of texts; the texts of each half have at most `most` characters."""
    return lambda make: TextCache(make, most)
