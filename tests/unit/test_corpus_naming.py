"""What lines do, and how they hang together."""

from __future__ import annotations

import pytest

from replay.corpus.anatomy import anatomy
from replay.corpus.naming import LineKind, naming


@pytest.mark.parametrize(
    ("line", "kind", "parts"),
    [
        ("size = 10", LineKind.LITERAL, ("size",)),
        ("MAX_POOL_SIZE = 10", LineKind.LITERAL, ("max", "pool", "size")),
        ("self.limit: int = 4", LineKind.LITERAL, ("limit",)),
        ("limit=Option(4, type='int'),", LineKind.LITERAL, ("limit",)),
        ("limit = given or 100", LineKind.LITERAL, ("limit",)),
        ("'x-max-length': 3,", LineKind.LITERAL, ("x", "max", "length")),
        ("'size' => 3,", LineKind.LITERAL, ("size",)),
        ("export const size = 3;", LineKind.LITERAL, ("size",)),
        ("public static final int SIZE = 3;", LineKind.LITERAL, ("size",)),
        ("größe = 3", LineKind.LITERAL, ("größe",)),
        ("size := 3", LineKind.LITERAL, ("size",)),
        ("#define POOL_SIZE 3", LineKind.LITERAL, ("pool", "size")),
        ("registry._set_serializer('json')", LineKind.LITERAL, ("serializer",)),
        ("pool.setSize(3);", LineKind.LITERAL, ("size",)),
        ("self.limit = limit", LineKind.DEFINITION, ("limit",)),
        ("limit: int", LineKind.DEFINITION, ("limit",)),
        ("def max_size(self):", LineKind.DEFINITION, ("max", "size")),
        ("class Pool(Base):", LineKind.CLASS_HEADER, ("pool",)),
        ("raise PoolError(", LineKind.FAILURE, ()),
        ("throw new Error('x');", LineKind.FAILURE, ()),
        ("warnings.warn('x')", LineKind.FAILURE, ()),
        (".. deprecated:: 4.0", LineKind.FAILURE, ()),
        ("return limit", LineKind.OTHER, ()),
        ("limit == 4", LineKind.OTHER, ()),
        ("settings(4)", LineKind.OTHER, ()),
        ("x => 4", LineKind.OTHER, ()),
        ("", LineKind.OTHER, ()),
    ],
)
def test_a_line_is_told_by_its_form(line: str, kind: LineKind, parts: tuple[str, ...]) -> None:
    """In the languages that are common, with whatever stands before the name."""
    found = naming(f"    {line}")
    assert found.kind is kind
    assert found.parts == parts


def test_words_of_asking_are_no_parts_of_a_name() -> None:
    """`default_size` is asked for by size; a name of nothing else defines all the same."""
    assert naming("default_size = 1").parts == ("size",)
    assert naming("default = 1") == naming("value = 1")


def test_a_line_of_megabytes_is_told_by_its_beginning() -> None:
    """The search does not take the square of its length."""
    assert naming("size = " + "x" * 5_000_000).kind is LineKind.DEFINITION


def test_lines_belong_to_what_encloses_them() -> None:
    """Less indentation encloses, and a blank line belongs to nothing."""
    lines = ["class Pool:", "    def size(self):", "        return 1", "", "    name = 'x'"]
    assert [line.enclosing for line in anatomy(lines)] == [-1, 0, 1, -1, 0]


def test_a_bare_first_argument_says_what_the_others_are_about() -> None:
    """`"--backlog"` is around `default=2048`; a keyword that comes first is around nothing."""
    option = ["@option(", '    "--backlog",', "    type=int,", "    default=2048,", ")"]
    assert [line.enclosing for line in anatomy(option)] == [-1, 0, 1, 1, -1]
    call = ["dict(", "    a=1,", "    b=2,", ")"]
    assert [line.enclosing for line in anatomy(call)] == [-1, 0, 0, -1]
    body = ["if x:", "    run()", "    size = 1"]
    assert [line.enclosing for line in anatomy(body)] == [-1, 0, 0]


def test_a_value_broken_after_its_bracket_is_still_a_value() -> None:
    """`level=Option(` above `'WARNING',` gives a name a literal value; a call's own argument does not."""
    kinds = [line.named.kind for line in anatomy(["level=Option(", "    'WARNING',", "    old=1,", ")"])]
    assert kinds[:2] == [LineKind.DEFINITION, LineKind.LITERAL]
    assert anatomy(["log(", "    'WARNING',", ")"])[1].named.kind is LineKind.OTHER
