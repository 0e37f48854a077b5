"""Importing playbooks: Replay's own files, and what other systems export."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.contracts import Record, RecordKind
from replay.corpus import entry, fieldmap, jsonlines, playbooks
from replay.corpus.fieldmap import FieldMap
from replay.errors import InputError

GOOD = {"id": "pb-1", "kind": "exemplar", "title": "T", "text": "Claim: x\nVerify x.", "tags": ["a"], "proof": {"p": 1}}
BARE = {"id": "x", "text": "y"}


def encoded(*lines: Any) -> bytes:
    """These lines as a file: bytes as they are, anything else as JSON."""
    return b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)


def parse(*lines: Any, fields: FieldMap = FieldMap()) -> playbooks.PlaybookReport:  # noqa: B008  frozen
    """The report of these lines."""
    return playbooks.parse(encoded(*lines), "book.jsonl", fields)


def test_a_record_is_read_and_unknown_fields_are_left_aside() -> None:
    """The fields that Replay knows become the record; `proof` makes no noise."""
    report = parse(GOOD)
    assert report.records == (
        Record(
            record_id="pb-1",
            kind=RecordKind.EXEMPLAR,
            text="Claim: x\nVerify x.",
            title="T",
            tags=("a",),
            origin="book.jsonl",
        ),
    )
    assert report.bad_lines == ()


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"kind": "note"}, RecordKind.NOTE),
        ({"kind": "warning", "score": 0.9}, RecordKind.WARNING),
        ({"kind": None, "score": 0.9}, RecordKind.EXEMPLAR),
        ({"kind": "Success "}, RecordKind.EXEMPLAR),
        ({"outcome": "partial"}, RecordKind.WARNING),
        ({"metadata": {"kind": "failed"}}, RecordKind.WARNING),
        ({"score": 0.75}, RecordKind.EXEMPLAR),
        ({"success_score": 0.74}, RecordKind.WARNING),
        ({"success_score": 1}, RecordKind.EXEMPLAR),
        ({"success": True}, RecordKind.EXEMPLAR),
        ({"success": False}, RecordKind.WARNING),
        ({"meta": {"success_score": 0.8}}, RecordKind.EXEMPLAR),
        ({"meta.score": 0.1}, RecordKind.WARNING),
        ({}, RecordKind.NOTE),
    ],
)
def test_the_usual_names_are_understood(fields: dict[str, Any], kind: RecordKind) -> None:
    """`rag_id` and `content` will do; a word, else a score, decides the kind, nested or not."""
    (record,) = parse({"rag_id": "r1", "content": "text", **fields}).records
    assert (record.record_id, record.text, record.kind) == ("r1", "text", kind)


def test_what_can_be_read_in_one_way_only_is_read() -> None:
    """A number is an id, a title is one line, tags may be one string; blanks and repetitions among tags are dropped."""
    (record,) = parse({"id": 17, "text": "x", "title": " a\n b ", "tags": "one, two,,one"}).records
    assert (record.record_id, record.title, record.tags) == ("17", "a b", ("one", "two"))
    for title in ("", "  ", "\n"):
        assert parse({**GOOD, "title": title}).records[0].title == ""
    (forged,) = parse({**GOOD, "title": "a\u2028L9 [x] y = 4\x1b[31m\x85b"}).records
    assert forged.title == "a L9 [x] y = 4 [31m b"


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ({"a.b": {"c": "found"}}, "a.b.c"),
        ({"a": {"b.c": "found"}}, "a.b.c"),
        ({"a.b.c": "found", "a": {"b": {"c": "other"}}}, "a.b.c"),
        ({"a.b": {"c": "found"}, "a": {"b": {"c": "other"}}}, "a.b.c"),
        ({"a.b": {"d": 1}, "a": {"b": {"c": "found"}}}, "a.b.c"),
        ({"a": [{"b.c": [0, "found"]}]}, "a.0.b.c.1"),
        ({"a": {"b": 1}}, "a.b.c"),
    ],
)
def test_a_name_with_dots_is_found_at_every_step(line: dict[str, Any], path: str) -> None:
    """Of several ways, the longest name that leads somewhere counts."""
    found = None if line == {"a": {"b": 1}} else "found"
    assert fieldmap.at(line, path) == found


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        (b"{not json", "", "not JSON"),
        (b"[1]", "", "a list"),
        (b"null", "", "null"),
        (b"\x00", "", "not JSON"),
        (b'{"id": "\xff"}', "", "not UTF-8: byte 9"),
        (b'{"id": "\xed\xa0\x80", "text": "x"}', "", "not UTF-8"),
        (b"[" * 100_000, "", "nested too deeply"),
        (b'{"id": ' + b"1" * 5_000 + b', "text": "x"}', "", "not JSON"),
        ({**GOOD, "kind": "source"}, "kind", "'source' is no kind"),
        ({**GOOD, "kind": ["exemplar"]}, "kind", "no kind"),
        ({"kind": "note", "text": "x"}, "id", "missing: no id or rag_id"),
        ({"id": "x", "kind": "note"}, "text", "missing: no text or content"),
        ({"id": "x", "text": None}, "text", "missing"),
        ({**GOOD, "text": "  "}, "text", "blank"),
        ({**GOOD, "text": 7}, "text", "a number"),
        ({**GOOD, "text": "x" * 400_001}, "text", "400,001 characters"),
        ({**GOOD, "text": "a\0b"}, "text", "a NUL at character 2"),
        (b'{"id": "x", "kind": "note", "text": "\\ud800"}', "text", "surrogate"),
        (b'{"id": "x", "text": "y", "tags": ["\\udfff"]}', "tags", "surrogate"),
        ({**GOOD, "id": True}, "id", "a yes or no"),
        ({**GOOD, "id": "a\nb"}, "id", "cannot be printed"),
        ({**GOOD, "id": "x" * 201}, "id", "201 characters"),
        ({**GOOD, "id": "doc7#part-1"}, "id", "parts of long texts"),
        ({**GOOD, "title": 5}, "title", "a number"),
        ({**GOOD, "title": "x" * 1_001}, "title", "1,001 characters"),
        ({**GOOD, "tags": {"a": 1}}, "tags", "neither a list"),
        ({**GOOD, "tags": ["a", 1]}, "tags", "neither a list"),
        ({**GOOD, "tags": list(map(str, range(65)))}, "tags", "65 tags"),
        ({**BARE, "score": 7}, "score", "from 0 to 1"),
        ({**BARE, "score": "0.9"}, "score", "from 0 to 1"),
        ({**BARE, "meta": {"score": -1}}, "meta.score", "from 0 to 1"),
        (b'{"id": "x", "text": "y", "score": NaN}', "score", "from 0 to 1"),
    ],
)
def test_a_bad_line_is_reported_and_the_others_are_kept(line: Any, field: str, reason: str) -> None:
    """Each bad line has its number, the field at fault and the reason; nothing else is lost for it."""
    report = parse({**GOOD, "id": "pb-0"}, line, b"", {**GOOD, "id": "pb-3"})
    assert [record.record_id for record in report.records] == ["pb-0", "pb-3"]
    assert [(bad.number, bad.field) for bad in report.bad_lines] == [(2, field)]
    assert reason in report.bad_lines[0].reason


def test_an_id_that_comes_twice_is_an_error_where_it_says_something_else() -> None:
    """The first of two different records is kept, and the second reported with the line of the first."""
    report = parse(GOOD, b"", {**GOOD, "text": "other"})
    assert [record.text for record in report.records] == [GOOD["text"]]
    assert [(bad.number, bad.field) for bad in report.bad_lines] == [(3, "id")]
    assert "line 1" in report.bad_lines[0].reason


def test_a_record_that_comes_twice_counts_once() -> None:
    """A line that says what an earlier one said is no error, whatever else it carries."""
    report = parse(GOOD, {**GOOD, "proof": None}, GOOD)
    assert (len(report.records), report.bad_lines, report.repeated) == (1, (), 2)


# --- the file --------------------------------------------------------------------------------------------------------


def test_line_ends_and_byte_order_marks_are_no_part_of_a_line() -> None:
    """CRLF, marks at the beginning and where files were joined, and a last line without an end."""
    mark = b"\xef\xbb\xbf"
    content = mark + encoded(GOOD) + b"\r\n\r\n" + mark + encoded({**GOOD, "id": "pb-2"})
    report = playbooks.parse(content, "joined.jsonl")
    assert [record.record_id for record in report.records] == ["pb-1", "pb-2"]
    assert report.bad_lines == ()


class Endless(io.RawIOBase):
    """A line of so many bytes, then a good line; it keeps account of the longest piece that was asked for."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._last = b"\n" + encoded(GOOD)
        self.longest = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Give what comes next."""
        piece = b"x" * min(len(buffer), self._left) or self._last[: len(buffer)]
        self._last = self._last if self._left else self._last[len(piece) :]
        self._left -= min(len(piece), self._left)
        self.longest = max(self.longest, len(piece))
        buffer[: len(piece)] = piece
        return len(piece)


def test_an_overlong_line_is_named_with_its_length_and_never_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of a hundred times the bound is skipped in pieces, and the line after it is read."""
    monkeypatch.setattr(jsonlines, "MAX_LINE_BYTES", 100_000)
    raw = Endless(10_000_000)
    first, second = jsonlines.lines(io.BufferedReader(raw))
    assert (first.content, first.length) == (None, 10_000_001)
    assert second.content == encoded(GOOD)
    assert raw.longest <= 200_000


