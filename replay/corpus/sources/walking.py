"""The files of a directory tree that may give records, in an order that does not depend on the file system."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from replay.corpus.oneline import is_one_line
from replay.corpus.sources.files import File, content
from replay.corpus.sources.ignoring import EXCLUDE, GITIGNORE, REPLAYIGNORE, Rules
from replay.corpus.sources.report import Skipped, Why

# Folders that hold what other files were made into, wherever they are.
_CACHES = frozenset({"__pycache__", "node_modules"})
# A folder with one of these is an environment or says of itself that it is a cache (bford.info/cachedir).
_MARKS = frozenset({b"pyvenv.cfg", b"CACHEDIR.TAG"})


@dataclass
class Walk:
    """What a walk met.

    Attributes:
        root: The tree, as an absolute path without links.
        files: Files to read, the files of a folder before its subfolders, each by code point.
        skipped: What cannot be read: links, folders that cannot be opened, names that are no text.
        excluded: Files and folders that ignore files leave out.
        hidden: Folders that are never entered.
    """

    root: bytes
    files: list[File] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    excluded: int = 0
    hidden: int = 0


def walk(root: Path, but: Path | None = None) -> Walk:
    """Walk a tree, without hidden folders, caches, environments and what its ignore files leave out.

    Args:
        root: The tree.
        but: A folder that is not entered wherever it lies: a corpus that read itself would never be finished.
    """
    met = Walk(os.path.realpath(os.fsencode(root)))
    own = os.path.realpath(os.fsencode(but)) if but else b""
    waiting = [("", _rules_above(met))]
    while waiting:
        folder, rules = waiting.pop()
        try:
            with os.scandir(_at(met.root, folder)) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError as error:
            met.skipped.append(Skipped(folder or ".", f"unreadable: {error.strerror or error}", Why.UNREADABLE))
            continue
        if folder and (_at(met.root, folder) == own or any(entry.name in _MARKS for entry in entries)):
            met.hidden += 1
            continue
        rules = _rules_of(met, folder, rules)
        inner = [(path, rules) for path in _enter(met, folder, entries, rules)]
        waiting += reversed(inner)
    return met


def _enter(met: Walk, folder: str, entries: Iterable[os.DirEntry[bytes]], rules: Rules) -> Iterator[str]:
    """Note the files of a folder; gives the subfolders that are worth entering."""
    for entry in entries:
        name = entry.name.decode(errors="backslashreplace")
        path = f"{folder}/{name}" if folder else name
        if name.encode() != entry.name:
            met.skipped.append(Skipped(path, "its name is not UTF-8", Why.NAME))
            continue
        if not is_one_line(name):
            met.skipped.append(Skipped(ascii(path)[1:-1], "its name has control characters", Why.NAME))
            continue
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
        except OSError as error:
            met.skipped.append(Skipped(path, f"unreadable: {error.strerror or error}", Why.UNREADABLE))
            continue
        if is_folder and (name.startswith(".") or name in _CACHES):
            met.hidden += 1
            continue
        if rules.excludes(path, folder=is_folder):
            met.excluded += 1
        elif entry.is_symlink():
            met.skipped.append(Skipped(path, f"symbolic link: {_target(met, entry.path)}", Why.LINK))
        elif is_folder:
            yield path
        else:
            met.files.append(File(path, entry.path))


def _target(met: Walk, link: bytes) -> str:
    """Where a link leads. None is followed: a link out of the tree would bring in a foreign file, others a copy."""
    try:
        target = os.path.realpath(link, strict=True)
    except OSError:
        return "it leads nowhere"
    if target == met.root or target.startswith(met.root.rstrip(b"/") + b"/"):
        return "it stays in the tree"
    return "it leaves the tree"


def _at(root: bytes, path: str) -> bytes:
    return os.path.join(root, path.encode(errors="surrogateescape"))  # noqa: PTH118  Path knows no bytes


def _rules_of(met: Walk, folder: str, rules: Rules) -> Rules:
    """The rules of a folder: those above it and its own."""
    for name in (EXCLUDE, GITIGNORE, REPLAYIGNORE):
        path = f"{folder}/{name}" if folder else name
        held = content(File(path, _at(met.root, path)))
        if isinstance(held, bytes):
            rules = rules.within(folder, name, held)
        elif held.why is not Why.CHANGED:  # that is how it says that there is none
            met.skipped.append(Skipped(path, f"ignore file not obeyed: {held.reason}", held.why))
    return rules


def _rules_above(met: Walk) -> Rules:
    """The rules that the repository around the tree has for it, where the tree is a folder of one.

    Where they leave out the tree itself, whoever named it knows better, and they do not hold.
    """
    top = met.root
    way: list[str] = []
    while not os.path.lexists(_at(top, ".git")):
        if top == os.path.dirname(top):  # noqa: PTH120  Path knows no bytes
            return Rules()
        top, name = os.path.split(top)
        way.insert(0, name.decode(errors="surrogateescape"))
    around, rules, here = Walk(top), Rules(), ""
    for inner in way:
        rules = _rules_of(around, here, rules)
        here = f"{here}/{inner}" if here else inner
        if rules.excludes(here, folder=True):
            return Rules()
    return rules.seen_from(here) if way else Rules()
