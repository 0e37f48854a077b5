"""Cutting Python source by definition, with the standard library's `ast`.

Measured on audit tasks over real packages, definitions are better records than windows of any size: fewer,
self-contained, with a name and a line range (see docs/decisions.md). A record is one of

- a function or method, whole: decorators, the comments directly above it, and what is nested in it;
- a class body without its methods and inner classes, one record for each unbroken run of lines;
- a module's code outside its definitions, likewise.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from replay.corpus.passages import DEFINITION_LINES, Piece, cut

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(source: str, lines: Sequence[str], module: str) -> list[Piece]:
    """Cut a module into its definitions; titles are dotted qualified names.

    Args:
        source: The text, with plain newlines as line ends.
        lines: The same text, line by line.
        module: Dotted name of the module.

    Raises:
        SyntaxError: The text is not Python of this interpreter.
        ValueError: It holds null bytes.
        RecursionError: It is nested deeper than the parser can follow.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in someone else's source is not our news
        tree = ast.parse(source)
    pieces: list[Piece] = []
    for piece in _scope(tree.body, lines, Piece(1, len(lines), module)):
        pieces += _split(lines, piece)
    return pieces


def module_name(path: str) -> str:
    """`celery/app/defaults.py` is `celery.app.defaults`; a package's `__init__` carries the package's name."""
    name = path.removesuffix(".pyi").removesuffix(".py").replace("/", ".")
    return name.removesuffix(".__init__")


def _scope(body: Iterable[ast.stmt], lines: Sequence[str], scope: Piece) -> Iterator[Piece]:
    """The pieces of a module or class, in the order of the file."""
    free = scope.first
    for node in _definitions_in(body):
        first = _first_line(node, lines, free)
        last = node.end_lineno or node.lineno
        if free < first:
            yield Piece(free, first - 1, scope.title)
        inner = Piece(first, last, f"{scope.title}.{node.name}")
        if isinstance(node, ast.ClassDef):
            yield from _scope(node.body, lines, inner)
        else:
            yield inner
        free = last + 1
    if free <= scope.last:
        yield Piece(free, scope.last, scope.title)


def _definitions_in(body: Iterable[ast.stmt]) -> Iterator[Definition]:
    """Definitions of this scope, also those under an `if`, a `try` or a `with`."""
    for node in body:
        if isinstance(node, Definition):
            yield node
        else:
            for block in ("body", "handlers", "orelse", "finalbody", "cases"):
                for child in getattr(node, block, ()):
                    if isinstance(child, (ast.ExceptHandler, ast.match_case)):
                        yield from _definitions_in(child.body)
                    elif isinstance(child, ast.stmt):
                        yield from _definitions_in([child])


def _first_line(node: Definition, lines: Sequence[str], free: int) -> int:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    while first > free and lines[first - 2].lstrip().startswith("#"):
        first -= 1
    return first


def _split(lines: Sequence[str], piece: Piece) -> list[Piece]:
    """Cut a long definition; the later parts carry its header in their title, since they no longer show it."""
    parts = cut(lines, piece, DEFINITION_LINES)
    if len(parts) < 2:
        return parts
    header = lines[parts[0].first - 1].strip()
    later = f"{piece.title} {header}" if header.startswith(("def ", "class ", "async ", "@")) else piece.title
    return [parts[0], *(replace(part, title=later) for part in parts[1:])]
