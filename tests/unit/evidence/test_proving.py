from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence import proving
from evidence.format import NO_HASH, Flaw, Head, encode, succeed
from evidence.proving import prove

TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["{", "}", '"', "\\", '\\"', "[]", "},", '"bundle":{']
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
BUNDLED: dict[str, Any] = {
    "schema": "replay_run.v1",
    "id": "att_1",
    "attempt": {"tier": "local"},
    "bundle": {"records": [{"text": 'a "quoted" {word\\'}], "none": {}},
}


@given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=4), st.dictionaries(TEXT, VALUES, max_size=3))
def test_it_proves_what_the_whole_way_proves(bundle: dict[str, Any], rest: dict[str, Any]) -> None:
    """Whatever stands in a bundle and around it, the short way says what the long one says."""
    rest.pop("chain", None)
    line = encode(rest | BUNDLED | {"bundle": bundle}, 1, NO_HASH)
    proved = prove(line.data, Head())
    assert not isinstance(proved, Flaw)
    assert (proved.chain, proved.body_hash, proved.data) == (line.chain, line.body_hash, line.data)
    assert {**proved.record, "bundle": bundle} == line.record


def test_the_short_way_is_taken() -> None:
    """A run's line is proved by its bytes: the record comes without its bundle."""
    proved = prove(encode(BUNDLED, 1, NO_HASH).data, Head())
    assert not isinstance(proved, Flaw)
    assert "bundle" not in proved.record


def _sealed(text: bytes) -> bytes:
    """A line with these bytes around its chain and hashes that are made for them, as a forger has them."""
    import hashlib  # noqa: PLC0415  used by this forger only

    before, after = text.split(b"CHAIN")
    tail = b'"prev":"%b","seq":1},%b' % (NO_HASH.encode(), after)
    hashed = hashlib.sha256(before + b'"chain":{' + tail).hexdigest().encode()
    return before + b'"chain":{"hash":"sha256:%b",%b\n' % (hashed, tail)


@pytest.mark.parametrize(
    "text",
    [
        b'{"bundle":{},"batch_id":"b","bundle":{},CHAIN"id":"a","schema":"s"}',
        b'{"bundle":{"a":1},"id":"z",CHAIN"id":"a","schema":"s"}',
        b'{"bundle":{"a":1},"batch_id":{},CHAIN"id":"a","schema":"s"}',
        b'{"bundle":{"a":1}},{"b":{},CHAIN"id":"a","schema":"s"}',
        b'{"bundle":{"a":[1},{]},CHAIN"id":"a","schema":"s"}',
        b'{"bundle":{"a":"\xff"},CHAIN"id":"a","schema":"s"}',
        b'{"bundle":{"a":1},CHAIN"id":"a","schema":"s" }',
        b'{"bundle":{"a":1},CHAIN"id":"a","id":"a","schema":"s"}',
        b'{"a":{"bundle":{"a":1},CHAIN"id":"a"},"id":"a","schema":"s"}',
        b'{"cha":1,"bundle":{"a":1},CHAIN"id":"a","schema":"s"}',
        b'{"c":1,"bundle":{"a":1},CHAIN"id":"a","schema":"s"}',
        b'{"bundle":{"a":1},CHAIN"id":"","schema":"s"}',
        b'{"bundle":{"a":1},CHAIN"id":5,"schema":"s"}',
        b'{"bundle":{"a":1},CHAIN"id":"a"}',
        b'{"attempt":"{"bundle":{"a":1},CHAIN"id":"a","schema":"s"}',
    ],
)
def test_a_forged_line_is_refused(text: bytes) -> None:
    """Hashes that fit do not make a line of bytes that read as another record than they seem to hold."""
    data = _sealed(text)
    flaw = prove(data, Head())
    assert isinstance(flaw, Flaw)
    assert flaw == succeed(data, Head())


def test_the_honest_twin_of_the_forged_lines() -> None:
    """The forger's tool makes sound lines of sound bytes, so it is the bytes that are refused."""
    data = _sealed(b'{"bundle":{"a":1},CHAIN"id":"a","schema":"s"}')
    assert not isinstance(succeed(data, Head()), Flaw)
    assert proving._by_bytes(data, Head()) is not None


def test_every_other_byte_is_refused() -> None:
    """Any flipped byte of a line with a bundle gets the flaw that the long way names."""
    data = encode(BUNDLED, 1, NO_HASH).data
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        flaw = prove(changed, Head())
        assert isinstance(flaw, Flaw), at
        assert flaw == succeed(changed, Head())
