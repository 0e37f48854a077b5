"""Building and merging segments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.corpus.index import Entry, Segment, build, encoding, hash_tokens, merge
from replay.corpus.index.encoding import Encoder
from replay.corpus.tokens import tokens
from replay.errors import CorpusError
from tests.indexing import entry, offsets, opened

TEXTS = st.lists(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from(["a.b.c", "limits", "limit", "maxTasks_perChild", "3,600", "10ms", "x/y", "Größe"])
        ).map(" ".join),
    ),
    max_size=12,
)


@pytest.mark.parametrize(("remembered", "chunk"), [(1 << 21, 1 << 22), (0, 1), (2, 5)])
@settings(max_examples=40, deadline=None)
@given(TEXTS)
def test_bulk_encoding_gives_the_sets_of_the_tokenizer(remembered: int, chunk: int, texts: list[str]) -> None:
    """Any text, whatever was remembered of the words before, and however many are taken at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "MAX_WORDS", remembered)
        patch.setattr(encoding, "CHUNK", chunk)
        encoder = Encoder()
        for text in texts:
            encoder.add(text)
        encoded = encoder.finish()
    sets = [tokens(text) for text in texts]
    assert encoded.lengths.tolist() == [len(found) for found in sets]
    ends = np.cumsum(encoded.lengths)[:-1]
    assert [encoded.vocabulary[part].tolist() for part in np.split(encoded.flat, ends.astype(np.int64))][
        : len(texts)
    ] == [sorted(hash_tokens(found).tolist()) for found in sets]
    assert encoded.vocabulary.tolist() == sorted(set(hash_tokens(frozenset[str]().union(*sets)).tolist()))


RECORDS = [
    entry("b", "pool limit", kind="note", tags=("redis", "redis")),
    entry("a", "limit pool", kind="warning"),
    entry("c", "pool"),
    entry("d", "…", tags=("broker",)),
    entry("e", "pool limit timeout", kind="exemplar", tags=("redis", "broker")),
]


def test_records_lie_by_length_and_id(tmp_path: Path) -> None:
    """The order, and what the segment keeps of each record."""
    built = build(RECORDS)
    assert [RECORDS[place].record_id for place in built.order] == ["d", "c", "a", "b", "e"]
    segment = opened(built, tmp_path / "one.index")
    assert len(segment) == 5
    assert segment.lengths.tolist() == [0, 1, 2, 2, 3]
    assert [segment.kind_names[code] for code in segment.kinds] == ["note", "note", "warning", "note", "exemplar"]
    assert [digest.tobytes() for digest in segment.digests] == [RECORDS[place].digest for place in built.order]
    assert segment.offsets.tolist() == [0, 10, 20, 30, 40, 50]
    assert segment.id_hashes.tolist() == hash_tokens("dcabe").tolist()
    assert segment.find(hash_tokens(["a", "x", "e"])).tolist() == [2, -1, 4]
    assert segment.frequency(hash_tokens(["pool", "timeout", "x"])).tolist() == [4, 1, 0]
    places = segment.token_ids(hash_tokens(["pool", "x"]))
    assert (segment.vocabulary[places[0]], places[1]) == (hash_tokens(["pool"])[0], -1)


def test_an_empty_segment(tmp_path: Path) -> None:
    """It is written, opened, merged, and finds nothing."""
    segment = opened(build([]), tmp_path / "none.index")
    assert (len(segment), segment.find(hash_tokens(["a"])).tolist()) == (0, [-1])
    assert (segment.token_ids(hash_tokens(["a"])).tolist(), segment.frequency(hash_tokens(["a"])).tolist()) == (
        [-1],
        [0],
    )
    assert len(merge([segment, segment], lambda *_: "")) == len(merge([], lambda *_: "")) == 0


def test_the_same_records_give_the_same_bytes_in_any_order() -> None:
    """A segment is named by its content."""
    one, other = build(RECORDS), build(RECORDS[::-1])
    assert b"".join(one.serialise(offsets(one))) == b"".join(other.serialise(offsets(other)))


