"""`replay corpus` as an operator types it: what is read, what becomes of what was there, what is told of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cli.corpus import compact
from replay.corpus import snapshot
from tests.command_line import Typed, settings_of_shell, typing_into


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
    folder = tmp_path / "service"
    folder.mkdir()
    (folder / "pool.py").write_text("POOL_SIZE = 10\n", encoding="utf-8")
    return folder


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A playbook with a bad line."""
    path = tmp_path / "book.jsonl"
    lines = ['{"id": "p1", "text": "Verify POOL_SIZE.", "kind": "note", "tags": ["pool"]}', '{"id": "p2"}']
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def read(typed: Typed, *words: str | Path) -> dict[str, Any]:
    """Type a command that does well, and read its JSON."""
    code, printed, told = typed(*words, "--json")
    assert code == 0, told
    found: dict[str, Any] = json.loads(printed)
    return found


def test_a_growing_corpus_from_first_to_last(typed: Typed, tree: Path, book: Path) -> None:
    """Build, import, add what has changed, log, diff, and search a version that an old run names."""
    first = read(typed, "build", tree)
    assert (first["added"], first["records"], first["sources"][0]["files"]) == (1, 1, 1)
    code, printed, told = typed("import", book, "--json")
    assert (code, json.loads(printed)["added"]) == (1, 1)
    assert f"{book}:2: field text:" in told
    (tree / "pool.py").write_text("POOL_SIZE = 20\n", encoding="utf-8")
    (tree / "timeout.py").write_text("TIMEOUT = 3600\n", encoding="utf-8")
    added = read(typed, "add", tree)
    assert (added["added"], added["changed"], added["removed"], added["records"]) == (2, 0, 1, 3)
    log = read(typed, "log")
    assert log["current"] == added["corpus_version"]
    assert [(entry["what"], entry["parent"]) for entry in log["log"]] == [
        ("add", log["log"][1]["version"]),
        ("import", first["corpus_version"]),
        ("build", None),
    ]
    diff = read(typed, "diff", first["corpus_version"][7:15], "current")
    assert (len(diff["added"]), len(diff["removed"]), diff["changed"]) == (3, 1, [])
    for version, line in ((first["corpus_version"], "POOL_SIZE = 10"), (added["corpus_version"], "POOL_SIZE = 20")):
        found = read(typed, "search", "POOL_SIZE", "--version", version)
        assert found["corpus_version"] == version
        assert line in {shown["text"] for shown in found["lines"]}
    assert read(typed, "stats")["records"] == 3
    assert read(typed, "compact", "--all")["after"] == 2


def test_filters_of_a_search(typed: Typed, tree: Path, book: Path) -> None:
    """Only records of a kind, or with a tag, are found."""
    typed("build", tree)
    typed("import", book)
    tagged = read(typed, "search", "POOL_SIZE", "--tag", "pool")
    assert ([found["hit"]["record"]["record_id"] for found in tagged["playbook"]], tagged["passages"]) == (["p1"], [])
    sources = read(typed, "search", "POOL_SIZE", "--kind", "source")
    assert (sources["playbook"], len(sources["passages"])) == ([], 1)
    neither = read(typed, "search", "POOL_SIZE", "--kind", "exemplar", "--tag", "pool")
    assert (neither["playbook"], neither["passages"]) == ([], [])


def test_add_takes_playbooks_too(typed: Typed, tree: Path, book: Path) -> None:
    """A .jsonl file among the sources is imported, its bad lines are named, and the exit code says so."""
    code, printed, told = typed("add", tree, book)
    assert code == 1
    assert f"{book}:2: field text:" in told
    assert "2 records added, 0 changed, 0 removed" in printed
    assert "playbooks: read 1 records, merged 0 near-duplicates, left out 1 lines" in printed
    assert [entry["what"] for entry in read(typed, "log")["log"]] == ["add"]
    assert typed("add", tree)[1].splitlines()[-1].startswith("nothing new; corpus corpus_")


def test_add_publishes_all_or_nothing(typed: Typed, corpus_dir: Path, tree: Path, book: Path, tmp_path: Path) -> None:
    """The counts are those of sources and playbooks together, and a playbook that is missing leaves all as it was."""
    code, printed, _ = typed("add", tree, tmp_path / "missing.jsonl", "--json")
    assert (code, printed) == (2, "")
    assert not corpus_dir.exists()
    code, printed, _ = typed("add", tree, book, "--json")
    made = json.loads(printed)
    assert (code, made["added"], made["records"], made["imported"]) == (1, 2, 2, 1)


