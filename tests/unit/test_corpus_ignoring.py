"""Ignore files: what a tree wants left out. Each table of cases was compared with what Git itself lists."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from replay.corpus import sources
from replay.corpus.sources.walking import walk

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
        ("sr[!x][!x]", []),
        ("sr[^x][+-9]", []),
        ("buil[!x]\n", ["build/a.py", "build/keep.py", "src/build/a.py"]),
        ("***/deep/", ["src/deep/a.py", "src/deep/b.py"]),
        ("\\***.py", []),
        ("deep\n!/\n", ["src/deep/a.py", "src/deep/b.py"]),
        ("[z-a]\n/a.py\n", ["a.py"]),
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


PIECES = [
    "*",
    "**",
    "?",
    "/",
    "a",
    "b",
    ".py",
    "[ab]",
    "[!a]",
    "[^b]",
    "[+-9]",
    "!",
    "\\!n",
    "\\#h",
    "a/",
    "**/",
    "/**",
]
PIECES += ["[a-b]", " ", "[[]", "[]z]", "[z]", "***", "[z-a]", "[", "d "]
NAMES = ["a.py", "b.py", "ab.py", "!n.py", "#h.py", "[z].py", "d .py"]


def pattern(choice: random.Random) -> str:
    """A pattern of a few pieces, but for what Git itself does not read the same way twice.

    Of `x**/` it compares an address with one of another text; and an escaped `/` is none for it.
    """
    while True:
        made = "".join(choice.choices(PIECES, k=choice.randint(1, 4)))
        bare = made.replace("***", "**").replace("****", "**")
        if "**/" not in bare.removeprefix("!").removeprefix("/").removeprefix("**/") and "\\/" not in made:
            return made


@pytest.mark.skipif(shutil.which("git") is None, reason="what Git lists is compared with")
def test_any_patterns_mean_what_they_mean_to_git(tmp_path: Path) -> None:
    """Random ignore files at three depths leave out what they leave out of Git's own list."""
    git = str(shutil.which("git"))
    subprocess.run([git, "init", "-q", tmp_path], check=True)
    for folder in ("", "a", "b", "d ", "a/b", "b/a"):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in NAMES:
            (tmp_path / folder / name).write_text("x = 1\n", encoding="utf-8")
    choice = random.Random(5)  # noqa: S311  a test's choice
    for _ in range(150):
        written = {}
        for path in (".gitignore", "a/.gitignore", "a/b/.gitignore"):
            lines = [pattern(choice) for _ in range(choice.randint(0 if "/" in path else 1, 3))]
            written[path] = "".join(f"{line}\n" for line in lines)
            (tmp_path / path).write_text(written[path], encoding="utf-8")
        command = [git, "-C", str(tmp_path), "ls-files", "--others", "--exclude-standard", "-z"]
        listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
        expected = {path for path in listed if path.endswith(".py")}
        assert {file.path for file in walk(tmp_path).files if file.path.endswith(".py")} == expected, written
