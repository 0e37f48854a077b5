"""The manifest of a version: which segments it is made of, and what their files must be.

A segment is an immutable run of records of one group, in three files named by their content (`<name>.index`,
`<name>.records` and, of sources, `<name>.lines`). A manifest names its segments with the size and SHA-256 of each
file, and carries its own SHA-256: whatever byte of a version is flipped, reading it says so.

The version names the *content*: it is made of the digests of all records and of the tokenizer, not of how the records
are cut into segments. So the same records are the same version everywhere, and merging segments keeps it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError

from replay import identity
from replay.contracts import Message, RecordKind
from replay.corpus.tokens import TOKENIZER
from replay.errors import CorpusError

SCHEMA = "replay_corpus.v2"
BUILD_HINT = "Build one: replay corpus build package:celery package:kombu package:redis"

_VERSION = re.compile(r"corpus_[0-9a-f]{16}")
_SEAL = '"seal":"sha256:'


class GroupName(StrEnum):
    """How records are found: playbooks by likeness to the task, sources by what of the task they cover."""

    PLAYBOOK = "playbook"
    SOURCES = "sources"

    @classmethod
    def of(cls, kind: RecordKind) -> GroupName:
        """The group that records of a kind belong to."""
        return cls.SOURCES if kind is RecordKind.SOURCE else cls.PLAYBOOK


@dataclass(frozen=True)
class Change:
    """What a publish is, for the log: a word, what it was made from, and how it differs from the version before."""

    what: str
    reason: str = ""
    added: int | None = None
    changed: int | None = None
    removed: int | None = None


class StoredFile(Message):
    """A file of a segment as it was written."""

    bytes: int
    sha256: str


class StoredSegment(Message):
    """A segment, and what can be told of its records without opening it."""

    name: str
    group: GroupName
    records: int
    kinds: dict[str, int]
    origins: dict[str, int]
    index: StoredFile
    store: StoredFile
    lines: StoredFile | None

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return self.index.bytes + self.store.bytes + (self.lines.bytes if self.lines else 0)


class Published(Message):
    """One line of the corpus log: who made which version, of what, and how it differs from the one before.

    `added`, `changed` and `removed` count records against the parent; all are None where the parent was unreadable.
    """

    version: str
    parent: str | None
    at: str
    what: str
    reason: str
    records: int
    segments: int
    added: int | None
    changed: int | None
    removed: int | None


class Manifest(Message):
    """What a version is made of."""

    schema_: Literal["replay_corpus.v2"] = Field("replay_corpus.v2", alias="schema")
    version: str
    tokenizer: str
    published: Published
    segments: tuple[StoredSegment, ...]

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def of(self, group: GroupName) -> tuple[StoredSegment, ...]:
        """The segments of a group, in their order."""
        return tuple(segment for segment in self.segments if segment.group is group)

    @property
    def records(self) -> int:
        """How many records the version has."""
        return sum(segment.records for segment in self.segments)


def version_of(digests: Iterable[NDArray[np.uint64]]) -> str:
    """The name of the content whose records have these 16-byte digests, given as rows of two words, in any order."""
    words = np.concatenate([np.empty((0, 2), np.uint64), *digests])
    order = np.argsort(words[:, 0], kind="stable")  # by which what comes in order is merged, and not sorted again
    first = words[order, 0]
    if bool((first[1:] == first[:-1]).any()):
        order = np.lexsort((words[:, 1], words[:, 0]))
    hashed = hashlib.sha256(f"{SCHEMA}\n{TOKENIZER}\n".encode())
    hashed.update(np.ascontiguousarray(words[order], "<u8").data)
    return "corpus_" + hashed.hexdigest()[:16]


def is_version(name: str) -> bool:
    """Does this have the form of a version?"""
    return bool(_VERSION.fullmatch(name))


def path_of(corpus_dir: Path, version: str) -> Path:
    """Where the manifest of a version lies.

    Raises:
        CorpusError: It is no version; nothing else becomes a path.
    """
    if not is_version(version):
        raise CorpusError(f"{version[:40]!r} is not a corpus version", hint="It is corpus_ and 16 hex digits.")
    return corpus_dir / "versions" / f"{version}.json"


def seal(message: Message) -> bytes:
    """A message as one line of canonical JSON that ends with the SHA-256 of what comes before it."""
    body = identity.canonical_json(message.wire())[:-1] + b","
    return body + f'{_SEAL}{hashlib.sha256(body).hexdigest()}"}}\n'.encode()


def unseal(content: bytes) -> bytes | None:
    """The JSON of a sealed line without its seal; None where a byte of it is not what was written."""
    body, mark, tail = content.rpartition(_SEAL.encode())
    intact = mark and tail == hashlib.sha256(body).hexdigest().encode() + b'"}\n'
    return body[:-1] + b"}" if intact else None


def read(corpus_dir: Path, version: str) -> Manifest:
    """Read and verify the manifest of a version.

    Raises:
        CorpusError: There is none, it cannot be read, it is damaged, or another version of Replay wrote it.
    """
    path = path_of(corpus_dir, version)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CorpusError(
            f"corpus version {version} is not in {path.parent}",
            hint=f"`replay corpus log` lists what is there. {BUILD_HINT}",
        ) from None
    except OSError as error:
        raise CorpusError(f"corpus manifest {path} cannot be read: {error.strerror}", hint=BUILD_HINT) from error
    body = unseal(content)
    damaged = CorpusError(
        f"corpus manifest {path} is damaged: its bytes are not what was written",
        hint=f"Put the file back from a copy, or delete it and build the corpus again. {BUILD_HINT}",
    )
    if body is None:
        raise damaged
    if json.loads(body).get("schema") != SCHEMA:
        raise CorpusError(
            f"corpus version {version} was written by another version of Replay", hint=f"Use that one. {BUILD_HINT}"
        )
    try:
        manifest = Manifest.model_validate_json(body)
    except ValidationError as error:
        raise CorpusError(
            f"corpus manifest {path} holds what this version cannot read: {error.errors()[0]['msg']}", hint=BUILD_HINT
        ) from error
    if manifest.version != version:
        raise damaged
    if manifest.tokenizer != TOKENIZER:
        raise CorpusError(
            f"corpus version {version} was indexed by {manifest.tokenizer}, and this Replay searches by {TOKENIZER}",
            hint=f"Set {corpus_dir} aside, then build and import anew.",
        )
    return manifest