def test_an_update_of_a_package_takes_the_place_of_the_old_one(typed: Typed, corpus_dir: Path, tree: Path) -> None:
    """A package is known by its name, whatever its version; a directory of another name stays."""
    typed("build", tree, "package:vine")
    aged = [
        one.model_copy(update={"origin": "vine 0.1"} if one.origin.startswith("vine ") else {})
        for one in snapshot.load(corpus_dir).records()
    ]
    before = snapshot.write([*aged, aged[0].model_copy(update={"record_id": "gone", "origin": "vine 0.1"})], corpus_dir)
    assert {one.origin.partition(" ")[0] for one in before.records()} == {"service", "vine"}
    added = read(typed, "add", "package:vine")
    assert (added["changed"], added["removed"]) == (len(aged) - 1, 1)
    assert "vine 0.1" not in read(typed, "stats")["by_origin"]


def test_a_source_with_nothing_in_it_does_not_empty_the_corpus(typed: Typed, tree: Path, tmp_path: Path) -> None:
    """A mistyped path is told, and what was read before stays."""
    made = read(typed, "build", tree)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "image.png").write_bytes(b"\x89PNG")
    for command in ("build", "add"):
        code, _, told = typed(command, tree, tmp_path / "empty")
        assert code == 2
        assert "holds nothing that can be read" in told
        assert "1 files and folders are left out" in told
    assert read(typed, "log")["current"] == made["corpus_version"]


def test_what_was_left_out_is_counted_and_named_on_demand(typed: Typed, tree: Path) -> None:
    """Reasons with their counts, and with --verbose each file."""
    (tree / "binary.py").write_bytes(b"x = '\0'\n")
    _, _, told = typed("build", tree)
    assert "service: skipped 1 binary (--verbose names them)" in told
    assert "binary.py" not in told
    _, _, named = typed("build", tree, "--verbose")
    assert "binary.py: " in named


def test_many_bad_lines_are_counted(typed: Typed, tmp_path: Path) -> None:
    """The first ones are named, the others with --verbose; all of them in the JSON."""
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "good", "text": "pool"}\n' + "{\n" * 30, encoding="utf-8")
    _, _, told = typed("import", path)
    assert told.count(f"{path}:") == 20
    assert "10 more bad lines" in told
    _, printed, named = typed("import", path, "--verbose", "--json")
    assert named.count(f"{path}:") == 30
    assert len(json.loads(printed)["bad_lines"]) == 30


def test_near_duplicates_and_conflicts_are_told(typed: Typed, tmp_path: Path) -> None:
    """What was merged into what, and which exemplar a warning contradicts."""
    text = "the visibility timeout of the redis transport is an hour unless transport options say otherwise"
    path = tmp_path / "twins.jsonl"
    lines = [
        {"id": name, "text": text, "kind": kind}
        for name, kind in (("a", "exemplar"), ("b", "exemplar"), ("c", "warning"))
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    code, printed, told = typed("import", path)
    assert code == 0
    assert "b says nearly what a does (1.00): merged into it" in told
    assert "exemplar a and warning c say nearly the same" in told
    assert "merged 1 near-duplicates" in printed


def test_a_version_is_named_by_its_first_digits(typed: Typed, tree: Path) -> None:
    """As few as tell it from the others; what names none, or several, is refused."""
    read(typed, "build", tree)
    (tree / "pool.py").write_text("POOL_SIZE = 20\n", encoding="utf-8")
    made = read(typed, "build", tree)["corpus_version"]
    assert read(typed, "stats", "--version", made[len("corpus_") :][:6])["corpus_version"] == made
    for name, fault in (("zz", "is no version"), ("", "could be any of")):
        code, _, told = typed("stats", "--version", name) if name else typed("diff", "", "current")
        assert (code, fault in told) == (2, True)


def test_a_compaction_starts_by_itself_when_it_is_due(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fifth small segment starts one in the background, a process of its own that nobody waits for."""
    started: list[list[str]] = []

    def start(command: list[str], **_: object) -> None:
        started.append(command)

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(compact, "_STARTED", [])
    for number in range(5):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(
            json.dumps({"id": f"p{number}", "text": f"claim {number} about pools"}) + "\n", encoding="utf-8"
        )
        assert not started
        _, _, told = typed("import", path)
    assert [command[-2:] for command in started] == [["corpus", "compact"]]
    assert "in the background" in told
