"""Ignore files: what a tree wants left out. Each table of cases was compared with what Git itself lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.corpus import sources

FILES = ("a.py", "build/a.py", "build/keep.py", "src/a.py", "src/build/a.py", "src/deep/a.py", "src/deep/b.py", "#b.py")


def tree_of(root: Path, ignoring: dict[str, str]) -> Path:
    """A tree of Python files with these ignore files."""
    for path in FILES:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"name = {path!r}\n", encoding="utf-8")
    for path, content in ignoring.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content.encode())
    return root


def left_out(root: Path) -> list[str]:
    """The files of the tree that gave no record."""
    records, _ = sources.read(str(root))
    return sorted(set(FILES) - {str(record.path) for record in records})


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("a.py", ["a.py", "build/a.py", "src/a.py", "src/build/a.py", "src/deep/a.py"]),
        ("/a.py", ["a.py"]),
        ("build/", ["build/a.py", "build/keep.py", "src/build/a.py"]),
        ("/build", ["build/a.py", "build/keep.py"]),
        ("src/build", ["src/build/a.py"]),
        ("src/*\n!src/deep/", ["src/a.py", "src/build/a.py"]),
        ("build/*\n!build/keep.py", ["build/a.py"]),
        ("build/**\n!build/keep.py", ["build/a.py"]),
        ("build/\n!build/keep.py", ["build/a.py", "build/keep.py", "src/build/a.py"]),
        ("**/deep", ["src/deep/a.py", "src/deep/b.py"]),
        ("src/**/a.py", ["src/a.py", "src/build/a.py", "src/deep/a.py"]),
        ("src/**/", ["src/build/a.py", "src/deep/a.py", "src/deep/b.py"]),
        ("*/\n!/src/", ["build/a.py", "build/keep.py", "src/build/a.py", "src/deep/a.py", "src/deep/b.py"]),
        ("*\n!*/\n!b.py", [path for path in FILES if path != "src/deep/b.py"]),
        ("/*\n!/build/", ["#b.py", "a.py", "src/a.py", "src/build/a.py", "src/deep/a.py", "src/deep/b.py"]),
        ("[!a].py", ["src/deep/b.py"]),
        ("# a.py\n\n   \n!\n", []),
        ("\\#b.py", ["#b.py"]),
        ("/a.py\r\n/build/\r\n", ["a.py", "build/a.py", "build/keep.py"]),
        ("\ufeff/a.py", ["a.py"]),
        ("/a.py   ", ["a.py"]),
    ],
)
def test_patterns_mean_what_they_mean_to_git(tmp_path: Path, patterns: str, expected: list[str]) -> None:
    """Names, folders, anchors, stars, negation, comments, line ends and a byte order mark."""
    assert left_out(tree_of(tmp_path, {".gitignore": patterns})) == sorted(expected)


def test_a_deeper_file_has_the_last_word(tmp_path: Path) -> None:
    """Patterns of a folder are relative to it and come after those above; an excluded folder's file is not read."""
    root = tree_of(
        tmp_path,
        {
            ".gitignore": "a.py\nbuild/\n",
            "src/.gitignore": "!/a.py\n/deep/*\n!/deep/b.py\n",
            "build/.gitignore": "!*\n",
        },
    )
    assert left_out(root) == ["a.py", "build/a.py", "build/keep.py", "src/build/a.py", "src/deep/a.py"]


def test_the_repository_s_own_list_comes_first(tmp_path: Path) -> None:
    """`.git/info/exclude` is obeyed, and a `.gitignore` can take back what it leaves out."""
    root = tree_of(tmp_path, {".git/info/exclude": "a.py\n", "src/.gitignore": "!a.py\n"})
    assert left_out(root) == ["a.py", "build/a.py"]


def test_replayignore_comes_last(tmp_path: Path) -> None:
    """It leaves out what Git keeps, and keeps what Git leaves out, wherever the other file lies."""
    root = tree_of(
        tmp_path, {".replayignore": "deep/\n!/src/build/\n", ".gitignore": "build\n", "src/.gitignore": "build\n"}
    )
    assert left_out(root) == ["build/a.py", "build/keep.py", "src/deep/a.py", "src/deep/b.py"]


def test_a_folder_of_a_repository_obeys_the_whole_of_it(tmp_path: Path) -> None:
    """Ignore files between the folder that is read and the top of its repository hold, and none above the top."""
    tree_of(
        tmp_path / "repo",
        {
            ".git/HEAD": "",
            ".git/info/exclude": "b.py\n",
            ".gitignore": "/src/build/\n",
            "src/.gitignore": "/deep/a.py\n",
        },
    )
    (tmp_path / ".gitignore").write_text("*\n", encoding="utf-8")
    records, report = sources.read(str(tmp_path / "repo" / "src"))
    assert [record.path for record in records] == ["a.py"]
    assert report.excluded == 3


def test_who_names_an_excluded_folder_means_it(tmp_path: Path) -> None:
    """The rules of a repository that leave out the very folder that is read do not hold for it."""
    tree_of(tmp_path, {".git/HEAD": "", ".gitignore": "build/\n*.py\n"})
    assert len(sources.read(str(tmp_path / "build"))[0]) == 2


def test_what_is_excluded_is_counted(tmp_path: Path) -> None:
    """A file counts once, and a folder once with all that it holds."""
    _, report = sources.read(str(tree_of(tmp_path, {".gitignore": "build/\n/a.py\n"})))
    assert report.excluded == 3


def test_an_ignore_file_that_is_a_link_is_not_obeyed(tmp_path: Path) -> None:
    """As in Git, it cannot be brought in from elsewhere; the report says so."""
    (tmp_path / "elsewhere").write_text("*\n", encoding="utf-8")
    root = tree_of(tmp_path / "tree", {})
    (root / ".gitignore").symlink_to(tmp_path / "elsewhere")
    assert left_out(root) == []
    reasons = [skipped.reason for skipped in sources.read(str(root))[1].skipped]
    assert any(reason.startswith("ignore file not obeyed") for reason in reasons)
