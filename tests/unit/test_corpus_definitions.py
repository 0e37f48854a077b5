"""Cutting Python by definition; the other languages are in test_corpus_languages.py."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from textwrap import dedent

from replay.corpus.definitions import definitions, module_name
from replay.corpus.languages import PYTHON
from replay.corpus.passages import DEFINITION_LINES, PIECE_CHARS, Piece

MODULE = dedent(
    '''\
    """Doc."""
    import os

    LIMIT = 4


    # Why this exists.
    @wraps(os)
    def outer(x=3):
        def inner():
            return x
        return inner


    class Pool(Base):
        """A pool."""
        size = 10

        def grow(self):
            self.size += 1

        class Meta:
            strict = True

        timeout = 20

    try:
        import fast
    except ImportError:
        def fast():
            return None
    '''
)


def pieces_of(source: str, module: str = "m") -> list[Piece]:
    """The pieces of a module."""
    return definitions(source, source.split("\n"), module, PYTHON).pieces


def spans_of(source: str) -> dict[tuple[int, int], str]:
    """The titles of a module's pieces by their line range."""
    return {(piece.first, piece.last): piece.title for piece in pieces_of(source, "pkg.mod")}


def test_a_module_is_cut_by_definition() -> None:
    """Functions whole with decorators and comments, class bodies without methods, module code, each with its lines."""
    assert spans_of(MODULE) == {
        (1, 4): "pkg.mod",
        (7, 12): "pkg.mod.outer",
        (15, 17): "pkg.mod.Pool",
        (19, 20): "pkg.mod.Pool.grow",
        (22, 23): "pkg.mod.Pool.Meta",
        (25, 25): "pkg.mod.Pool",
        (27, 29): "pkg.mod",
        (30, 31): "pkg.mod.fast",
    }


def test_every_line_that_says_something_is_in_exactly_one_record() -> None:
    """Nothing of a module is lost or doubled."""
    lines = MODULE.split("\n")
    held = sorted(number for first, last in spans_of(MODULE) for number in range(first, last + 1))
    assert len(held) == len(set(held))
    assert {n for n, line in enumerate(lines, 1) if line.strip()} <= set(held)


def test_a_comment_belongs_to_what_it_stands_on() -> None:
    """A comment at the end of a function is the function's; one directly above the next is the next's; others float."""
    source = "def f():\n    return 1\n    # of f\n# of g\ndef g():\n    return 2\n\n# of nobody\n\ndef h(): pass\n"
    assert spans_of(source) == {(1, 3): "pkg.mod.f", (4, 6): "pkg.mod.g", (8, 8): "pkg.mod", (10, 10): "pkg.mod.h"}


def test_a_comment_behind_code_stays_with_the_code() -> None:
    """What stands above a definition belongs to it only where it has its lines for itself."""
    source = "x = 1  # of x\ndef f():\n    pass\n"
    assert spans_of(source) == {(1, 1): "pkg.mod", (2, 3): "pkg.mod.f"}


def test_decorators_belong_to_their_definition() -> None:
    """A decorated class begins at its first decorator, and so does a decorated method."""
    source = "@one\n@two(\n    3,\n)\nclass A:\n    x = 1\n\n    @property\n    def y(self): return 1\n"
    assert spans_of(source) == {(1, 6): "pkg.mod.A", (8, 9): "pkg.mod.A.y"}


def test_a_class_without_methods_is_one_record() -> None:
    """An exception in one line, and an enum."""
    source = "class Bad(Exception): ...\n\n\nclass Mode(Enum):\n    FAST = 1\n    SAFE = 2\n"
    assert spans_of(source) == {(1, 1): "pkg.mod.Bad", (4, 6): "pkg.mod.Mode"}


def test_a_syntax_error_costs_only_what_it_touches() -> None:
    """The intact definitions of a broken file are cut as ever, and the file is named as not understood."""
    source = (
        "def first():\n    return 1\n\ndef broken(:\n    return\n\nclass Last:\n    def f(self):\n        return 2\n"
    )
    made = definitions(source, source.split("\n"), "m", PYTHON)
    assert not made.intact
    assert {"m.first", "m.Last.f"} <= {piece.title for piece in made.pieces}


def test_syntax_of_any_python_is_understood() -> None:
    """Records do not depend on the interpreter: old and new statements are both cut."""
    for statement in ('print "hello"', "match x:\n    case 1: pass", "type A[T] = list[T]", "f'{x!r:>{width}}'"):
        source = f"{statement}\n\ndef f():\n    pass\n"
        assert pieces_of(source)[-1].title == "m.f"


def test_a_long_definition_is_cut_into_pieces_that_name_its_header() -> None:
    """The later pieces of a long function no longer show its header, so their title does, whatever stands above it."""
    source = "# why\n@cached\ndef long(first, second=2):\n" + "".join(f"    x{n} = {n}\n" for n in range(300))
    pieces = pieces_of(source)
    assert [piece.title for piece in pieces] == ["m.long"] + ["m.long def long(first, second=2):"] * (len(pieces) - 1)
    assert all(piece.last - piece.first < DEFINITION_LINES for piece in pieces)
    assert (pieces[0].first, pieces[-1].last) == (1, 303)


def test_the_later_run_of_a_class_body_has_the_title_of_the_class() -> None:
    """Only a piece that shows the header is followed by pieces that repeat it."""
    body = "".join(f"    x{n} = {n}\n" for n in range(200))
    titles = {piece.title for piece in pieces_of(f"class A:\n    def f(self): pass\n\n{body}")}
    assert titles == {"m.A", "m.A.f"}


def test_a_cut_falls_where_a_block_begins() -> None:
    """A long mapping is cut before one of its outer entries, not inside one."""
    block = "    {name}=Namespace(\n" + "        option=1,\n" * 28 + "    ),\n"
    source = "SETTINGS = dict(\n" + "".join(block.format(name=name) for name in "abcdef") + ")\n"
    lines = source.split("\n")
    starts = [lines[piece.first - 1].strip() for piece in pieces_of(source)]
    assert len(starts) > 1
    assert all(start.endswith("=Namespace(") for start in starts[1:])


def test_nesting_without_end_is_no_trouble() -> None:
    """A thousand classes within each other are cut, and their titles stay short."""
    source = "".join(f"{' ' * depth}class A{depth}:\n{' ' * depth} x = {depth}\n" for depth in range(1000))
    pieces = pieces_of(source)
    assert sum(piece.last - piece.first + 1 for piece in pieces) == 2000
    assert max(len(piece.title) for piece in pieces) < PIECE_CHARS


def test_real_modules_are_cut_without_a_loss() -> None:
    """Every line of kombu that says something is in one record, and every module is understood."""
    root = Path(str(metadata.distribution("kombu").locate_file("kombu")))
    for path in sorted(root.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        lines = source.split("\n")
        made = definitions(source, lines, "m", PYTHON)
        assert made.intact
        held = [number for piece in made.pieces for number in range(piece.first, piece.last + 1)]
        assert held == sorted(set(held))
        said = {number for number, line in enumerate(lines, 1) if any(letter.isalnum() for letter in line)}
        assert {lines[number - 1].strip() for number in said - set(held)} <= {"else:"}


def test_module_names() -> None:
    """A path becomes a dotted name; a package's `__init__` carries the package's."""
    assert module_name("celery/app/defaults.py") == "celery.app.defaults"
    assert module_name("celery/app/__init__.py") == "celery.app"
