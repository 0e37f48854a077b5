"""Reading sources: what records a tree or a package gives, as a stream, whatever the machine and the bytes."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.contracts import RecordKind
from replay.corpus import sources
from replay.corpus.languages import suffixes
from replay.corpus.passages import PIECE_CHARS
from replay.corpus.sources import Progress, Why
from replay.corpus.sources.files import decoded
from replay.errors import InputError
from tests.trees import paths, write

ROOT = Path(__file__).parents[2]


# --- what a record is ------------------------------------------------------------------------------------------------


def test_a_tree_gives_verbatim_lines_with_their_place(tmp_path: Path) -> None:
    """A record's text is the lines of its file, whatever line ends and encoding the file has."""
    write(
        tmp_path,
        pkg__a_py=b"# -*- coding: latin-1 -*-\r\nLIMIT = 4  # \xfc\r\n\r\ndef f():\r\n    return 1\r\n",
        README_md="# Title\n\nSome text.\n",
    )
    records, report = sources.read(str(tmp_path))
    found = {(r.path, r.first_line, r.last_line, r.title): r.text for r in records}
    assert found == {
        ("README.md", 1, 3, "README: Title"): "# Title\n\nSome text.",
        ("pkg/a.py", 1, 2, "pkg.a"): "# -*- coding: latin-1 -*-\nLIMIT = 4  # ü",
        ("pkg/a.py", 4, 5, "pkg.a.f"): "def f():\n    return 1",
    }
    assert {r.kind for r in records} == {RecordKind.SOURCE}
    assert (report.origin, report.files, report.records, report.skipped) == (tmp_path.name, 2, 3, ())
    assert report.bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.*"))


def test_ids_are_stable_and_distinct(tmp_path: Path) -> None:
    """Reading twice gives the same records; the same text at another place is another record."""
    source = "def f():\n    return 1\n\n\ndef g():\n    return 1\n"
    write(tmp_path, a_py=source, b_py=source)
    once, _ = sources.read(str(tmp_path))
    again, _ = sources.read(str(tmp_path))
    assert once == again
    assert len({record.record_id for record in once}) == 4
    assert all(len(record.record_id) == len("src_") + 16 for record in once)


def test_each_kind_of_file_is_cut_in_its_way(tmp_path: Path) -> None:
    """Code by definition, prose by heading, configuration as passages; a script says in its first line what it is."""
    write(
        tmp_path,
        net__pool_go="package pool\n\nfunc New() {\n}\n",
        guide_rst="Guide\n=====\ntext\n",
        notes_txt="just text\n",
        app_yaml="key: 1\n# not a heading\n",
        _Makefile="all:\n\techo\n",
    )
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "run").write_text("#!/usr/bin/env -S python3 -I\n\ndef f():\n    pass\n", encoding="utf-8")
    titles = [record.title for record in sources.read(str(tmp_path))[0]]
    assert titles == [
        "Makefile",
        "app.yaml",
        "guide: Guide",
        "notes",
        "bin.run",
        "bin.run.f",
        "net/pool",
        "net/pool.New",
    ]


def test_what_the_grammar_does_not_know_is_named(tmp_path: Path) -> None:
    """A broken file still gives records, and the report names it."""
    write(tmp_path, a_py="def f(:\n\ndef g():\n    pass\n", b_py="def g():\n    pass\n")
    records, report = sources.read(str(tmp_path))
    assert paths(records) == ["a.py", "b.py"]
    assert report.unparsed == ("a.py",)


# --- streams, packages, reports --------------------------------------------------------------------------------------


