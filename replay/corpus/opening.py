"""Opening a version: mapped files, verified before anything of them is used."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from replay.contracts import Record
from replay.corpus import earlier, manifest
from replay.corpus.group import Group
from replay.corpus.history import LOG
from replay.corpus.manifest import BUILD_HINT, Change, GroupName, Manifest, Published
from replay.corpus.segment import Segment
from replay.errors import CorpusError

POINTER = "current"
SEGMENTS = "segments"
USE_HINT = "`replay corpus use VERSION` makes a version that is there the current one; `replay corpus log` lists them."

_TRIES = 5


class Snapshot:
    """One version. Immutable, and its files stay readable whatever is published, merged or swept after its opening.

    Open it before a fork, and the processes share its pages.

    Args:
        described: The manifest.
        segments: Opened, in the order of the manifest.
        change: What the writer did that returns it; None where it was opened to be read.
    """

    def __init__(self, described: Manifest, segments: tuple[Segment, ...], change: Change | None = None) -> None:
        self.manifest = described
        self.segments = segments
        self.change = change

    @property
    def version(self) -> str:
        """The name of its content."""
        return self.manifest.version

    @property
    def published(self) -> Published:
        """When and as what it was published."""
        return self.manifest.published

    @cached_property
    def playbook(self) -> Group:
        """Exemplars, warnings and notes."""
        return self._group(GroupName.PLAYBOOK)

    @cached_property
    def sources(self) -> Group:
        """Source passages."""
        return self._group(GroupName.SOURCES)

    def __len__(self) -> int:
        return self.manifest.records

    def records(self) -> Iterator[Record]:
        """Every record: playbooks, then sources, each in an order that depends on nothing but their ids.

        Raises:
            CorpusError: The bytes of one are not what was written; names the file.
        """
        yield from self.playbook
        yield from self.sources

    def find(self, record_id: str) -> Record | None:
        """The record of an id; None where there is none.

        Raises:
            CorpusError: As `records`.
        """
        return self.playbook.find(record_id) or self.sources.find(record_id)

    def _group(self, name: GroupName) -> Group:
        return Group([segment for segment in self.segments if segment.stored.group is name])


def load(corpus_dir: Path, version: str | None = None, *, reuse: Snapshot | None = None) -> Snapshot:
    """Open a version, by default the current one. Nothing is read but what proves its files.

    Args:
        corpus_dir: Where the corpus lies.
        version: Any version whose files are still there.
        reuse: An opened version: segments that both have are not opened again.

    Raises:
        CorpusError: There is no corpus or no such version, or a file of it is not what was written; names the file.
    """
    wanted = version or current_version(corpus_dir)
    if wanted is None:
        raise missing(corpus_dir)
    for _ in range(_TRIES):
        described = manifest.read(corpus_dir, wanted)
        try:
            opened = Snapshot(described, open_segments(corpus_dir, described, reuse))
            _open_all(opened)
        except CorpusError:
            # A compaction may have replaced the manifest and swept the merged files between the two readings.
            if manifest.read(corpus_dir, wanted) == described:
                raise
        else:
            return opened
    raise CorpusError(f"corpus version {wanted} changes faster than it can be opened", hint="Try again.")


def open_segments(corpus_dir: Path, described: Manifest, reuse: Snapshot | None = None) -> tuple[Segment, ...]:
    """Open the segments of a manifest, all but their line tables, which are opened when they are asked for.

    Raises:
        CorpusError: A file is not what was written; names it.
    """
    known = {segment.stored.name: segment for segment in reuse.segments} if reuse else {}
    folder = corpus_dir / SEGMENTS
    return tuple(
        known[stored.name] if stored.name in known and known[stored.name].stored == stored else Segment(folder, stored)
        for stored in described.segments
    )


def current_version(corpus_dir: Path) -> str | None:
    """The version that the pointer names; None where no corpus was ever published.

    Raises:
        CorpusError: The pointer is no version, or cannot be read, or names one that is not there, or one of an earlier
            layout.
    """
    version = pointed(corpus_dir)
    if version is not None and not manifest.path_of(corpus_dir, version).exists():
        raise earlier.refused(corpus_dir, version) or _lost(corpus_dir, version)
    return version


def pointed(corpus_dir: Path) -> str | None:
    """What the pointer says, whether there is such a version or not; None where nothing was ever published.

    Raises:
        CorpusError: The pointer is no version, cannot be read, or is lost: there are versions, and nothing says which.
    """
    pointer = corpus_dir / POINTER
    try:
        version = pointer.read_text(encoding="utf-8").removesuffix("\n")
    except FileNotFoundError:
        if versions(corpus_dir) and unfinished(corpus_dir) is None:
            raise CorpusError(f"corpus pointer {pointer} is not there, and versions are", hint=USE_HINT) from None
        if not versions(corpus_dir) and (before := earlier.versions(corpus_dir)):
            raise CorpusError(
                f"corpus pointer {pointer} is not there, and versions of an earlier layout are",
                hint=f"Write the name of one of them into it: {', '.join(before[:3])}",
            ) from None
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"corpus pointer {pointer} cannot be read: {error}", hint=USE_HINT) from error
    if not manifest.is_version(version):
        raise CorpusError(f"corpus pointer {pointer} names no version: {version[:40]!r}", hint=USE_HINT)
    return version


def versions(corpus_dir: Path) -> list[str]:
    """All versions that are there, by name."""
    return sorted(path.stem for path in (corpus_dir / "versions").glob("corpus_*.json"))


def unfinished(corpus_dir: Path) -> str | None:
    """The version of a first publish that was killed before its pointer was written; None where there is none.

    It is the only one, came from no other, and no log tells of any. The next writer makes it the current one: then
    nothing is lost either where it is not that but a copy that lacks its pointer.
    """
    found = versions(corpus_dir)
    if len(found) != 1 or (corpus_dir / POINTER).exists() or (corpus_dir / LOG).exists():
        return None
    try:
        begun = manifest.read(corpus_dir, found[0]).published.parent is None
    except CorpusError:
        return None
    return found[0] if begun else None


def named(corpus_dir: Path, name: str) -> str:
    """The version that a person means: `current`, a version, or so much of its hex digits that only one begins so.

    Raises:
        CorpusError: There is no corpus, no such version, or there are several.
    """
    if name == POINTER:
        version = current_version(corpus_dir)
        if version is None:
            raise missing(corpus_dir)
        return version
    begun = name if name.startswith("corpus_") else f"corpus_{name}"
    found = [version for version in versions(corpus_dir) if version.startswith(begun)]
    if len(found) == 1:
        return found[0]
    what = f"could be any of {', '.join(found)}" if found else f"is no version of the corpus in {corpus_dir}"
    raise CorpusError(f"{name[:60]!r} {what}", hint="`replay corpus log` lists them.")


def missing(corpus_dir: Path) -> CorpusError:
    """The error for a folder in which nothing was ever published."""
    return CorpusError(f"there is no corpus in {corpus_dir}", hint=BUILD_HINT)


def _lost(corpus_dir: Path, version: str) -> CorpusError:
    path = manifest.path_of(corpus_dir, version)
    return CorpusError(
        f"corpus pointer {corpus_dir / POINTER} names {version}, and its manifest {path} is not there",
        hint=f"Copy it, or choose another one: {USE_HINT}",
    )


def _open_all(opened: Snapshot) -> None:
    """Open what would be opened on first use, so that damage shows now, and so that forked processes share it."""
    for group in (opened.playbook, opened.sources):
        _ = group.index
        for segment in group.segments:
            _ = segment.lines
