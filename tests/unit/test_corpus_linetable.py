"""The line table as a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from replay.contracts import Record, RecordKind
from replay.corpus import linetable
from replay.corpus.index import blobs, hash_tokens
from replay.corpus.linetable import MAGIC, NAME_PART, TOKEN_NUMBER, LineTable, build_lines, tabulate
from replay.corpus.naming import LineKind
from replay.errors import CorpusError

RECORDS = [
    Record(record_id="a", kind=RecordKind.SOURCE, title="pkg.Pool", path="pkg/pool.py", origin="pkg 1", text=text)
    for text in ("class Pool:\n    max_size = 3\n\n    x = max_size", "", "é = 'ü'\né = 'ö'")
] + [Record(record_id="b", kind=RecordKind.SOURCE, text="size", origin="other")]


def written(path: Path, records: list[Record]) -> str:
    """Write a table; its digest."""
    content = b"".join(build_lines(records))
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def test_a_table_comes_back_as_it_was_made(tmp_path: Path) -> None:
    """Every array, and the origins."""
    made = tabulate(RECORDS)
    opened = LineTable.open(tmp_path / "x.lines", sha256=written(tmp_path / "x.lines", RECORDS))
    for name in linetable._ARRAYS:
        np.testing.assert_array_equal(getattr(opened, name), getattr(made, name))
        assert getattr(opened, name).dtype == getattr(made, name).dtype
    assert opened.origins == ("pkg 1", "other")
    assert opened.origin.tolist() == [0, 0, 0, 1]
    assert len(opened) == len(RECORDS)


def test_a_row_holds_the_distinct_tokens_of_its_line() -> None:
    """In order, those of the defined name marked; heads and lines in turn."""
    table = tabulate(RECORDS)
    assert table.first_row.tolist() == [0, 5, 7, 10, 12]
    row = 2  # max_size = 3
    start = int(table.counts[:row].sum())
    entries = table.entries[start : start + int(table.counts[row])]
    assert (entries & TOKEN_NUMBER).tolist() == table.token_numbers(
        hash_tokens(["max_size", "max", "size", "3"])
    ).tolist()
    assert (entries >= NAME_PART).tolist() == [False, True, True, False]
    assert table.name_parts[row] == 2
    assert table.enclosing[row] == 1
    assert table.kinds[:5].tolist() == [0, LineKind.CLASS_HEADER, LineKind.LITERAL, 0, LineKind.DEFINITION]


def test_a_token_that_no_line_holds_has_no_number() -> None:
    """Also where there is no line at all."""
    assert tabulate(RECORDS).token_numbers(hash_tokens(["zzz"])).tolist() == [-1]
    assert tabulate([]).token_numbers(hash_tokens(["zzz"])).tolist() == [-1]


def test_the_same_records_give_the_same_bytes() -> None:
    """So that segments can be named by their content."""
    assert b"".join(build_lines(RECORDS)) == b"".join(build_lines(iter(RECORDS)))


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    """A flipped byte, a missing file, another tokenizer, a lacking array: each names the file and says what to do."""
    path = tmp_path / "x.lines"
    digest = written(path, RECORDS)
    content = bytearray(path.read_bytes())
    content[-70] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=r"x\.lines is damaged") as caught:
        LineTable.open(path, sha256=digest)
    assert caught.value.hint
    path.unlink()
    with pytest.raises(CorpusError, match=r"x\.lines"):
        LineTable.open(path, sha256=digest)
    for about, fault in (
        ({"tokenizer": "tokens.v0", "origins": []}, "tokens.v0"),
        ({"tokenizer": "tokens.v1", "origins": []}, "lacks"),
    ):
        made = b"".join(blobs.write(MAGIC, {}, about))
        path.write_bytes(made)
        with pytest.raises(CorpusError, match=fault):
            LineTable.open(path, sha256=hashlib.sha256(made).hexdigest())
