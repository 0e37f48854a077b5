"""What a task names of where its records come from: "kombu's" speaks of kombu, "redis-py" of the package redis."""

from __future__ import annotations

import re
from collections.abc import Iterable

from replay.corpus.tokens import words

_AFFIX = re.compile(r"^(?:py|python)_|_(?:py|python)$")


class Origins:
    """The origins of a corpus, by the names that people give them.

    Args:
        origins: As records have them: `redis 8.1.0`, or the name of a directory.
    """

    def __init__(self, origins: Iterable[str]) -> None:
        self._of_name: dict[str, set[str]] = {}
        for origin in origins:
            name = _normal(origin.partition(" ")[0])
            for said in (name, _AFFIX.sub("", name)):
                self._of_name.setdefault(said, set()).add(origin)

    def named_in(self, text: str) -> frozenset[str]:
        """The origins that a task names; empty where it names none.

        A name with its affix is meant in full: "redis-py's" is about the package, also where the text says Redis too.
        """
        plain: set[str] = set()
        whole: set[str] = set()
        for word in words(text):
            name = _normal(re.split(r"[./]", word, maxsplit=1)[0])
            bare = _AFFIX.sub("", name)
            if "_" in name:
                whole |= self._of_name.get(name) or (self._of_name.get(bare, set()) if bare != name else set())
            else:
                plain |= self._of_name.get(name, set())
        return frozenset(whole or plain)


def _normal(name: str) -> str:
    return name.lower().replace("-", "_")
