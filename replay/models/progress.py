"""How long work tells how far it is: the command line draws a bar, a log takes lines, a test counts."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the advance of one piece of work at a time. Called from one thread only."""

    def start(self, description: str, total: int) -> None:
        """A piece of work of `total` bytes begins."""
        ...

    def advance(self, n: int) -> None:
        """`n` more bytes are done; negative where work has to be done again."""
        ...

    def note(self, text: str) -> None:
        """Something worth a line happened."""
        ...

    def done(self) -> None:
        """The piece of work ended, well or not."""
        ...


class Silent:
    """A progress that tells nobody."""

    def start(self, description: str, total: int) -> None:
        """Ignore it."""

    def advance(self, n: int) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""

    def done(self) -> None:
        """Ignore it."""
