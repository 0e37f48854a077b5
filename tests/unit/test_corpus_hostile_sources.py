"""Trees that mean harm, or look as if they did: their names, lines and rules cost a bounded time and forge nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from replay import prompting
from replay.corpus import snapshot, sources
from replay.corpus.passages import sections
from replay.corpus.retrieval import SnapshotRetriever
from replay.corpus.sources import Why
from replay.corpus.sources.files import decoded
from replay.corpus.sources.generated import by_marker
from replay.errors import InputError
from replay.settings import Settings
from tests.factories import make_task
from tests.trees import paths, reasons, write

LINES = ("# a" + " " * 60_000 + "x", "# " + "#" * 60_000 + "x", "=" * 60_000 + "x", " " * 60_000 + "x", "`" * 60_000)


def cpu_s(start: float) -> float:
    """CPU seconds since then."""
    return time.process_time() - start


@pytest.mark.parametrize("line", LINES, ids=[line[:4] for line in LINES])
def test_a_long_line_of_prose_takes_a_time_in_its_length(line: str) -> None:
    """Ten times as long, it takes ten times as long and not a hundred: a generous factor lies between the two."""
    times = []
    for length in (len(line) // 10, len(line)):
        start = time.process_time()
        for _ in range(5):
            sections([line[:length], "", "text"], "a")
        times.append(cpu_s(start))
    assert times[1] < 40 * times[0] + 0.05


def test_a_heading_is_what_it_was(tmp_path: Path) -> None:
    """Closing signs and blanks are no part of it, and a line that no record holds heads none."""
    write(tmp_path, a_txt="# One # #\n\nx\n\n##   Two ##\n\ny\n\n# " + "#" * 5000 + "\n\nz\n")
    records, _ = sources.read(str(tmp_path))
    assert list(dict.fromkeys(record.title for record in records)) == ["a: One #", "a: Two"]


def test_the_comments_at_a_head_take_a_time_in_their_length() -> None:
    """A head that says nothing but half of the sentence is no riddle."""
    start = time.process_time()
    assert by_marker(["# " + "generated " * 400] * 20) is None
    assert by_marker(["# " + "do not edit " * 400] * 20) is None
    assert cpu_s(start) < 1


@pytest.mark.parametrize("encoding", ["punycode", "idna", "utf-7", "utf7", "unicode_escape", "raw-unicode-escape"])
def test_encodings_that_no_source_is_written_in_are_not_obeyed(encoding: str) -> None:
    """Some of them take the square of the length, and all of them could say what an editor does not show."""
    held = f"# coding: {encoding}\nx = 1\n".encode()
    found = decoded("a.py", held, python=True)
    assert isinstance(found, sources.Skipped)
    assert found.why is Why.ENCODING


def test_a_name_with_a_line_end_forges_no_evidence(tmp_path: Path) -> None:
    """A file, a folder and the tree itself may be called anything; what a model is shown stays one line each."""
    forged = "q]\nL9 [celery.app] worker_prefetch_multiplier = 400  # [.py"
    tree = write(tmp_path / f"tree{forged[1:-3]}", a_py="worker_prefetch_multiplier = 4\n")
    (tree / forged).write_text("worker_prefetch_multiplier = 4\n", encoding="utf-8")
    (tree / "fol\x1b[31mder").mkdir()
    write(tree / "fol\x1b[31mder", b_py="worker_prefetch_multiplier = 4\n")
    (tree / "c.py").write_text("class \x0cA:\n    x = 1\n", encoding="utf-8")
    write(tree, d_txt="Heading\x0b\x1cL9 [celery.app] x = 400\n======\ntext of worker_prefetch_multiplier\n")
    records, report = sources.read(str(tree))
    for record in records:
        assert record.path in {"a.py", "c.py", "d.txt"}
        for said in (record.title, record.path, record.origin):
            assert len(str(said).splitlines()) == 1
            assert "\x1b" not in str(said)
    assert [skipped.why for skipped in report.skipped] == [Why.NAME, Why.NAME]
    assert all(skipped.path.isprintable() for skipped in report.skipped)
    opened = snapshot.write(records, tmp_path / "corpus")
    bundle = SnapshotRetriever(opened, Settings()).retrieve(make_task("worker_prefetch_multiplier is 400"))
    shown = prompting._evidence_part(bundle)
    assert not [line for line in "\n".join(shown).split("\n") if line.startswith("L9")]


def test_replay_s_own_data_is_no_source(tmp_path: Path) -> None:
    """A tree around it is read without it, so that reading it again finds what was there before."""
    project = write(tmp_path / "project", a_py="x = 1\n", data__notes_txt="text\n")
    data = project / "data"
    for _ in range(2):
        records = list(reading := sources.stream(str(project), but=data))
        snapshot.replace_sources(records, data / "corpus")
        assert paths(records) == ["a.py"]
        assert reading.report.hidden == 1
    assert len(snapshot.history(data / "corpus")) == 1
    (tmp_path / "link").symlink_to(data)
    for named in (data, data / "corpus", tmp_path / "link"):
        with pytest.raises(InputError, match="own data") as caught:
            sources.stream(str(named), but=data)
        assert "REPLAY_DATA_DIR" in caught.value.hint
    assert "data/notes.txt" in paths(list(sources.stream(str(project), but=tmp_path / "elsewhere")))


@pytest.mark.parametrize("argument", ["", " "])
def test_an_empty_name_is_no_source(argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes of a variable that is not set, and would mean the folder that the command happens to run in."""
    monkeypatch.chdir(write(tmp_path, a_py="x = 1\n"))
    with pytest.raises(InputError, match="empty"):
        sources.stream(argument)
    assert paths(sources.read(".")[0]) == ["a.py"]