@pytest.mark.parametrize("over", [0, 1])
def test_the_bound_of_a_line_is_exact(over: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line as long as is allowed is read; with one byte more it is named, and so is a record of 10 MB."""
    monkeypatch.setattr(jsonlines, "MAX_LINE_BYTES", 1_000)
    line = encoded(GOOD)
    file = tmp_path / "book.jsonl"
    file.write_bytes(line + b" " * (999 + over - len(line)) + b"\n" + encoded({**GOOD, "id": "pb-2"}))
    report = playbooks.read(file)
    assert [record.record_id for record in report.records] == ["pb-1", "pb-2"][over:]
    assert [bad.reason for bad in report.bad_lines] == ["1,001 bytes: longer than 1,000"][:over]


def test_a_record_of_ten_megabytes_is_a_bad_line() -> None:
    """So long a line is named by its length, and the rest is kept."""
    report = parse({**GOOD, "text": "x" * 10_000_000}, {**GOOD, "id": "pb-2"})
    assert [record.record_id for record in report.records] == ["pb-2"]
    assert re.fullmatch(r"10,000,\d{3} bytes: longer than 8,388,608", report.bad_lines[0].reason)


def test_a_gzipped_file_is_the_same_playbook(tmp_path: Path) -> None:
    """It is known by its first bytes, and its records name the file without `.gz`."""
    plain, packed = tmp_path / "book.jsonl", tmp_path / "book.jsonl.gz"
    plain.write_bytes(encoded(GOOD, b"bad"))
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert playbooks.read(packed) == playbooks.read(plain)


def test_standard_input_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed or not, its records come from `stdin`."""
    content = io.BufferedReader(io.BytesIO(gzip.compress(encoded(GOOD))))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))
    (record,) = playbooks.read("-").records
    assert record.origin == "stdin"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (gzip.compress(encoded(GOOD) * 50)[:-12], "is damaged"),
        (gzip.compress(encoded(GOOD))[:-4] + b"\0\0\0\1", "is damaged"),
        (b"\x1f\x8b and no more", "is damaged"),
        (json.dumps(GOOD).encode("utf-16"), "is UTF-16"),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_is_an_error_with_a_hint(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    """Nobody knows what such a file lacks, so nothing of it is imported."""
    file = tmp_path / "book.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        playbooks.read(file)
    assert caught.value.hint


def test_scanning_reads_no_more_than_is_asked_for() -> None:
    """Records come one by one from a stream that never ends, and the counts keep up."""

    def numbered() -> Any:
        for number in itertools.count():
            yield jsonlines.RawLine(number + 1, encoded({**GOOD, "id": number // 2}), 100)

    counts = playbooks.Counts()
    items = playbooks.items(numbered(), "endless", FieldMap(), counts)
    assert [item.record_id for item in itertools.islice(items, 3) if isinstance(item, Record)] == ["0", "1", "2"]
    assert (counts.lines, counts.records, counts.repeated, counts.bytes) == (5, 3, 2, 500)


def test_the_project_s_own_playbook_is_clean() -> None:
    """Every line of the committed playbook is a record."""
    report = playbooks.read(Path(__file__).parents[2] / "data/playbooks/celery-playbook.jsonl")
    assert report.bad_lines == ()
    assert {record.kind for record in report.records} == {RecordKind.EXEMPLAR, RecordKind.WARNING, RecordKind.NOTE}


# --- long texts ------------------------------------------------------------------------------------------------------


def test_a_long_text_becomes_parts_that_are_records_of_their_own() -> None:
    """Each has the kind, title, tags and origin of the whole, and a number in its id."""
    paragraphs = [f"Paragraph {number}. " + "word " * 200 for number in range(12)]
    report = parse({**GOOD, "text": "\n\n".join(paragraphs)})
    assert [record.record_id for record in report.records] == [f"pb-1#part-{n}" for n in (1, 2, 3, 4)]
    assert {(r.kind, r.title, r.tags, r.origin) for r in report.records} == {
        (RecordKind.EXEMPLAR, "T", ("a",), "book.jsonl")
    }
    assert all(record.text.startswith("Paragraph") for record in report.records)
    assert report.cut == 1
    assert {entry.whole_id(record.record_id) for record in report.records} == {"pb-1"}


def test_a_text_of_the_longest_length_is_one_record() -> None:
    """8,000 characters are not cut."""
    (record,) = parse({**GOOD, "text": "x" * 8_000}).records
    assert record.record_id == "pb-1"


@given(st.lists(st.sampled_from(["a", "bc ", " ", "\n", "\n\n", "\r\n", "    x"]), min_size=1, max_size=300))
def test_cutting_loses_nothing_but_blanks(pieces: list[str]) -> None:
    """The parts are within the bound and not blank, and all signs are there in their order."""
    text = ("".join(pieces) * 9_000)[:9_000] + "end"
    found = list(entry.parts(text))
    assert all(0 < len(part.strip()) <= len(part) <= entry.PART_CHARS for part in found)
    assert "".join("".join(found).split()) == "".join(text.split())


def test_a_cut_keeps_the_indentation_of_the_line_after_it() -> None:
    """What reads as code or as a list in the whole reads so in the part."""
    _, second = entry.parts("x" * 3_000 + "\n" + "    indented " + "y" * 2_000)
    assert second.startswith("    indented")


# --- the field map ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "line", "expected"),
    [
        (["id=key", "text=body"], {"key": "k", "body": "b"}, ("k", "b", "", RecordKind.NOTE)),
        (["text=problem+fix"], {"id": "k", "problem": "p", "fix": "f"}, ("k", "p\nf", "", RecordKind.NOTE)),
        (["text=problem+fix"], {"id": "k", "fix": "f"}, ("k", "f", "", RecordKind.NOTE)),
        (["text=a", "text=b"], {"id": "k", "a": None, "b": "x"}, ("k", "x", "", RecordKind.NOTE)),
        (["text=turns.1.say"], {"id": "k", "turns": [{}, {"say": "x"}]}, ("k", "x", "", RecordKind.NOTE)),
        (["score=a.b"], {**BARE, "a": {"b": 0.9}}, ("x", "y", "", RecordKind.EXEMPLAR)),
        (["score=a.b"], {**BARE, "a.b": 0.9, "a": 1}, ("x", "y", "", RecordKind.EXEMPLAR)),
        (["score="], {**BARE, "score": 0.9}, ("x", "y", "", RecordKind.NOTE)),
        (["title=head"], {**BARE, "head": "H", "title": "T"}, ("x", "y", "H", RecordKind.NOTE)),
        (["kind=state"], {**BARE, "state": "ok"}, ("x", "y", "", RecordKind.EXEMPLAR)),
        (["kind=state"], {**BARE, "state": "Failed"}, ("x", "y", "", RecordKind.NOTE)),
    ],
)
def test_options_say_where_a_field_is(
    options: list[str], line: dict[str, Any], expected: tuple[str, str, str, RecordKind]
) -> None:
    """Names, nested names, places in a list, joined texts, a second choice, and a field to be left aside."""
    fields = FieldMap.parse(options, kinds=["OK = exemplar", "failed=note"])
    (record,) = parse(line, fields=fields).records
    assert (record.record_id, record.text, record.title, record.kind) == expected


@pytest.mark.parametrize(
    ("threshold", "score", "kind"),
    [
        (0.8, 0.8, RecordKind.EXEMPLAR),
        (0.8, 0.79, RecordKind.WARNING),
        (80, 79, RecordKind.WARNING),
        (80, 10**400, RecordKind.EXEMPLAR),
        (80, True, RecordKind.EXEMPLAR),
        (0.0, False, RecordKind.WARNING),
    ],
)
def test_the_threshold_says_the_scale(threshold: float, score: float, kind: RecordKind) -> None:
    """From 0 to 1 as a rule, any where the threshold is above 1; yes and no need none."""
    (record,) = parse({**BARE, "score": score}, fields=FieldMap.parse(exemplar_at=threshold)).records
    assert record.kind is kind


def test_without_an_id_field_ids_are_made_of_the_content() -> None:
    """The same title and text have the same id in every file, and so count once."""
    line = {"title": "T", "text": "x", "score": 0.9}
    report = parse(line, {**line, "n": 2}, {**line, "text": "y"}, fields=FieldMap.parse(["id="]))
    assert report.repeated == 1
    assert [bool(re.fullmatch("pb_[0-9a-f]{16}", record.record_id)) for record in report.records] == [True, True]


def test_a_part_of_a_joined_text_that_is_none_is_named() -> None:
    """Joining does not hide what is no text."""
    report = parse({"id": "k", "a": "x", "b": 7}, fields=FieldMap.parse(["text=a+b"]))
    assert [(bad.field, bad.reason) for bad in report.bad_lines] == [("a+b", "not a string but a number")]


@pytest.mark.parametrize(
    ("options", "kinds", "threshold", "message"),
    [
        (["text"], [], None, "has no `=`"),
        (["body=text"], [], None, "no field 'body'"),
        (["text="], [], None, "leaves no text"),
        (["text=a..b"], [], None, "a part of the path is empty"),
        (["text=a+"], [], None, "a part of the path is empty"),
        (["id=a+b"], [], None, "only texts can be joined"),
        ([], ["solved"], None, "not of the form WORD=KIND"),
        ([], ["=note"], None, "not of the form WORD=KIND"),
        ([], ["solved=source"], None, "'source' is no kind"),
        ([], [], float("nan"), "is no score"),
    ],
)
def test_an_option_that_cannot_be_meant_is_an_error_with_a_hint(
    options: list[str], kinds: list[str], threshold: float | None, message: str
) -> None:
    """Each says what is wrong with it, and how it is written."""
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        FieldMap.parse(options, kinds=kinds, exemplar_at=threshold)
    assert caught.value.hint
