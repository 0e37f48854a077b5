"""The index: exact top-K over immutable, memory-mapped segments of token postings.

A *segment* is one file, made by `build` or `merge` and opened by `Segment.open`. An `Index` searches all segments of
one group of records by one of two scorers:

- `jaccard.v1`: shared tokens over all tokens of query and record, each token counting one. For short playbook records,
  which look like the task. Ties go by record id.
- `containment.v2`: the share of the query's idf mass that a record covers. For source passages, which are long and must
  not be punished for it. A token weighs `round(65536 * log(1 + N / max(1, df)))` with N and df over all segments of the
  group, in integers, so that scores depend neither on the order of adding nor on how records are cut into segments.
  Ties go to the record with fewer distinct tokens, then by record id.

Both are exact: what is pruned cannot be among the best, and nothing is approximate. A record is found only where it
shares a token with the query.

Use::

    built = build(entries)                      # Iterable[Entry], streamed; ids are distinct
    # built.order[ordinal] is the position in `entries`: write the records in that order, noting n + 1 byte offsets
    for chunk in built.serialise(offsets):      # buffers to write one after the other; their SHA-256 names the file
        file.write(chunk)
    segment = Segment.open(path, sha256=hex_digest)             # CorpusError names the file and what is wrong with it
    segment.offsets, segment.digests, segment.lengths           # mapped arrays by ordinal
    segment.find(hash_tokens([record_id]))                      # ordinals of ids, -1 where there is none
    index = Index(segments, record_id)          # record_id(segment, ordinal) -> str, asked only to break ties
    index.jaccard(tokens, 8, Filter(kinds=frozenset({"exemplar"})))
    index.containment(tokens, 64)
    merged = merge(segments, record_id, keep)   # Built; order counts through the segments, one after the other

Ordinals are places in a segment: its records sorted by (number of distinct tokens, record id).
"""

from replay.corpus.index.building import build
from replay.corpus.index.built import Built
from replay.corpus.index.hashing import Entry, hash_tokens
from replay.corpus.index.merging import merge
from replay.corpus.index.ranking import Scored
from replay.corpus.index.searching import CONTAINMENT, JACCARD, Index
from replay.corpus.index.segment import Filter, Segment

__all__ = [
    "CONTAINMENT",
    "JACCARD",
    "Built",
    "Entry",
    "Filter",
    "Index",
    "Scored",
    "Segment",
    "build",
    "hash_tokens",
    "merge",
]