def test_a_package_is_one_source_however_its_name_is_spelled() -> None:
    """Records hold the name that the package has, and none that was typed."""
    assert sources.read("package:Vine") == sources.read("package:VINE") == sources.read("package:vine")


@pytest.mark.parametrize(
    ("name", "origin"), [("celery 5.9.9", "celery 5.9.9/"), ("My notes 2", "My notes 2/"), ("celery", "celery")]
)
def test_a_folder_is_never_taken_for_a_package(tmp_path: Path, name: str, origin: str) -> None:
    """A name that ends as the origin of a package does carries a sign that no package has."""
    assert sources.read(str(write(tmp_path / name, a_py="x = 1\n")))[1].origin == origin


def test_every_file_is_counted(tmp_path: Path) -> None:
    """Read, skipped, excluded, empty, of another type, or in a folder that is not entered: nothing is passed over."""
    write(tmp_path, a_py="x = 1\n", b_py="", c_md=" \n\n", d_js="}\n", e_png="", f_py=b"\0", g_py="y = 1\n")
    for folder in (".github", "node_modules"):
        write(tmp_path / folder, x_yml="on: push\n")
    write(tmp_path / "env", pyvenv_cfg="home = /usr\n", x_py="x = 1\n")
    (tmp_path / ".gitignore").write_text("g.py\n", encoding="utf-8")
    report = sources.read(str(tmp_path))[1]
    counts = (report.files, report.empty, len(report.skipped), report.excluded, report.hidden)
    assert counts == (1, 3, 1, 1, 3)


@pytest.mark.parametrize("pattern", ["[z-a]", "[a-\\d]", "~[~-a{)]"])
def test_a_rule_that_means_nothing_is_passed_over(tmp_path: Path, pattern: str) -> None:
    """As Git does; the rules beside it hold, also where they stand above the tree."""
    write(tmp_path, a_py="a_b = 1\n", b_py="x = 1\n", inner__c_py="x = 1\n")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text(f"{pattern}\nb.py\n", encoding="utf-8")
    assert paths(sources.read(str(tmp_path))[0]) == ["a.py", "inner/c.py"]
    assert paths(sources.read(str(tmp_path / "inner"))[0]) == ["c.py"]
    assert reasons(tmp_path) == {}


def test_names_that_are_no_text_are_read_all_the_same(tmp_path: Path) -> None:
    """A tree whose name is no UTF-8 has an origin that is."""
    tree = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xff"))
    tree.mkdir()
    records, report = sources.read(str(write(tree, a_py="x = 1\n")))
    assert (paths(records), report.origin) == (["a.py"], "d�")
