"""What a tool has written, for tools: it says nothing that its source does not say better, and drowns the rest."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

HEAD_LINES = 20
HEAD_CHARS = 2_000

_LOCKS = frozenset(
    {
        "bun.lockb",
        "go.sum",
        "go.work.sum",
        "gradle.lockfile",
        "npm-shrinkwrap.json",
        "package-lock.json",
        "packages.lock.json",
        "pnpm-lock.yaml",
        "yarn.lock",
    }
)
_COMMENT = re.compile(r"\s*(?:#|//|/\*|\*|--|;|%|<!--)")
# The tag that Meta's and other tools share stands first in its line; Go's rule (go.dev/s/generatedcode) and what other
# generators write is a sentence or two.
_TAG = re.compile(r"[^\w@`\"']*@generated(?![\w`\"'])")
# No two parts of it can match the same sign in two ways, so that a hostile head costs no more than its length.
_BETWEEN = r"(?:[^.]{0,240}|[^.]{0,120}\.[^.]{0,120})"
_SENTENCE = re.compile(
    rf"\bgenerated\b{_BETWEEN}\bdo\s+not\s+(?:edit|modify|change)\b"
    rf"|\bdo\s+not\s+(?:edit|modify|change)\b{_BETWEEN}\bgenerated\b",
    re.IGNORECASE,
)


def by_name(path: str) -> str | None:
    """Why a file's name says that a tool wrote it, or None."""
    pure = PurePosixPath(path.lower())
    if pure.suffix == ".lock" or pure.name in _LOCKS:
        return "lock file"
    if pure.suffix == ".map":
        return "source map"
    if pure.stem.endswith((".min", "-min")) and pure.suffix in {".js", ".mjs", ".css"}:
        return "minified"
    return None


def by_marker(lines: list[str]) -> str | None:
    """Why the comments at the head of a file say that a tool wrote it, or None."""
    comments = [line.strip() for line in lines[:HEAD_LINES] if _COMMENT.match(line)]
    tagged = next(filter(_TAG.match, comments), None)
    said = _SENTENCE.search(" ".join(comments)[:HEAD_CHARS])
    if tagged is None and said is None:
        return None
    return f"marked as generated: {(tagged or (said[0] if said else ''))[:80]!r}"
