"""Reading sources: a tree, an installed package, and files that cannot be read."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

import pytest

from replay.contracts import RecordKind
from replay.corpus import sources
from replay.corpus.passages import PIECE_CHARS
from replay.errors import InputError


def test_a_tree_gives_verbatim_lines_with_their_place(tmp_path: Path) -> None:
    """A record's text is the lines of its file, whatever line ends and encoding the file has."""
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "a.py").write_bytes(
        b"# -*- coding: latin-1 -*-\r\nLIMIT = 4  # \xfc\r\n\r\ndef f():\r\n    return 1\r\n"
    )
    (tmp_path / "README.md").write_text("# Title\n\nSome text.\n", encoding="utf-8")
    records, report = sources.read_tree(tmp_path)
    found = {(r.path, r.first_line, r.last_line, r.title): r.text for r in records}
    assert found == {
        ("README.md", 1, 3, "README: Title"): "# Title\n\nSome text.",
        ("pkg/a.py", 1, 2, "pkg.a"): "# -*- coding: latin-1 -*-\nLIMIT = 4  # ü",
        ("pkg/a.py", 4, 5, "pkg.a.f"): "def f():\n    return 1",
    }
    assert {r.kind for r in records} == {RecordKind.SOURCE}
    assert (report.origin, report.files, report.records, report.skipped) == (tmp_path.name, 2, 3, ())


def test_ids_are_stable_and_distinct(tmp_path: Path) -> None:
    """Reading twice gives the same records; the same text at another place is another record."""
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("def f():\n    return 1\n\n\ndef g():\n    return 1\n", encoding="utf-8")
    once, _ = sources.read_tree(tmp_path)
    again, _ = sources.read_tree(tmp_path)
    assert once == again
    assert len({record.record_id for record in once}) == 4
    assert all(len(record.record_id) == len("src_") + 12 for record in once)


def test_what_cannot_be_read_is_reported_with_its_reason(tmp_path: Path) -> None:
    """Binary, undecodable, oversized and minified files give no record and one reason each; the rest is read."""
    (tmp_path / "good.py").write_text("x = 1\n", encoding="utf-8")
    (tmp_path / "binary.py").write_bytes(b"x = 1\0")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "coding.py").write_bytes(b"# coding: no-such-codec\nx = 1\n")
    (tmp_path / "big.txt").write_bytes(b"x\n" * (sources.MAX_FILE_BYTES // 2 + 1))
    (tmp_path / "min.js").write_text("x" * 5000, encoding="utf-8")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    os.mkfifo(tmp_path / "pipe.txt")
    records, report = sources.read_tree(tmp_path)
    assert [record.path for record in records] == ["good.py"]
    reasons = {skipped.path: skipped.reason for skipped in report.skipped}
    assert reasons.keys() == {"binary.py", "latin.txt", "coding.py", "big.txt", "min.js", "pipe.txt"}
    assert "null bytes" in reasons["binary.py"]
    assert "encoding" in reasons["latin.txt"]
    assert "encoding" in reasons["coding.py"]
    assert "larger" in reasons["big.txt"]
    assert "minified" in reasons["min.js"]
    assert "regular" in reasons["pipe.txt"]
    assert report.ignored == 1


def test_python_that_does_not_parse_is_cut_as_text(tmp_path: Path) -> None:
    """Source of another Python is still evidence: it is kept in passages and named in the report."""
    (tmp_path / "old.py").write_text('print "hello"\n', encoding="utf-8")
    records, report = sources.read_tree(tmp_path)
    assert [record.text for record in records] == ['print "hello"']
    assert report.unparsed == ("old.py",)


def test_links_are_never_followed(tmp_path: Path) -> None:
    """A link out of the tree cannot bring in a foreign file; a link within it would read a file twice."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.py").write_text("password = 1\n", encoding="utf-8")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a.py").write_text("x = 1\n", encoding="utf-8")
    (tree / "file.py").symlink_to(outside / "secret.py")
    (tree / "folder").symlink_to(outside)
    (tree / "again.py").symlink_to(tree / "a.py")
    (tree / "loop.py").symlink_to(tree / "loop.py")
    records, report = sources.read_tree(tree)
    assert [record.path for record in records] == ["a.py"]
    reasons = {skipped.path: skipped.reason for skipped in report.skipped}
    assert reasons.keys() == {"file.py", "folder", "again.py", "loop.py"}
    assert "leaves the tree" in reasons["file.py"]
    assert "leaves the tree" in reasons["folder"]
    assert "stays in the tree" in reasons["again.py"]


def test_hidden_folders_caches_and_environments_are_not_entered(tmp_path: Path) -> None:
    """A working copy's own machinery is no source."""
    for folder in (".git", "__pycache__", "env"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.py").write_text("x = 1\n", encoding="utf-8")
    (tmp_path / "env" / "pyvenv.cfg").write_text("home = /usr\n", encoding="utf-8")
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    assert [record.path for record in sources.read_tree(tmp_path)[0]] == ["a.py"]


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


@pytest.mark.parametrize("argument", ["package:no-such-package-here", "package:", "/no/such/folder"])
def test_what_is_not_there_is_an_error_with_a_hint(argument: str) -> None:
    """A package that is not installed and a missing folder are the user's to mend."""
    with pytest.raises(InputError) as caught:
        sources.read(argument)
    assert caught.value.hint


def test_an_editable_install_says_where_to_look() -> None:
    """A package whose installation lists no sources is refused with advice, not read as empty."""
    with pytest.raises(InputError, match="no source files") as caught:
        sources.read("package:replay-audit")
    assert "directory" in caught.value.hint
