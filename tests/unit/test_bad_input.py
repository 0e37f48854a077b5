"""Files that no submit may stumble over: packed, damaged, growing, endless, full of doubles."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from producer import intake
from producer.intake import Lines, Overrides
from producer.line import MAX_LINE_BYTES
from replay.errors import InputError


def written(path: Path, count: int, name: str = "t") -> Path:
    """A file of good lines."""
    path.write_text("".join(f'{{"custom_id": "{name}{number}", "task": "Verify it."}}\n' for number in range(count)))
    return path


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl"])
def test_what_gzip_packed_is_read_whatever_it_is_called(tmp_path: Path, suffix: str) -> None:
    """By its first bytes; several packed files one after the other are one."""
    plain = written(tmp_path / "plain.jsonl", 3).read_bytes()
    file = tmp_path / f"packed{suffix}"
    file.write_bytes(gzip.compress(plain) + gzip.compress(b'{"task": "one more"}'))
    lines = Lines(file)
    assert [line.custom_id for line in lines] == ["t0", "t1", "t2", "line-4"]
    assert (lines.good, lines.bad, lines.errors_file) == (4, 0, None)


def test_half_a_character_is_a_bad_line(tmp_path: Path) -> None:
    """JSON can say it and UTF-8 cannot: wherever it stands, the line is told and the others run."""
    file = tmp_path / "tasks.jsonl"
    fields = (
        {"task": "\ud800"},
        {"task": "x", "tags": ["\ud800"]},
        {"task": "x", "custom_id": "\ud800"},
        {"\ud800": 1},
    )
    file.write_text("\n".join(json.dumps(value) for value in (*fields, {"task": "good"})))
    lines = Lines(file)
    assert [line.task for line in lines] == ["good"]
    assert (lines.bad, {error.field for error in lines.first_errors}) == (4, {"task", "tags.0", "custom_id", ""})


def test_closed_standard_input_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `replay submit - <&-` has it."""
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="Standard input is closed"):
        list(Lines(intake.STDIN))


@pytest.mark.parametrize("cut", [5, 12, 40, -4])
def test_a_damaged_packed_file_is_refused(tmp_path: Path, cut: int) -> None:
    """Cut off, or with other bytes in it: nothing of it is submitted."""
    whole = gzip.compress(written(tmp_path / "plain.jsonl", 200).read_bytes())
    file = tmp_path / "packed.gz"
    file.write_bytes(whole[:cut] + (b"\0" * 9 if cut > 20 else b""))
    with pytest.raises(InputError, match="is gzip, and damaged"):
        list(Lines(file))


@pytest.mark.parametrize("count", [10, 3 * intake._LOOK_EVERY])
def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path, count: int) -> None:
    """Also one that grows faster than it is read: with other lines it would be another batch."""
    file = written(tmp_path / "tasks.jsonl", count)
    read = 0
    taken = iter(Lines(file))

    def grown() -> None:
        nonlocal read
        with file.open("a") as more:
            for read, _ in enumerate(taken):
                more.write(f'{{"custom_id": "more{read}", "task": "Verify it."}}\n')
                more.flush()

    with pytest.raises(InputError, match="was changed while it was read; nothing") as refused:
        grown()
    assert "copy" in refused.value.hint
    assert read <= count + intake._LOOK_EVERY


def test_a_line_of_ten_megabytes_costs_one_line(tmp_path: Path) -> None:
    """It is one error with its beginning, whatever is in it, and the lines around it are taken."""
    file = tmp_path / "tasks.jsonl"
    long = b'{"custom_id": "long", "task": "' + b"x" * (10 * MAX_LINE_BYTES) + b'"}\n'
    file.write_bytes(b'{"task": "a"}\n' + long + b'{"task": "b"}\n')
    lines = Lines(file)
    assert [line.custom_id for line in lines] == ["line-1", "line-3"]
    assert [(error.line, len(error.raw)) for error in lines.first_errors] == [(2, 4096)]


def test_doubles_without_end_go_into_the_error_file_as_they_come(tmp_path: Path) -> None:
    """The first of them stands; memory holds a few of them, the file all, and what is told is short."""
    count = 10_000
    file = tmp_path / "tasks.jsonl"
    file.write_text('{"custom_id": "same", "task": "Verify it."}\n' * count)
    tracemalloc.start()
    lines = Lines(file)
    assert [line.custom_id for line in lines] == ["same"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (lines.good, lines.bad, len(lines.first_errors)) == (1, count - 1, 20)
    assert peak < 6 * 1024 * 1024
    errors = (tmp_path / "tasks.jsonl.errors.jsonl").read_text().splitlines()
    assert len(errors) == count - 1
    assert json.loads(errors[-1])["error"] == "'same' stands in line 1 already"


def test_a_limit_takes_the_first_good_lines(tmp_path: Path) -> None:
    """Bad ones before the last of them are told, what comes after it is not read."""
    file = tmp_path / "tasks.jsonl"
    file.write_text('{"task": "a"}\n{\n{"task": "b"}\n{\n{"task": "c"}\n')
    lines = Lines(file, limit=2)
    assert [line.custom_id for line in lines] == ["line-1", "line-3"]
    assert lines.bad == 1


def test_tags_are_put_on_every_task(tmp_path: Path) -> None:
    """Behind its own ones, each once."""
    file = tmp_path / "tasks.jsonl"
    file.write_text('{"task": "a", "tags": ["own", "nightly"]}\n{"task": "b"}\n')
    lines = list(Lines(file, Overrides(tags=("nightly", "x"))))
    assert [line.tags for line in lines] == [("own", "nightly", "x"), ("nightly", "x")]
