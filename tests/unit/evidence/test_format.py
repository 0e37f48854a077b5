from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.format import MAX_BODY_BYTES, NO_HASH, Flaw, Head, Line, decode, encode, parse, prepare, succeed
from replay.errors import InputError
from replay.identity import canonical_json, digest

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
RECORDS = st.builds(
    lambda rest, schema, name: rest | {"schema": schema, "id": name},
    st.dictionaries(TEXT.filter(lambda key: key != "chain"), VALUES, max_size=5),
    TEXT.filter(bool),
    TEXT.filter(bool),
)


@given(RECORDS, st.integers(1, 10**9))
def test_round_trip(record: dict[str, Any], seq: int) -> None:
    """Any JSON record comes back from its line, and the line is the canonical form of record and chain."""
    line = encode(record, seq, NO_HASH)
    assert decode(line.data) == line
    assert line.record == record
    assert line.body_hash == digest(record)
    chain = {"seq": seq, "prev": NO_HASH}
    assert line.chain.hash == digest(record | {"chain": chain})
    assert line.data == canonical_json(record | {"chain": chain | {"hash": line.chain.hash}}) + b"\n"


def test_the_bytes_never_change() -> None:
    """A line written today is a line for ever."""
    line = encode({"schema": "s.v1", "id": "a", "batch_id": "b", "score": 0.5, "text": "ü\n"}, 7, NO_HASH)
    assert (
        line.data
        == (
            '{"batch_id":"b","chain":{"hash":"sha256:586d40a471429e4ae460ed957179eceeb6044d7fe12f79099118fd1c7a7f125f",'
            f'"prev":"{NO_HASH}","seq":7}},"id":"a","schema":"s.v1","score":0.5,"text":"ü\\n"}}\n'
        ).encode()
    )


@pytest.mark.parametrize(
    ("record", "about"),
    [
        ({"id": "a"}, "schema"),
        ({"schema": "s"}, "id"),
        ({"schema": "s", "id": ""}, "id"),
        ({"schema": "s", "id": 5}, "id"),
        ({"schema": "s", "id": "a", "chain": {}}, "chain"),
        ({"schema": "s", "id": "a", "x": float("nan")}, "JSON"),
        ({"schema": "s", "id": "a", "x": float("inf")}, "JSON"),
        ({"schema": "s", "id": "a", "x": "\ud800"}, "JSON"),
        ({"schema": "s", "id": "a", "x": object()}, "JSON"),
        ({"schema": "s", "id": "a", 5: 5}, "JSON"),
        ({"schema": "s", "id": "a", "x": "y" * MAX_BODY_BYTES}, "bytes"),
    ],
)
def test_what_cannot_be_a_record(record: dict[str, Any], about: str) -> None:
    """A record that could not be read back is refused with its name, what is wrong and what to do."""
    with pytest.raises(InputError, match=about) as raised:
        prepare(record)
    assert raised.value.hint


def _nested(depth: int) -> list[Any]:
    return [_nested(depth - 1)] if depth else []


def test_too_deep_for_json() -> None:
    """Nesting that the JSON library cannot follow is refused on both ways, not a crash."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError):
        prepare({"schema": "s", "id": "a", "x": deep})
    assert isinstance(parse(b"[" * 100_000 + b"\n"), Flaw)
    assert isinstance(decode(encode({"schema": "s", "id": "a", "x": _nested(50)}, 1, NO_HASH).data), Line)


GOOD = encode({"schema": "s", "id": "a", "n": 1}, 1, NO_HASH).data


@pytest.mark.parametrize(
    ("data", "position", "expected"),
    [
        (GOOD[:-1], len(GOOD) - 1, "line end"),
        (b"", 0, "line end"),
        (b"\n", 1, "JSON"),
        (b"[]\n", 0, "object"),
        (b'{"id":"\xff"}\n', 7, "UTF-8"),
        ('{"ü":!}\n'.encode(), 6, "JSON"),
        (b'{"id":"a","schema":"s"}\n', 0, "chain"),
        (GOOD.replace(b'"seq":1', b'"seq":0'), 1, "chain"),
        (GOOD.replace(b'"seq":1', b'"seq":true'), 1, "chain"),
        (GOOD.replace(b'"seq":1', b'"epoch":1,"seq":1'), 1, "chain"),
        (GOOD.replace(b"sha256:", b"sha512:"), 1, "chain"),
        (GOOD.replace(b'"n":1', b'"n":NaN'), 0, "record"),
        (GOOD.replace(b'"n":1', b'"n": 1'), GOOD.index(b'"n":') + 4, "canonical"),
        (GOOD.replace(b'"n":1', b'"n":1,"n":1'), GOOD.index(b'"n":1') + 7, "canonical"),
        (GOOD.replace(b'"n":1', b'"n":2'), GOOD.index(b"sha256:") + 7, "hash"),
    ],
)
def test_flaws(data: bytes, position: int, expected: str) -> None:
    """Bytes that are no line say at which byte, and what would fit there."""
    flaw = decode(data)
    assert isinstance(flaw, Flaw)
    assert expected in flaw.expected
    assert flaw.position == position


def test_a_line_follows_one_line_only() -> None:
    """A line is refused in another place, although it is sound alone."""
    first = encode({"schema": "s", "id": "a"}, 1, NO_HASH)
    second = encode({"schema": "s", "id": "b"}, 2, first.chain.hash)
    assert succeed(first.data, Head()) == first
    assert succeed(second.data, Head().after(first)) == second
    swapped = succeed(second.data, Head())
    assert isinstance(swapped, Flaw)
    assert second.data[swapped.position :].startswith(b'"prev"')
    skipped = succeed(encode({"schema": "s", "id": "b"}, 3, first.chain.hash).data, Head().after(first))
    assert isinstance(skipped, Flaw)
    assert skipped.expected == "seq 2"
    assert json.loads(first.data)["chain"]["seq"] == 1
