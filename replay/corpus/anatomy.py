"""How the lines of a record hang together: what each does, and what it stands in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replay.corpus import indentation
from replay.corpus.naming import LineKind, Naming, naming, starts_with_literal

_OPENS = ("(", "[")


@dataclass(frozen=True)
class Line:
    """A line among others.

    Attributes:
        named: What it does and names.
        enclosing: The line that it belongs to; -1 where there is none. Mostly the nearest one above that is less
            indented. Within brackets that open with a bare argument, which says what the others are about
            (`"--backlog",` above `default=2048,`), it is that argument, and the opening line is around both.
    """

    named: Naming
    enclosing: int


def anatomy(lines: Sequence[str]) -> list[Line]:
    """Tell the lines of one record apart."""
    named = [naming(line) for line in lines]
    enclosing = indentation.parents(lines)
    opening: dict[int, int] = {}  # the first line within brackets, by the line that opens them
    for number, outer in enumerate(enclosing):
        if outer < 0 or not lines[outer].rstrip().endswith(_OPENS):
            continue
        first = opening.setdefault(outer, number)
        if named[first].kind is not LineKind.OTHER:
            continue
        if first != number:
            enclosing[number] = first
        elif named[outer].kind is LineKind.DEFINITION and starts_with_literal(lines[number]):
            # `level=Option(` above `'WARNING',`: one definition, broken after its bracket.
            named[number] = Naming(LineKind.LITERAL)
    return [Line(name, outer) for name, outer in zip(named, enclosing, strict=True)]
