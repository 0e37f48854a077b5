"""Which files a tree itself wants left out: `.gitignore`, `.git/info/exclude` and `.replayignore`, by pathspec.

All three have Git's syntax, and it is applied as Git does: the last pattern that matches decides, a deeper `.gitignore`
comes after a higher one, and what lies in an excluded folder cannot be taken back. `.git/info/exclude` comes before
every `.gitignore`, and `.replayignore` after: it can leave out what Git keeps, and keep what Git leaves out. A user's
global ignore file is not read, so that the same tree gives the same records on every machine.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

GITIGNORE = ".gitignore"
REPLAYIGNORE = ".replayignore"
EXCLUDE = ".git/info/exclude"

_STARS = re.compile(r"(\\.)|\*{3,}")  # for Git, as many as two
_CLASS = re.compile(r"\\.|\[(?!\^/\])\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_INSIDE = re.compile(r"/\*\*(/?) *$")
_ALL = re.compile(r"/?\*\*(/\*+)*/?")  # every file and folder, or every folder


@dataclass(frozen=True)
class Pattern:
    """One line of an ignore file.

    Attributes:
        excludes: False for a line with `!`, which takes back.
        regex: What pathspec makes of the line.
        folder: Where the ignore file lies, with a `/` at the end; empty for the root.
        above: For an ignore file that lies above the root: the way from there to the root, with a `/` at the end.
        by_name: The line has no `/` but a last one, so that it speaks of names, wherever they are.
    """

    excludes: bool
    regex: re.Pattern[str]
    folder: str
    by_name: bool
    above: str = ""

    def matches(self, path: str, name: str) -> bool:
        """Does the line speak of this very entry, and not merely of a folder above it?"""
        if self.by_name:
            return self.regex.search(name) is not None
        below = self.above + path[len(self.folder) :]
        found = self.regex.search(below)
        return found is not None and found.end() == len(below)


@dataclass(frozen=True)
class Rules:
    """The patterns that hold in a folder."""

    exclude: tuple[Pattern, ...] = ()
    gitignore: tuple[Pattern, ...] = ()
    replayignore: tuple[Pattern, ...] = ()

    def within(self, folder: str, name: str, content: bytes) -> Rules:
        """The rules of a folder that has an ignore file.

        Args:
            folder: Path of the folder, relative to the root; empty for the root itself.
            name: Which of the three files it is.
            content: What the file holds.
        """
        patterns = tuple(_patterns(f"{folder}/" if folder else "", content))
        if name == GITIGNORE:
            return replace(self, gitignore=self.gitignore + patterns)
        if name == REPLAYIGNORE:
            return replace(self, replayignore=self.replayignore + patterns)
        return replace(self, exclude=self.exclude + patterns)

    def excludes(self, path: str, *, folder: bool) -> bool:
        """Is a file or folder left out? `path` is relative to the root, and no folder above it is left out."""
        path += "/" * folder
        name = path[path.rfind("/", 0, len(path) - 1) + 1 :]
        for patterns in (self.replayignore, self.gitignore, self.exclude):
            for pattern in reversed(patterns):
                if pattern.matches(path, name):
                    return pattern.excludes
        return False

    def seen_from(self, folder: str) -> Rules:
        """The same rules for paths that are relative to this folder."""
        exclude, gitignore, replayignore = (
            tuple(replace(one, folder="", above=f"{folder}/"[len(one.folder) :]) for one in patterns)
            for patterns in (self.exclude, self.gitignore, self.replayignore)
        )
        return Rules(exclude, gitignore, replayignore)


def _patterns(folder: str, content: bytes) -> Iterator[Pattern]:
    for line in content.decode("utf-8-sig", errors="replace").split("\n"):
        written = line.removesuffix("\r")
        # For Git `a/**` and `a/**/` speak of what is inside; pathspec takes the folder itself for inside.
        written = _INSIDE.sub(r"/**/*\1", _STARS.sub(lambda found: found[1] or "**", written))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an odd set of characters in someone's pattern is not our news
                made = GitIgnoreSpecPattern(written)
                # For Git no set of characters matches the `/` between two names.
                regex = re.compile(_CLASS.sub(_within_a_name, made.regex.pattern)) if made.regex else None
        except (ValueError, re.error):  # it means nothing: Git passes it over too
            continue
        body = written.removeprefix("!").rstrip(" ")
        if made.include is not None and regex is not None and body.strip("/"):  # a mere `/` speaks of nothing
            yield Pattern(made.include, regex, folder, by_name="/" not in body[:-1] or bool(_ALL.fullmatch(body)))


def _within_a_name(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("\\") else f"(?!/){found[0]}"
