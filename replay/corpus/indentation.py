"""What encloses a line, told by indentation alone: `worker=Namespace(` above `prefetch_multiplier=Option(4)`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def parents(lines: Sequence[str]) -> list[int]:
    """For each line the nearest line above that is less indented, or -1; blank lines have none and enclose nothing."""
    above: list[int] = []
    open_lines: list[tuple[int, int]] = []
    for number, line in enumerate(lines):
        inner = line.lstrip()
        if not inner:
            above.append(-1)
            continue
        indent = len(line) - len(inner)
        while open_lines and open_lines[-1][0] >= indent:
            open_lines.pop()
        above.append(open_lines[-1][1] if open_lines else -1)
        open_lines.append((indent, number))
    return above


def enclosing(above: Sequence[int], offset: int) -> Iterator[int]:
    """The lines that enclose a line, innermost first; `above` is what `parents` gave."""
    outer = above[offset]
    while outer >= 0:
        yield outer
        outer = above[outer]