def test_a_reading_is_a_stream_that_tells_how_far_it_is(tmp_path: Path) -> None:
    """Records come file by file, the progress after each file, and the report is whole at the end."""
    write(tmp_path, a_py="x = 1\n", b_png="", c_py="x = 2\n")
    seen: list[Progress] = []
    reading = sources.stream(str(tmp_path), seen.append)
    records = iter(reading)
    assert next(records).path == "a.py"
    assert seen == []
    assert next(records).path == "c.py"
    assert seen == [Progress(1, 3, 6, "a.py"), Progress(2, 3, 6, "b.png")]
    assert list(records) == []
    assert seen[-1] == Progress(3, 3, 12, "c.py")
    assert (reading.report.files, reading.report.records, reading.report.ignored) == (2, 2, 1)


def test_a_reading_can_be_read_again(tmp_path: Path) -> None:
    """Each pass reads the files as they are then, and reports for itself."""
    write(tmp_path, a_py="x = 1\n")
    reading = sources.stream(str(tmp_path))
    assert list(reading) == list(reading)
    assert reading.report.records == 1
    write(tmp_path, b_py="x = 2\n")
    assert paths(list(reading)) == ["a.py", "b.py"]


def test_records_do_not_depend_on_where_and_how_a_tree_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tree elsewhere, written and listed in another order, gives the same records in the same order."""
    names = ("b__z_py", "a_py", "b_py", "B_py", "ä_py", "b__a_md", "a__x_go", "c_toml")
    write(tmp_path / "one" / "tree", **dict.fromkeys(names, "x = 1\n"))
    write(tmp_path / "two" / "tree", **dict.fromkeys(reversed(names), "x = 1\n"))
    once, _ = sources.read(str(tmp_path / "one" / "tree"))
    really_scan = os.scandir

    class Backwards:
        def __init__(self, path: bytes) -> None:
            with really_scan(path) as listed:
                self.entries = list(listed)[::-1]

        def __enter__(self) -> list[os.DirEntry[bytes]]:
            return self.entries

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(os, "scandir", Backwards)
    monkeypatch.chdir(tmp_path / "two")
    assert sources.read("tree")[0] == once
    assert paths(once) == ["B.py", "a.py", "b.py", "c.toml", "ä.py", "a/x.go", "b/a.md", "b/z.py"]


def test_an_installed_package_is_read_with_its_description() -> None:
    """Paths start at site-packages, and the long description keeps its line numbers in METADATA."""
    records, report = sources.read("package:kombu")
    assert report.origin.startswith("kombu 5.")
    assert report.unparsed == ()
    titles = {record.title: record for record in records}
    append = titles["kombu.transport.redis.QoS.append"]
    assert append.path == "kombu/transport/redis.py"
    assert append.text.startswith("    def append(self")
    described = [record for record in records if record.path and record.path.endswith("METADATA")]
    assert described
    assert all("Requires-Dist" not in record.text for record in described)
    for record in (append, described[-1]):
        assert record.path is not None
        installed = Path(str(metadata.distribution("kombu").locate_file(record.path))).read_text(encoding="utf-8")
        assert record.first_line is not None
        assert record.text.split("\n") == installed.split("\n")[record.first_line - 1 : record.last_line]
    assert max(len(record.text) for record in records) <= PIECE_CHARS


def test_an_installation_of_links_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some installers link the files to a cache of theirs; a link to anything but what was installed is not read."""
    (tmp_path / "cache").mkdir()
    write(tmp_path / "cache", a_py="x = 1\n", foreign_py="KEY = 1\n")
    (tmp_path / "site" / "linked").mkdir(parents=True)
    (tmp_path / "site" / "linked" / "a.py").symlink_to(tmp_path / "cache" / "a.py")
    for name in ("b.py", "c.py"):
        (tmp_path / "site" / "linked" / name).symlink_to(tmp_path / "cache" / "foreign.py")
    info = tmp_path / "site" / "linked-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: linked\nVersion: 1.0\n\nText.\n", encoding="utf-8")
    listed = ["../cache/a.py", str(tmp_path / "cache" / "a.py"), "linked-1.0.dist-info/METADATA"]
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"x = 1\n").digest()).decode().rstrip("=")
    hashes = {"linked/a.py": f"sha256={digest}", "linked/b.py": f"sha256={digest}", "linked/c.py": ""}
    lines = [*(f"{path},{hashed},6" for path, hashed in hashes.items()), *(f"{path},," for path in listed)]
    (info / "RECORD").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "site")
    records, report = sources.read("package:linked")
    assert [(record.path, record.text) for record in records] == [
        ("linked-1.0.dist-info/METADATA", "Text."),
        ("linked/a.py", "x = 1"),
    ]
    assert report.origin == "linked 1.0"
    assert [(skipped.path, skipped.why) for skipped in report.skipped] == [
        ("linked/c.py", Why.LINK),
        ("linked/b.py", Why.LINK),
    ]