def test_what_cannot_be_built_is_refused() -> None:
    """Two records of one id, a digest of another size, and offsets of another number."""
    with pytest.raises(CorpusError, match="'a'"):
        build([entry("a", "x"), entry("a", "y")])
    with pytest.raises(ValueError, match="3 bytes, not 16"):
        build([Entry("a", "x", "note", (), b"abc")])
    with pytest.raises(ValueError, match="2 offsets for 5 records"):
        list(build(RECORDS).serialise(np.zeros(2, dtype=np.int64)))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.builds(
            entry,
            st.text("abc", min_size=1, max_size=3),
            st.lists(st.integers(0, 90).map(str), max_size=90).map(" ".join),
            kind=st.sampled_from(["note", "exemplar", "warning"]),
            tags=st.lists(st.sampled_from(["redis", "broker"]), max_size=2).map(tuple),
        ),
        max_size=30,
        unique_by=lambda one: one.record_id,
    ),
    st.integers(0, 30),
    st.none() | st.lists(st.booleans(), min_size=30, max_size=30),
)
def test_merging_is_building_anew(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry], cut: int, keep: list[bool] | None
) -> None:
    """Byte for byte, with records dropped or not; and the order says where each record came from."""
    parts = [entries[:cut], [], entries[cut:]]
    folder = tmp_path_factory.mktemp("segments")
    builds = [build(part) for part in parts]
    segments = [opened(built, folder / f"{number}.index") for number, built in enumerate(builds)]
    lying = [[part[place] for place in built.order] for part, built in zip(parts, builds, strict=True)]
    flat = [one for part in lying for one in part]
    kept = [one for one, wanted in zip(flat, keep or [True] * 30, strict=False) if wanted]
    masks = masks_of(segments, keep)

    merged = merge(segments, lambda segment, ordinal: lying[segment][ordinal].record_id, masks)
    expected = build(kept)
    assert b"".join(merged.serialise(offsets(merged))) == b"".join(expected.serialise(offsets(expected)))
    assert [flat[place].record_id for place in merged.order] == [kept[place].record_id for place in expected.order]


def masks_of(
    segments: list[Segment], keep: list[bool] | None
) -> list[np.ndarray[tuple[int], np.dtype[np.bool_]]] | None:
    """The mask of each segment, out of one for all of them."""
    if keep is None:
        return None
    ends = np.cumsum([len(one) for one in segments])
    return [np.array(keep[end - len(one) : end], dtype=np.bool_) for one, end in zip(segments, ends, strict=True)]


def test_merging_refuses_two_records_of_one_id(tmp_path: Path) -> None:
    """Ids are distinct over all segments."""
    segments = [opened(build([entry("a", text)]), tmp_path / text) for text in ("x", "y")]
    with pytest.raises(CorpusError, match="'a'"):
        merge(segments, lambda *_: "a")


@pytest.mark.parametrize("kept", [0, 1, 5, 1000])
def test_words_kept_from_one_encoder_for_the_next_change_nothing(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever an encoder has met before, and however little of it is kept, a text has the tokens of the tokenizer."""
    monkeypatch.setattr(encoding, "MAX_KEPT", kept)
    monkeypatch.setattr(encoding, "MAX_WORDS", 7)
    for texts in (
        ["retry limits", "app.conf.task_serializer 3_600"],
        ["limits of the pool", "", "Retry_Limits"],
        ["x"],
    ):
        encoder = encoding.Encoder()
        for text in texts:
            encoder.add(text)
        found = encoder.finish()
        ends = np.cumsum(found.lengths).tolist()
        for text, start, end in zip(texts, [0, *ends], ends, strict=False):
            assert set(found.vocabulary[found.flat[start:end]].tolist()) == set(
                hash_tokens(sorted(tokens(text))).tolist()
            )
        assert set(found.vocabulary.tolist()) == set(hash_tokens(sorted(set().union(*map(tokens, texts)))).tolist())
