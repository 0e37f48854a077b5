"""Importing playbooks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from replay.contracts import RecordKind
from replay.corpus import playbooks
from replay.errors import InputError

GOOD = {"id": "pb-1", "kind": "exemplar", "title": "T", "text": "Claim: x\nVerify x.", "tags": ["a"], "proof": {"p": 1}}


def parse(*lines: Any) -> playbooks.PlaybookReport:
    """The report of these lines: bytes as they are, anything else as JSON."""
    encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return playbooks.parse(b"\n".join(encoded), "book.jsonl")


def test_a_record_is_read_and_unknown_fields_are_left_aside() -> None:
    """The fields that Replay knows become the record; `proof` makes no noise."""
    report = parse(GOOD)
    (record,) = report.records
    assert record.wire() == {
        "record_id": "pb-1",
        "kind": "exemplar",
        "text": "Claim: x\nVerify x.",
        "title": "T",
        "path": None,
        "first_line": None,
        "last_line": None,
        "tags": ["a"],
        "origin": "book.jsonl",
    }
    assert report.bad_lines == ()


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"kind": "note"}, RecordKind.NOTE),
        ({"kind": "warning", "score": 0.9}, RecordKind.WARNING),
        ({"score": 0.75}, RecordKind.EXEMPLAR),
        ({"success_score": 0.74}, RecordKind.WARNING),
        ({"success_score": 1}, RecordKind.EXEMPLAR),
        ({}, RecordKind.NOTE),
    ],
)
def test_older_names_and_scores(fields: dict[str, Any], kind: RecordKind) -> None:
    """`rag_id` and `content` are understood; a score decides the kind where none is named."""
    (record,) = parse({"rag_id": "r1", "content": "text", **fields}).records
    assert (record.record_id, record.text, record.kind) == ("r1", "text", kind)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"{not json", ""),
        (b"[1]", ""),
        (b'{"id": "\xff"}', ""),
        (b"[" * 100_000, ""),
        ({**GOOD, "kind": "source"}, "kind"),
        ({**GOOD, "kind": ["exemplar"]}, "kind"),
        ({"kind": "note", "text": "x"}, "id"),
        ({"id": "x", "kind": "note"}, "text"),
        ({**GOOD, "text": "  "}, "text"),
        ({**GOOD, "text": 7}, "text"),
        ({**GOOD, "text": "x" * 8_001}, "text"),
        (b'{"id": "x", "kind": "note", "text": "\\ud800"}', "text"),
        ({**GOOD, "title": 5}, "title"),
        ({**GOOD, "tags": "a"}, "tags"),
        ({"id": "x", "text": "y", "score": 7}, "score"),
        ({"id": "x", "text": "y", "score": True}, "score"),
        (b'{"id": "x", "text": "y", "score": NaN}', "score"),
    ],
)
def test_a_bad_line_is_reported_and_the_others_are_kept(line: Any, field: str) -> None:
    """Each bad line has its number and the field at fault; nothing else is lost for it."""
    last = {**GOOD, "id": "pb-3"}
    report = parse({**GOOD, "id": "pb-0"}, line, b"", last)
    assert [record.record_id for record in report.records] == ["pb-0", "pb-3"]
    assert [(bad.number, bad.field) for bad in report.bad_lines] == [(2, field)]
    assert report.bad_lines[0].reason


def test_an_id_that_comes_twice_is_an_error_the_second_time() -> None:
    """Two records cannot share an id, so the first is kept and the second reported."""
    report = parse(GOOD, {**GOOD, "text": "other"})
    assert [record.text for record in report.records] == [GOOD["text"]]
    assert [(bad.number, bad.field) for bad in report.bad_lines] == [(2, "id")]


def test_the_project_s_own_playbook_is_clean() -> None:
    """Every line of the committed playbook is a record."""
    report = playbooks.read(Path(__file__).parents[2] / "data/playbooks/celery-playbook.jsonl")
    assert report.bad_lines == ()
    assert {record.kind for record in report.records} == {RecordKind.EXEMPLAR, RecordKind.WARNING, RecordKind.NOTE}


def test_a_missing_file_is_an_error_with_a_hint(tmp_path: Path) -> None:
    """A path that cannot be read is the user's to mend."""
    with pytest.raises(InputError, match="cannot be read") as caught:
        playbooks.read(tmp_path / "none.jsonl")
    assert caught.value.hint
