"""`replay corpus` on a bad day: names that are no text, control characters, files in the way."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from cli.output import console
from replay.corpus import history, manifest, snapshot
from tests.command_line import Typed, settings_of_shell, typing_into
from tests.trees import write


@pytest.fixture
def corpus_dir(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The corpus that the commands are typed for."""
    return settings_of_shell(monkeypatch, data_dir).corpus_dir


@pytest.fixture
def typed(corpus_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types a sub-command: its exit code, what it prints, and what it tells on stderr."""
    assert not corpus_dir.exists()
    return typing_into(monkeypatch, capsys, "corpus")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree."""
    return write(tmp_path / "service", pool_py="POOL_SIZE = 10\n")


def playbook(path: Path, *records: Mapping[str, object]) -> Path:
    """A playbook file."""
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return path


def test_names_that_are_no_text_are_written_down_as_text(typed: Typed, corpus_dir: Path, tmp_path: Path) -> None:
    """A folder, a file, a query and a tag may hold any bytes: what is no UTF-8 of them is shown as such."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xff"))
    folder.mkdir()
    write(folder, a_py="POOL_SIZE = 10\n")
    book = playbook(folder / os.fsdecode(b"f\xff.jsonl"), {"id": "p1", "text": "Verify POOL_SIZE."}, {"id": "p2"})
    assert typed("build", folder)[0] == 0
    code, printed, told = typed("import", book, "--json")
    assert (code, json.loads(printed)["bad_lines"][0]["file"][-8:]) == (1, "f\ufffd.jsonl")
    assert "f\ufffd.jsonl:2: field text" in told
    assert typed("add", folder, book)[0] == 1
    assert {one.origin for one in snapshot.load(corpus_dir).records()} == {"d\ufffd", "f\ufffd.jsonl"}
    assert all("\ufffd" in one.reason for one in snapshot.history(corpus_dir))
    assert typed("search", "POOL_SIZE" + os.fsdecode(b"\xff"), "--tag", os.fsdecode(b"\xff"))[0] == 0
    for words in (
        ("build", os.fsdecode(b"no\xff")),
        ("import", os.fsdecode(b"no\xff")),
        ("stats", "--version", "\udcff"),
    ):
        assert typed(*words)[0] == 2


def test_what_a_file_says_does_nothing_to_the_terminal(typed: Typed, tmp_path: Path) -> None:
    """Control characters of texts, titles and paths are shown, and not obeyed."""
    write(tmp_path / "src", a_py="y_prefetch = 5  # \x1b[31mRED\x1b]0;pwned\x07 \x9b31m\n")
    typed("build", tmp_path / "src")
    typed("import", playbook(tmp_path / "b.jsonl", {"id": "p", "title": "T\x1b[31mx", "text": "y_prefetch \x08\x7f"}))
    for words in (("search", "y_prefetch"), ("search", "y_prefetch \x1b[31m"), ("build", "no\x1b[31msuch")):
        _, printed, told = typed(*words)
        assert "y_prefetch" in printed or "such" in told
        assert not [sign for sign in printed + told if not sign.isprintable() and sign != "\n"]


def test_plain_text_is_left_as_it_is() -> None:
    """Tabs, line ends, letters and signs of any script."""
    text = "größe\t= 4  # 日本 👩‍👩‍👧 ½\n"
    assert console.plain(text) == text
    assert console.plain("a\r\nb\x1bc\udcff") == "a\nb\\x1bc\ufffd"


def test_a_compaction_that_cannot_start_takes_nothing_back(typed: Typed, corpus_dir: Path, tmp_path: Path) -> None:
    """What was to be published is; that small segments wait is told."""
    (corpus_dir / "compact.out").mkdir(parents=True)
    for number in range(6):
        book = playbook(tmp_path / "z.jsonl", {"id": f"zz{number}", "text": f"uniq{number}"})
        code, _, told = typed("import", book)
        assert code == 0
    assert "not merged in the background" in told
    assert "replay corpus compact" in told


def test_a_log_that_cannot_be_written_takes_nothing_back(
    typed: Typed, corpus_dir: Path, tree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be lost at any time, so a version without its line is published all the same."""
    (corpus_dir / "log.jsonl").mkdir(parents=True)
    assert typed("build", tree)[0] == 0
    assert len(snapshot.load(corpus_dir)) == 1
    assert "log.jsonl cannot be written" in caplog.text


def test_a_folder_among_the_segments_is_left_alone(typed: Typed, corpus_dir: Path, tree: Path) -> None:
    """Only files of segments are swept."""
    typed("build", tree)
    (corpus_dir / "segments" / "mine").mkdir()
    (corpus_dir / "segments" / "notes.txt").write_text("mine", encoding="utf-8")
    (corpus_dir / "segments" / "seg_0123456789abcdef.records").write_text("left over", encoding="utf-8")
    code, printed, _ = typed("compact", "--json")
    assert (code, json.loads(printed)["swept"]) == (0, 1)
    assert {"mine", "notes.txt"} <= {path.name for path in (corpus_dir / "segments").iterdir()}


def test_a_source_that_is_named_three_ways_is_read_once(
    typed: Typed, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its path, by another path, and by a link."""
    monkeypatch.chdir(tree.parent)
    (tree.parent / "link").symlink_to(tree)
    code, printed, _ = typed("build", "service", "./service", "link", tree, "package:vine", "package:Vine", "--json")
    assert (code, [one["origin"].split()[0] for one in json.loads(printed)["sources"]]) == (0, ["service", "vine"])


def test_thousands_of_names_are_cut_short_in_the_log(typed: Typed, corpus_dir: Path, tmp_path: Path) -> None:
    """Lines of the log stay short, and the same import again adds none."""
    books = [
        playbook(tmp_path / f"{'n' * 60}{number}.jsonl", {"id": f"p{number}", "text": "x"}) for number in range(99)
    ]
    for _ in range(3):
        assert typed("import", *books)[0] == 0
    (line,) = (corpus_dir / "log.jsonl").read_bytes().splitlines()
    assert len(line) < 5_000
    assert "characters)" in snapshot.history(corpus_dir)[0].reason


def test_a_line_of_the_log_that_is_longer_than_any_is_seen(corpus_dir: Path, tree: Path, typed: Typed) -> None:
    """Another version may have written it: it is not written again, and a torn one is cut off whole."""
    typed("build", tree)
    log = corpus_dir / "log.jsonl"
    good = log.read_bytes()
    log.write_bytes(good + b"x" * 200_000)
    write(tree, timeout_py="TIMEOUT = 1\n")
    typed("build", tree)
    assert log.read_bytes().startswith(good)
    assert len(snapshot.history(corpus_dir)) == 2
    current = manifest.read(corpus_dir, snapshot.load(corpus_dir).version)
    long = current.published.model_copy(update={"reason": "x" * 200_000})
    history.note(corpus_dir, current.model_copy(update={"published": long}))
    history.note(corpus_dir, current.model_copy(update={"published": long}))
    assert len(snapshot.history(corpus_dir)) == 3


def test_a_folder_that_looks_like_a_release_stays_beside_the_package(typed: Typed, tmp_path: Path) -> None:
    """`add package:vine` replaces what is of that package, and no directory."""
    folder = write(tmp_path / "vine 9.9.9", a_py="dir_only_name = 7\n")
    typed("build", folder)
    code, printed, _ = typed("add", "package:vine", "--json")
    assert (code, json.loads(printed)["removed"]) == (0, 0)
    assert json.loads(typed("add", folder, "--json")[1])["removed"] == 0


def test_the_pointer_is_chosen_by_command(typed: Typed, corpus_dir: Path, tree: Path) -> None:
    """Where it is lost, reading says how, the log can still be read, and a version is named by its first digits."""
    typed("build", tree)
    made = json.loads(typed("stats", "--json")[1])["corpus_version"]
    write(tree, timeout_py="TIMEOUT = 1\n")
    typed("build", tree)
    (corpus_dir / "current").unlink()
    code, _, told = typed("add", tree)
    assert (code, "replay corpus use" in told) == (2, True)
    code, printed, told = typed("log", "--json")
    assert (code, json.loads(printed)["current"], len(json.loads(printed)["log"])) == (0, None, 2)
    assert "replay corpus use" in told
    assert typed("use", made[7:15])[0] == 0
    assert json.loads(typed("stats", "--json")[1])["corpus_version"] == made
