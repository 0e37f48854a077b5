"""Building a segment from texts."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replay.corpus.index.built import Built
from replay.corpus.index.encoding import Encoder
from replay.corpus.index.hashing import DIGEST_BYTES, Entry, hash_tokens
from replay.corpus.index.inverting import MAX_RECORDS, invert
from replay.errors import CorpusError


def build(entries: Iterable[Entry]) -> Built:
    """Make a segment of these records. They are read once and one by one; their texts are not kept.

    Raises:
        CorpusError: Two entries have one id, or there are more than 2^31.
        ValueError: A digest has not 16 bytes.
    """
    encoder = Encoder()
    ids: list[str] = []
    kinds: list[str] = []
    tags: list[tuple[int, str]] = []
    digests = bytearray()
    for position, entry in enumerate(entries):
        encoder.add(entry.text)
        ids.append(entry.record_id)
        kinds.append(entry.kind)
        tags.extend((position, tag) for tag in dict.fromkeys(entry.tags))
        if len(entry.digest) != DIGEST_BYTES:
            raise ValueError(f"the digest of {entry.record_id!r} has {len(entry.digest)} bytes, not {DIGEST_BYTES}")
        digests += entry.digest
    if len(ids) >= MAX_RECORDS:
        raise CorpusError(f"{len(ids):,} records are too many for one segment", hint="Split the corpus.")
    encoded = encoder.finish()
    order = ordered(ids, encoded.lengths)
    ordinals = np.empty(len(ids), dtype=np.int64)
    ordinals[order] = np.arange(len(ids))
    names = tuple(sorted(set(kinds)))
    codes = {name: code for code, name in enumerate(names)}
    return Built(
        order=order,
        arrays={
            **invert(encoded.vocabulary, encoded.pairs(ordinals), encoded.lengths[order]),
            **invert_tags(
                hash_tokens([tag for _, tag in tags]),
                ordinals[np.array([position for position, _ in tags], dtype=np.int64)],
            ),
            **identify(hash_tokens(ids)[order]),
            "kinds": np.fromiter(map(codes.__getitem__, kinds), dtype=np.uint8, count=len(kinds))[order],
            "digests": np.frombuffer(digests, dtype="<u8").reshape(-1, 2)[order],
        },
        kinds=names,
    )


def ordered(ids: list[str], lengths: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The positions of records sorted by (number of distinct tokens, id).

    Raises:
        CorpusError: Two records have one id.
    """
    by_id = sorted(range(len(ids)), key=ids.__getitem__)
    for before, after in pairwise(by_id):
        if ids[before] == ids[after]:
            raise CorpusError(f"two records have the id {ids[after]!r}", hint="Give one of them another id.")
    places = np.array(by_id, dtype=np.int64)
    return places[np.argsort(lengths[places], kind="stable")]


def identify(id_hashes: NDArray[np.uint64]) -> dict[str, NDArray[Any]]:
    """The arrays by which records are found by their ids; the hashes come in order of the ordinals."""
    return {"id_hashes": id_hashes.astype("<u8"), "id_order": np.argsort(id_hashes, kind="stable").astype("<i4")}


def invert_tags(hashes: NDArray[np.uint64], ordinals: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Postings of the tags, from one (hash, ordinal) for each tag of each record."""
    order = np.lexsort((ordinals, hashes))
    tags, counts = np.unique(hashes, return_counts=True)
    return {
        "tags": tags.astype("<u8"),
        "tag_pointers": np.concatenate(([0], np.cumsum(counts))).astype("<i8"),
        "tag_postings": ordinals[order].astype("<i4"),
    }