@pytest.mark.parametrize("argument", ["package:no-such-package-here", "package:", "/no/such/folder", __file__])
def test_what_is_not_there_is_an_error_with_a_hint(argument: str) -> None:
    """A package that is not installed, a missing folder and a file are the user's to mend, before anything is read."""
    with pytest.raises(InputError) as caught:
        sources.stream(argument)
    assert caught.value.hint


def test_an_editable_install_says_where_to_look() -> None:
    """A package whose installation lists no sources is refused with advice, not read as empty."""
    with pytest.raises(InputError, match="no source files") as caught:
        sources.read("package:replay-audit")
    assert "directory" in caught.value.hint


def test_this_repository_can_be_read() -> None:
    """The engine's own tree: every file is understood, and every record is lines of its file, none of them in two."""
    records, report = sources.read(str(ROOT / "replay"))
    assert report.unparsed == ()
    assert report.records == len(records) > 300
    held: set[tuple[str, int]] = set()
    for record in records:
        assert record.path is not None
        assert record.first_line is not None
        assert record.last_line is not None
        lines = (ROOT / "replay" / record.path).read_text(encoding="utf-8").split("\n")
        assert record.text == "\n".join(lines[record.first_line - 1 : record.last_line])
        places = {(record.path, number) for number in range(record.first_line, record.last_line + 1)}
        assert held.isdisjoint(places)
        held |= places


# --- any bytes -------------------------------------------------------------------------------------------------------

SUFFIXES = sorted({*suffixes(), ".md", ".rst", ".txt", ".json", ""})


@pytest.fixture(name="tree", scope="module")
def tree_of_one_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bytes], Path]:
    """Makes a tree of one file; the next call makes another of it."""
    root = tmp_path_factory.mktemp("any") / "tree"

    def make(name: str, held: bytes) -> Path:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        (root / name).write_bytes(held)
        return root

    return make


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(SUFFIXES),
    st.binary(max_size=400)
    | st.text(max_size=400).map(str.encode)
    | st.text(max_size=200).map(lambda text: text.encode("utf-16"))
    | st.binary(max_size=100).map(lambda held: b"#!/bin/sh\n" + held)
    | st.binary(max_size=100).map(lambda held: b"# coding: latin-1\n" + held),
)
def test_any_bytes_give_verbatim_records_or_a_reason(
    tree: Callable[[str, bytes], Path], suffix: str, held: bytes
) -> None:
    """Whatever a file holds, reading it does not fail: it gives lines of it, once each, or says why not."""
    root = tree(f"a{suffix}", held)
    records, report = sources.read(str(root))
    text = decoded(f"a{suffix}", held, python=suffix.startswith(".py"))
    if isinstance(text, sources.Skipped):
        assert records == []
        assert len(report.skipped) + report.ignored == 1
        return
    assert report.files + len(report.skipped) + report.ignored + report.empty >= 1
    lines = text.split("\n")
    seen: set[int] = set()
    for record in records:
        assert record.first_line is not None
        assert record.last_line is not None
        assert record.text == "\n".join(lines[record.first_line - 1 : record.last_line])
        assert seen.isdisjoint(range(record.first_line, record.last_line + 1))
        seen.update(range(record.first_line, record.last_line + 1))
        record.model_dump_json()  # what it holds can be written down
