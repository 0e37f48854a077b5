"""Who looks on while a corpus is written: told what is being waited for, and how far the work is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

_EVERY = 1_000  # items between two calls: telling must not cost what is being told of


class Watcher:
    """Hears nothing. A command line overrides what it shows."""

    def say(self, sentence: str) -> None:
        """Hear what the writer waits for."""

    def step(self, what: str, done: int, of: int) -> None:
        """Hear that of the records of a step so many are done; `what` is a word such as "indexing"."""

    def count(self, items: Iterable[Item], what: str, of: int) -> Iterator[Item]:
        """Pass items on, and tell how many have been taken."""
        self.step(what, 0, of)
        for number, item in enumerate(items, 1):
            yield item
            if number % _EVERY == 0:
                self.step(what, number, of)
        self.step(what, of, of)


UNWATCHED = Watcher()
