"""The file of a segment: what is damaged is refused by name, and what is opened is shared."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from replay.corpus.index import Index, Segment, blobs, build
from replay.corpus.index.built import MAGIC
from replay.errors import CorpusError
from tests.indexing import entry, offsets, written

BUILT = build([entry(f"r{number}", f"pool limit {number}") for number in range(40)])


def refused(content: bytes, path: Path, match: str, *, sha256: str | None = None) -> None:
    """Opening these bytes names the file, says what is wrong, and what to do."""
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=match) as error:
        Segment.open(path, sha256=sha256 or hashlib.sha256(content).hexdigest())
    assert str(path) in error.value.message
    assert "replay corpus build" in error.value.hint


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    """Wherever it is: in the magic, the header, an array, or the zeros between arrays."""
    path = tmp_path / "one.index"
    sha256 = written(BUILT, path)
    content = bytearray(path.read_bytes())
    for place in [*range(0, len(content), 97), len(content) - 1]:
        content[place] ^= 0x20
        refused(bytes(content), path, "damaged", sha256=sha256)
        content[place] ^= 0x20
    path.write_bytes(content)
    assert len(Segment.open(path, sha256=sha256)) == 40


def test_every_cut_is_found(tmp_path: Path) -> None:
    """A file cut anywhere, or with something after its end."""
    path = tmp_path / "one.index"
    sha256 = written(BUILT, path)
    content = path.read_bytes()
    for size in [0, 1, 15, 16, 23, 24, 100, *range(200, len(content), 997), len(content) - 1]:
        refused(content[:size], path, "damaged: it (has|is cut)", sha256=sha256)
    refused(content + b"\0", path, f"has {len(content) + 1} bytes where its header says {len(content)}", sha256=sha256)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    """By name, and what to do."""
    with pytest.raises(CorpusError, match=r"one\.index is missing"):
        Segment.open(tmp_path / "one.index", sha256="")
    with pytest.raises(CorpusError, match="cannot be read: Is a directory"):
        Segment.open(tmp_path, sha256="")


def header(change: Callable[[dict[str, object]], object]) -> bytes:
    """The file with its header changed, as another program might have written it."""
    content = b"".join(BUILT.serialise(offsets(BUILT)))
    length = int.from_bytes(content[16:24], "little")
    held = json.loads(content[24 : 24 + length])
    change(held)
    new = json.dumps(held).encode()
    head = MAGIC + len(new).to_bytes(8, "little") + new
    return head + bytes(-len(head) % 64) + content[-(-(24 + length) // 64) * 64 :]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda held: held["arrays"]["postings"].__setitem__(2, 1 << 40), "postings .* is out of bounds"),
        (lambda held: held["arrays"]["postings"].__setitem__(2, -64), "postings .* is out of bounds"),
        (lambda held: held["arrays"]["postings"].__setitem__(1, [1 << 50]), "postings .* is out of bounds"),
        (lambda held: held["arrays"]["postings"].__setitem__(0, "O"), "places postings|out of bounds"),
        (lambda held: held["arrays"].__setitem__("postings", 5), "places postings at 5"),
        (lambda held: held["arrays"].pop("bitmaps"), "lacks 'bitmaps'"),
        (lambda held: held.pop("arrays"), "lacks size, arrays or about"),
        (lambda held: held["about"].pop("kinds"), "lacks 'kinds'"),
        (lambda held: held["about"].__setitem__("tokenizer", "tokens.v0"), r"tokenizer tokens\.v0"),
    ],
)
def test_a_header_is_not_believed(tmp_path: Path, change: Callable[[dict[str, object]], object], match: str) -> None:
    """Arrays that lie outside the file or are missing, and another tokenizer, are refused even if the hash is right."""
    refused(header(change), tmp_path / "one.index", match)


def test_another_kind_of_file_is_told(tmp_path: Path) -> None:
    """By its first bytes."""
    content = b"".join(blobs.write(b"replay-other.v1\n", {"a": np.zeros(3, dtype="<u8")}, {}))
    refused(content, tmp_path / "one.index", "another kind or version")
    refused(MAGIC + (9).to_bytes(8, "little") + b"not JSON!" + bytes(64), tmp_path / "one.index", "not JSON")


def test_arrays_are_read_only_and_outlive_the_file(tmp_path: Path) -> None:
    """A segment that compaction removed goes on serving who has it open."""
    path = tmp_path / "folder" / "one.index"
    path.parent.mkdir()
    segment = Segment.open(path, sha256=written(BUILT, path))
    with pytest.raises(ValueError, match="read-only"):
        segment.postings[0] = 1
    shutil.rmtree(path.parent)
    index = Index([segment], lambda _, ordinal: str(ordinal))
    assert len(index.jaccard({"pool", "7"}, 8)) == 8
