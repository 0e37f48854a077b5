"""What a tool has written, for tools: it says nothing that its source does not say better, and drowns the rest."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

HEAD_LINES = 20

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
_COMMENT = re.compile(r"\s*(?:#|//|/\*|\*|--|;|%|<!--|\"\"\"|''')")
# Go's rule (go.dev/s/generatedcode), the tag that Meta's and other tools share, and what other generators write.
_MARKER = re.compile(
    r"(?<![\w@`\"'])@generated(?![\w`\"'])"
    r"|\bgenerated\b[^.\n]*\.?[^.\n]*\bdo\s+not\s+(?:edit|modify|change)\b"
    r"|\bdo\s+not\s+(?:edit|modify|change)\b[^.\n]*[.!:]?[^.\n]*\bgenerated\b",
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
    said = " ".join(line.strip() for line in lines[:HEAD_LINES] if _COMMENT.match(line))
    if found := _MARKER.search(said):
        return f"marked as generated: {' '.join(found[0].split())[:80]!r}"
    return None
