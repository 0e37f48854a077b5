"""Cutting source code by definition, with tree-sitter: the same rules for every language of `languages.py`.

Measured on audit tasks over real packages, definitions are better records than windows of any size: fewer,
self-contained, with a name and a line range (see docs/decisions.md). A record is one of

- a function, a method or a type without methods, whole: with its decorators or attributes, the comments directly above
  it, and what is nested in it;
- the body of a class, an `impl` or a namespace without its methods and inner classes, one record for each unbroken run
  of lines;
- a file's code outside its definitions, likewise.

Records are whole lines, and no line is in two of them: of two definitions on one line the first takes it. The parser
mends what it does not understand, so a file with a syntax error still gives the definitions that are intact; a file
that is too much for it (`parsing.py`) is cut as plain text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from tree_sitter import Node, QueryCursor, Tree

from replay.corpus.languages import Language
from replay.corpus.parsing import parse
from replay.corpus.passages import DEFINITION_LINES, PASSAGE_LINES, Piece, cut

_READ_BYTES = 1_000
_NAME_CHARS = 120
_TITLE_CHARS = 400
_HEADER_CHARS = 200
_CLOSING = re.compile(r"(?:[\W_]|\b(?:else|end|endif|endregion)\b)*")
_REFERENCE = re.compile(r"&\s*(?:'\w+\s+)?(?:mut\s+)?|\*")
_ARGUMENTS = re.compile(r"<.*>|\(.*", re.DOTALL)


@dataclass(frozen=True)
class Cut:
    """A file cut into pieces.

    Attributes:
        pieces: In the order of the file.
        intact: False where its grammar does not know all of it.
        unknown: Bytes that its grammar does not know.
    """

    pieces: list[Piece]
    intact: bool = True
    unknown: int = 0


@dataclass(frozen=True)
class _Definition:
    """A definition where it stands. Rows count from 1; the header is the line that names it."""

    start: int
    end: int
    first: int
    last: int
    header: int
    name: str
    whole: bool


@dataclass
class _Captured:
    """What the queries found in a file.

    Attributes:
        found: Definitions by the byte where their name begins.
        above: The lines that belong to the definition below them.
        callbacks: The spans in bytes of functions that are handed to another.
        unknown: Bytes that the grammar does not know.
    """

    found: dict[int, _Definition] = field(default_factory=dict)
    above: set[int] = field(default_factory=set)
    callbacks: list[tuple[int, int]] = field(default_factory=list)
    unknown: int = 0

    def own(self) -> Iterator[_Definition]:
        """The definitions in the order of the file, outer ones first, without those within two callbacks."""
        callbacks = sorted(self.callbacks, reverse=True)
        ends: list[int] = []
        for one in sorted(self.found.values(), key=lambda one: (one.start, -one.end)):
            while callbacks and callbacks[-1][0] <= one.start:
                start, end = callbacks.pop()
                ends = [outer for outer in ends if outer > start]
                ends += [end] if len(ends) < 2 else []  # what is in it is in two already
            ends = [outer for outer in ends if outer > one.start]
            if len(ends) < 2:
                yield one


@dataclass(frozen=True)
class _Part:
    """A piece before it is cut to size, and the number of the line that names its definition."""

    piece: Piece
    header: int


@dataclass(frozen=True)
class _Scope:
    """A definition that is being cut: its lines and title, its last byte, the number of the line that names it."""

    piece: Piece
    end: float
    header: int

    def run(self, first: int, last: int) -> Iterator[_Part]:
        """Lines of this scope itself."""
        if first <= last:
            yield _Part(replace(self.piece, first=first, last=last), self.header)


def definitions(source: str, lines: Sequence[str], scope: str, language: Language) -> Cut:
    """Cut a file into its definitions.

    Args:
        source: The text, with plain newlines as line ends.
        lines: The same text, line by line.
        scope: What the file itself is called; the titles are its name and theirs, joined with dots.
        language: How to read it.
    """
    encoded = source.encode()
    tree = parse(encoded, language)
    if tree is None:
        return Cut(cut(lines, Piece(1, len(lines), scope), PASSAGE_LINES), intact=False, unknown=len(encoded))
    captured = _captured(tree, encoded, language)
    pieces: list[Piece] = []
    for part in _parts(captured.own(), captured.above, Piece(1, len(lines), scope)):
        if not _CLOSING.fullmatch("\n".join(lines[part.piece.first - 1 : part.piece.last])):
            pieces += _sized(lines, part)
    return Cut(pieces, not tree.root_node.has_error, captured.unknown)


def module_name(path: str) -> str:
    """`celery/app/defaults.py` is `celery.app.defaults`; a package's `__init__` carries the package's name."""
    name = path.removesuffix(".pyi").removesuffix(".py").replace("/", ".")
    return name.removesuffix(".__init__")


def _captured(tree: Tree, source: bytes, language: Language) -> _Captured:
    captured = _Captured()
    for _, captures in QueryCursor(language.query).matches(tree.root_node):
        if "above" in captures:
            captured.above.update(_whole_lines(captures["above"][0], source))
        elif "callback" in captures:
            captured.callbacks.append(captures["callback"][0].byte_range)
        elif "error" in captures:
            captured.unknown += captures["error"][0].end_byte - captures["error"][0].start_byte
        else:
            definition, key = _definition(captures, source)
            # In its wrapper (decorators, `template <…>`) it is matched twice, by one name: the wider one counts.
            known = captured.found.get(key)
            if known is None or definition.end - definition.start > known.end - known.start:
                captured.found[key] = definition
    return captured


def _definition(captures: dict[str, list[Node]], source: bytes) -> tuple[_Definition, int]:
    """One match of the query, and where its name stands."""
    whole = "whole" in captures
    node = captures["whole" if whole else "body"][0]
    named = _name_node(node, captures)
    name = (_clean(named, source) if named else "") or node.type.partition("_")[0]
    if "of" in captures:
        name = f"{_clean(captures['of'][0], source).partition('[')[0]}.{name}"
    at = named or node
    first, last = node.start_point.row + 1, _last_line(node)
    # What stands on one line cannot be cut into lines.
    definition = _Definition(
        node.start_byte, node.end_byte, first, last, at.start_point.row + 1, name, whole=whole or first == last
    )
    return definition, at.start_byte


def _name_node(definition: Node, captures: dict[str, list[Node]]) -> Node | None:
    if "name" in captures:
        node: Node | None = captures["name"][0]
    else:
        node = definition.child_by_field_name("name") or definition.child_by_field_name("declarator")
    while node is not None and node.type.endswith("declarator"):  # in C the name is inside: `*(*f)(int)`
        inner = node.child_by_field_name("declarator") or _inner_declarator(node)
        if inner is None:
            break
        node = inner
    return node


def _inner_declarator(node: Node) -> Node | None:
    """What a declarator in brackets, or of a reference, is about: the grammars give it no field."""
    return next((child for child in node.named_children if child.type.endswith(("declarator", "identifier"))), None)


def _clean(node: Node, source: bytes) -> str:
    """A name as titles show it: dots between its parts, and no type arguments."""
    text = source[node.start_byte : node.end_byte][:_READ_BYTES].decode(errors="replace")
    bare = _ARGUMENTS.sub("", _REFERENCE.sub("", text, count=1) if text.startswith(("&", "*")) else text)
    return " ".join(bare.replace("::", ".").replace("\\", ".").split()).strip(".\"' ")[:_NAME_CHARS]


def _last_line(node: Node) -> int:
    """The last line that a node has a character on; some comments end with the line break."""
    end = node.end_point
    return end.row if end.column == 0 and end.row > node.start_point.row else end.row + 1


def _whole_lines(node: Node, source: bytes) -> range:
    """The lines of a comment or attribute that hold nothing else."""
    first, last = node.start_point.row + 1, _last_line(node)
    before = source[node.start_byte - node.start_point.column : node.start_byte]
    line_end = source.find(b"\n", node.end_byte)
    after = source[node.end_byte : line_end if line_end >= 0 else None] if last > node.end_point.row else b""
    return range(first + bool(before.strip()), last + 1 - bool(after.strip()))


def _parts(found: Iterable[_Definition], above: Container[int], file: Piece) -> Iterator[_Part]:
    """The file in consecutive pieces, each of one definition or of one scope, in one pass downwards."""
    scopes = [_Scope(file, end=math.inf, header=0)]
    free, taken = file.first, -1  # the first line that is in no piece yet; the last byte of the last whole definition
    for one in found:
        if one.start < taken:
            continue
        while scopes[-1].end <= one.start:
            closed = scopes.pop()
            yield from closed.run(free, closed.piece.last)
            free = max(free, closed.piece.last + 1)
        first = max(one.first, free)
        while first > free and first - 1 in above:
            first -= 1
        yield from scopes[-1].run(free, first - 1)
        free = first
        title = f"{scopes[-1].piece.title}.{one.name}"[:_TITLE_CHARS]
        inner = _Scope(Piece(first, one.last, title), one.end, one.header)
        if one.whole:
            yield from inner.run(first, one.last)
            free, taken = max(free, one.last + 1), one.end
        else:
            scopes.append(inner)
    while scopes:
        closed = scopes.pop()
        yield from closed.run(free, closed.piece.last)
        free = max(free, closed.piece.last + 1)


def _sized(lines: Sequence[str], part: _Part) -> list[Piece]:
    """Cut a long definition; the later pieces carry its header in their title, since they no longer show it."""
    pieces = cut(lines, part.piece, DEFINITION_LINES)
    if len(pieces) < 2 or not part.piece.first <= part.header <= part.piece.last:
        return pieces
    later = f"{part.piece.title} {lines[part.header - 1].strip()[:_HEADER_CHARS]}"
    return [pieces[0], *(replace(piece, title=later) for piece in pieces[1:])]
