from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from producer.intake import Intake, Overrides, read, scan
from producer.line import MAX_LINE_BYTES, LineError, TaskLine
from producer.single import line_of
from replay.contracts import MAX_TASK_BYTES, TaskOptions
from replay.errors import InputError

GOOD = b'{"custom_id": "good", "task": "Verify that it holds."}\n'


def intake(tmp_path: Path, content: bytes, overrides: Overrides | None = None) -> Intake:
    """Read a file with this content."""
    file = tmp_path / "tasks.jsonl"
    file.write_bytes(content)
    return read(file, overrides or Overrides())


def written_errors(tmp_path: Path) -> list[dict[str, Any]]:
    """What stands in its file of errors."""
    lines = (tmp_path / "tasks.jsonl.errors.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("line", "field", "error"),
    [
        pytest.param(b'{"task": "a"', "", "not JSON", id="cut off"),
        pytest.param(b"[]", "", "not a JSON object", id="a list"),
        pytest.param(b'{"task": NaN}', "", "NaN is no JSON value", id="NaN"),
        pytest.param(b'{"task": "a", "task": "b"}', "", "'task' stands there twice", id="a key twice"),
        pytest.param(b'{"task": ' + b"[" * 100_000, "", "not JSON", id="nested too deep"),
        pytest.param(b'{"task": 1' + b"0" * 5_000 + b"}", "", "not JSON", id="a number too long"),
        pytest.param(b'{"task": "caf\xe9"}', "", "not UTF-8: byte 0xe9 at position 13", id="Latin-1"),
        pytest.param(b'{"task": "\\ud800"}', "task", "valid string", id="half a surrogate pair"),
        pytest.param(b"{}", "task", "missing", id="no task"),
        pytest.param(b'{"task": "  "}', "task", "empty", id="an empty task"),
        pytest.param(b'{"task": 5}', "task", "valid string", id="a task that is a number"),
        pytest.param(b'{"task": "a", "colour": 1}', "colour", "unknown field", id="an unknown field"),
        pytest.param(
            b'{"task": "a", "options": {"speed": 1}}', "options.speed", "unknown field", id="an unknown option"
        ),
        pytest.param(b'{"task": "a", "options": {"repeat": -1}}', "options.repeat", "greater than", id="a bad option"),
        pytest.param(b'{"task": "a", "checklist": [" "]}', "checklist.0", "empty", id="an empty checklist item"),
        pytest.param(b'{"custom_id": "", "task": "a"}', "custom_id", "empty", id="an empty name"),
        pytest.param(b'{"custom_id": "good", "task": "b"}', "custom_id", "stands in line 1 already", id="a name twice"),
    ],
)
def test_a_bad_line_is_reported_and_the_good_ones_go_on(tmp_path: Path, line: bytes, field: str, error: str) -> None:
    """The error names the line, the field and the fault; the file of errors keeps the line; the others are taken."""
    taken = intake(tmp_path, GOOD + line + b"\n" + GOOD.replace(b"good", b"last"))
    assert [item.custom_id for item in taken.lines] == ["good", "last"]
    (fault,) = taken.errors
    assert (fault.line, fault.field) == (2, field)
    assert error in fault.error
    assert taken.errors_file == tmp_path / "tasks.jsonl.errors.jsonl"
    assert written_errors(tmp_path) == [fault.wire()]
    assert fault.raw == line.decode("utf-8", errors="backslashreplace")


@pytest.mark.parametrize(("size", "taken"), [(MAX_TASK_BYTES, 1), (MAX_TASK_BYTES + 1, 0)])
def test_the_limit_of_a_task_is_in_bytes_of_utf8(tmp_path: Path, size: int, taken: int) -> None:
    """A task of exactly 32 KiB is taken, one byte more is not; letters of two bytes count as two."""
    text = "é" * (size // 2) + "x" * (size % 2)
    result = intake(tmp_path, json.dumps({"task": text}, ensure_ascii=False).encode())
    assert len(result.lines) == taken
    assert [(error.field, error.error) for error in result.errors] == (
        [] if taken else [("task", "32,769 bytes, the limit is 32,768")]
    )


def test_an_endless_line_is_skipped_without_being_held() -> None:
    """A line over the limit is one error with its beginning, and the next line has the right number."""
    long = b'{"task": "' + b"x" * (3 * MAX_LINE_BYTES) + b'"}\n'
    fault, good = scan(io.BytesIO(long + GOOD))
    assert isinstance(fault, LineError)
    assert isinstance(good, TaskLine)
    assert fault.line == 1
    assert len(fault.raw) == 4096


def test_names_numbers_and_blank_lines(tmp_path: Path) -> None:
    """A task without a name is named after its line; blank lines, a BOM and Windows line ends do no harm."""
    taken = intake(tmp_path, b'\xef\xbb\xbf{"task": "a"}\r\n\r\n   \n{"task": "b"}')
    assert [(item.custom_id, item.task) for item in taken.lines] == [("line-1", "a"), ("line-4", "b")]
    assert taken.errors_file is None


def test_an_old_error_file_does_not_outlive_its_errors(tmp_path: Path) -> None:
    """Once every line is good, the error file of an earlier attempt is gone."""
    assert intake(tmp_path, b"{}\n").errors_file is not None
    assert intake(tmp_path, GOOD).errors_file is None
    assert not (tmp_path / "tasks.jsonl.errors.jsonl").exists()


def test_overrides_win_over_the_lines(tmp_path: Path) -> None:
    """What the caller decides holds for every task; what the caller leaves open stays as the line says."""
    line = b'{"task": "a", "options": {"allow_escalation": true, "repeat": 3}}'
    taken = intake(tmp_path, line, Overrides(allow_escalation=False))
    assert taken.lines[0].options == TaskOptions(allow_escalation=False, retrieval=True, repeat=3)


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`-` reads standard input; its errors lie where the caller stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD + b"{}\n")))
    taken = read("-")
    assert (taken.source, len(taken.lines), taken.errors_file) == ("stdin", 1, Path("stdin.errors.jsonl"))


def test_a_file_that_is_none_is_explained(tmp_path: Path) -> None:
    """A missing file and a folder are told apart, each with a hint."""
    with pytest.raises(InputError, match="There is no file") as missing:
        read(tmp_path / "nowhere.jsonl")
    assert missing.value.hint
    with pytest.raises(InputError, match="is a folder"):
        read(tmp_path)


def test_an_error_file_that_cannot_be_written_stops_before_anything_is_submitted(tmp_path: Path) -> None:
    """Bad lines are never dropped silently."""
    file = tmp_path / "tasks.jsonl"
    file.write_bytes(b"{}\n")
    with pytest.raises(InputError, match="Bad lines cannot be written"):
        read(file, errors_file=tmp_path / "no" / "such" / "folder")


@pytest.mark.parametrize("text", ["", "  ", "x" * (MAX_TASK_BYTES + 1), "caf\udce9"])
def test_a_single_task_is_held_to_the_same_rules(text: str) -> None:
    """What a file's line may not be, an argument may not be either; also not bytes that are no UTF-8."""
    with pytest.raises(InputError):
        line_of(text)
    assert line_of(" fine ", ["one"]).task == "fine"
