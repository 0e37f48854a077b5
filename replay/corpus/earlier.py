"""The layout of Replay 0.1.0: one file of JSON lines for each version. It is taken over by the next publish.

Readers refuse it and say what to do; a writer reads its records as those that the corpus has, so nothing is lost. The
old files stay for whoever wants to look at an old run; nothing reads them after that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from replay.contracts import Record
from replay.corpus import store
from replay.errors import CorpusError

_HINT = (
    "Any command that writes takes it over whole: `replay corpus compact`, or build, add or import. "
    "The old files stay in snapshots/ until you delete them."
)


def refused(corpus_dir: Path, version: str) -> CorpusError | None:
    """The error for a corpus that is still in the earlier layout; None where there is none of that version."""
    path = _path(corpus_dir, version)
    if not path.exists():
        return None
    return CorpusError(f"the corpus in {corpus_dir} has the layout of an earlier Replay ({path})", hint=_HINT)


def versions(corpus_dir: Path) -> list[str]:
    """The versions in the earlier layout that are there, by name."""
    return sorted(path.stem for path in (corpus_dir / "snapshots").glob("corpus_*.jsonl"))


def records(corpus_dir: Path, version: str) -> Iterator[Record]:
    """The records of a version in the earlier layout, once its bytes are known to be those that were written.

    Raises:
        CorpusError: They are not, or are no records.
    """
    path = _path(corpus_dir, version)
    content = path.read_bytes()
    if "corpus_" + hashlib.sha256(content).hexdigest()[:16] != version:
        raise CorpusError(
            f"corpus snapshot {path} is damaged: its bytes are not what was written",
            hint=f"Put it back from a copy, or set {corpus_dir} aside, then build and import anew.",
        )
    return (store.decode(line, path) for line in content.splitlines())


def _path(corpus_dir: Path, version: str) -> Path:
    return corpus_dir / "snapshots" / f"{version}.jsonl"
