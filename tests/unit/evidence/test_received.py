"""What comes as bytes is kept as it lies, and is the very record that parsing and encoding would make of it."""

from __future__ import annotations

import json
import struct
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evidence import received
from evidence.format import MAX_BODY_BYTES, NO_HASH, prepare, seal
from evidence.received import receive
from replay.errors import InputError
from replay.identity import canonical_json
from tests.unit.evidence.test_format import RECORDS, VALUES

BITS = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
FLOATS = (BITS | st.floats(allow_nan=False, allow_infinity=False)).filter(lambda x: x - x == 0)


@given(RECORDS)
def test_canonical_bytes_give_what_encoding_gives(record: dict[str, Any]) -> None:
    """Record, hash, both halves, and the line that is made of them."""
    data = canonical_json(record)
    body, long_way = receive(data), prepare(json.loads(data))
    assert body[:4] == long_way[:4]
    assert seal(body, 7, NO_HASH) == seal(long_way, 7, NO_HASH)


@given(RECORDS, st.sampled_from(["spaces", "order", "ascii"]))
def test_other_bytes_are_put_into_canonical_form(record: dict[str, Any], form: str) -> None:
    """As ever: what a stranger sends with spaces, in another order or escaped is stored in the one form."""
    if form == "spaces":
        data = json.dumps(record, indent=1).encode()
    elif form == "order":
        data = json.dumps(dict(reversed(record.items())), separators=(",", ":"), ensure_ascii=False).encode()
    else:
        data = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    body = receive(data)
    assert b"{%b%b}" % (body.before, body.after) == canonical_json(record)
    assert body[:4] == prepare(json.loads(data))[:4]


@given(FLOATS, st.sampled_from(["[%s]", "[0,%s]", '{"a":%s}', '["e",%s]', "[null,%s]", '[[%s,1],"0"]']))
@example(1e-5, "[%s]")
@example(1e16, "[%s]")
@example(-0.00001234, "[0,%s]")
@example(5e-324, '{"a":%s}')
@example(1.7976931348623157e308, '{"a":%s}')
def test_no_float_that_is_written_in_two_ways_is_taken_as_it_lies(number: float, around: str) -> None:
    """Where the fast encoder and Python disagree, the bytes go the long way."""
    fast = orjson.dumps(number).decode()
    if fast != repr(number):
        assert received._may_hold_an_odd_float((around % fast).encode())


@pytest.mark.parametrize("digits", ["3e4f", "12e0", "0e9a"])
def test_a_hash_that_begins_like_a_number_is_taken_as_it_lies(digits: str) -> None:
    """A digit and an `e` stand at the beginning of every tenth hash: such a record must not go the long way."""
    data = canonical_json({"hash": f"sha256:{digits}", "id": "a", "schema": "s", "x": 1.5})
    assert received._as_it_lies(data) is not None
    assert receive(data)[:4] == prepare(json.loads(data))[:4]


@given(FLOATS)
def test_floats_come_out_in_the_one_form(number: float) -> None:
    """Whichever way they came."""
    for text in (repr(number), orjson.dumps(number).decode()):
        body = receive(f'{{"id":"a","schema":"s","x":{text}}}'.encode())
        assert body.after.endswith(f'"x":{number!r}'.encode())


@given(st.lists(st.text(), max_size=6), VALUES)
def test_keys_are_sorted_as_python_sorts_them(keys: list[str], value: Any) -> None:
    """Also beyond the basic plane, where UTF-16 would sort otherwise; lone surrogates are refused by both ways."""
    record = dict.fromkeys(keys, value) | {"id": "a", "schema": "s"}
    record.pop("chain", None)
    data = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )
    try:
        expected = prepare(json.loads(data))[:4]
    except (InputError, ValueError) as error:
        with pytest.raises(type(error)):
            receive(data)
    else:
        assert receive(data)[:4] == expected


@pytest.mark.parametrize(
    "data",
    [
        b'{"id":"a","schema":"s","x":1,"x":2}',
        b'{"id":"a","schema":"s","x":"\\u0041"}',
        b'{"id":"a","schema":"s","x":"\\/"}',
        b'{"id":"a","schema":"s","x":1e2}',
        b'{"id":"a","schema":"s","x":-0}',
        b'{"id":"a","schema":"s","x":1.0} ',
    ],
)
def test_what_is_not_canonical_never_lies_as_it_came(data: bytes) -> None:
    """It is stored, but in the canonical form, as before."""
    body = receive(data)
    assert b"{%b%b}" % (body.before, body.after) == canonical_json(json.loads(data)) != data


@pytest.mark.parametrize(
    ("data", "about"),
    [
        (b"[]", "not a JSON object"),
        (b'{"id":"a"}', "schema"),
        (b'{"id":5,"schema":"s"}', "no id"),
        (b'{"chain":{},"id":"a","schema":"s"}', "chain"),
        (b'{"id":"a","schema":"s","x":NaN}', "JSON"),
        (b'{"id":"a","schema":"s","x":"' + b"x" * MAX_BODY_BYTES + b'"}', "bytes"),
    ],
)
def test_what_the_log_cannot_store_is_refused_in_the_same_words(data: bytes, about: str) -> None:
    """By the one function that knows."""
    with pytest.raises(InputError, match=about):
        receive(data)
