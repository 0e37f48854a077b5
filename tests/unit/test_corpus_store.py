"""Records as bytes: canonical, proven by their digests, and told from each other without reading them whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay import identity
from replay.contracts import Record, RecordKind
from replay.corpus import store
from replay.errors import CorpusError

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ['","tags":[', ',"record_id":"x"', '"origin":"a","path":', "\\", '\\"', "\0\x1f\x7f", "\u2028\r\n", "ü😀"]
)
RECORDS = st.builds(
    Record,
    **dict.fromkeys(("record_id", "text", "title", "origin"), TEXTS),
    kind=st.sampled_from(RecordKind),
    path=st.none() | TEXTS,
    first_line=st.none() | st.integers(1, 10**9),
    last_line=st.none() | st.integers(1, 10**9),
    tags=st.lists(TEXTS, max_size=3).map(tuple),
    also=st.lists(TEXTS, max_size=2).map(tuple),
)


@given(RECORDS)
def test_a_line_is_the_canonical_form_and_tells_of_its_record(record: Record) -> None:
    """The fast encoder gives what every other hash of the project is made of; id and labels are read from the line."""
    line = store.encode(record)
    assert line == identity.canonical_json(record.wire()) + b"\n"
    assert store.decode(line, Path("x")) == record
    assert store.record_id_of(line) == record.record_id
    assert [store.unquoted(label) for label in store.labels_of(line)] == [record.kind, record.origin]


def test_every_byte_of_a_record_is_proven(tmp_path: Path) -> None:
    """One flipped bit anywhere, the line's end included, is refused by the name of the file."""
    lines = [store.encode(Record(record_id=name, kind=RecordKind.NOTE, text=name * 5)) for name in "abc"]
    path = tmp_path / "seg.records"
    content = b"".join(lines)
    offsets = np.cumsum([0, *map(len, lines)])
    digests = np.frombuffer(b"".join(map(store.digest, lines)), "<u8").reshape(-1, 2)
    for place in range(len(lines[0]), len(lines[0]) + len(lines[1])):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        records = store.Records(path, offsets, digests)
        with pytest.raises(CorpusError, match="damaged") as caught:
            records.read(1)
        assert str(path) in caught.value.message
        assert [records.read(0).record_id, records.record_id(2)] == ["a", "c"]


def test_a_record_of_ten_megabytes_is_stored(tmp_path: Path) -> None:
    """Nothing bounds a record but memory."""
    record = Record(record_id="large", kind=RecordKind.NOTE, text="word " * 2_000_000)
    line = store.encode(record)
    path = tmp_path / "seg.records"
    path.write_bytes(line)
    digests = np.frombuffer(store.digest(line), "<u8").reshape(1, 2)
    assert store.Records(path, np.array([0, len(line)]), digests).read(0) == record
