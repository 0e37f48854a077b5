"""Fusing the exact list with the nearest vectors."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.contracts import Bundle, Record, RecordKind, State
from replay.corpus import embed as run
from replay.corpus import fusion, snapshot
from replay.corpus.fusion import EXACT_SHARE, RRF, VECTORS_SHARE, Fused, K, VectorsMissing, fuse
from replay.corpus.index import Filter
from replay.corpus.manifest import GroupName
from replay.corpus.retrieval import PASSAGE_SCORER, CurrentRetriever, SnapshotRetriever
from replay.errors import ModelRefused, ModelUnavailable
from replay.models.client import ModelClient
from replay.pipeline import Engine, audit_local
from replay.prompting import PromptLimits
from replay.settings import Settings
from tests.factories import make_task
from tests.stand_in_embedder import StandInEmbedder

A, B, C, D = (0, 0), (0, 1), (1, 0), (1, 1)
EXACT = "exact.v1"


def places(fused: list[Fused]) -> list[tuple[int, int]]:
    """Where the records of a list lie."""
    return [(one.segment, one.ordinal) for one in fused]


def test_scores_are_sums_of_reciprocal_ranks() -> None:
    """With the share of each list, and with both ranks told."""
    fused = fuse({EXACT: (EXACT_SHARE, [A, B]), "near": (VECTORS_SHARE, [B, C])})
    assert {(one.segment, one.ordinal): (one.score, one.ranks) for one in fused} == {
        A: (1 / 21, {EXACT: 1}),
        B: (1 / 22 + 0.125 / 21, {EXACT: 2, "near": 1}),
        C: (0.125 / 22, {"near": 2}),
    }
    assert places(fused) == [B, A, C]


def test_equal_scores_go_to_the_exact_rank() -> None:
    """Both ways round in one list each: the first list decides."""
    assert places(fuse({"one": (1.0, [A, B]), "other": (1.0, [B, A])})) == [A, B]
    assert places(fuse({"one": (1.0, [C]), "other": (1.0, [D])})) == [C, D]


def test_without_vectors_the_exact_list_is_what_it_was() -> None:
    """A list of one kind keeps its order."""
    assert places(fuse({EXACT: (1.0, [D, A, C])})) == [D, A, C]
    assert fuse({EXACT: (1.0, []), "near": (VECTORS_SHARE, [])}) == []


ranking = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), unique=True, max_size=64)


@given(ranking, ranking)
def test_every_record_of_either_list_is_there_once_in_order_of_score(
    exact: list[tuple[int, int]], near: list[tuple[int, int]]
) -> None:
    """Whatever the lists are; and what is better in both is better in the fused one."""
    fused = fuse({EXACT: (EXACT_SHARE, exact), "near": (VECTORS_SHARE, near)})
    order = places(fused)
    assert sorted(order) == sorted({*exact, *near})
    assert [one.score for one in fused] == sorted((one.score for one in fused), reverse=True)
    for first, second in pairwise(exact):
        if first in near and (second not in near or near.index(first) < near.index(second)):
            assert order.index(first) < order.index(second)


def test_vectors_alone_come_after_a_full_exact_list() -> None:
    """Sixty-four records that share words with the task stand before one that shares none."""
    assert VECTORS_SHARE / (K + 1) < EXACT_SHARE / (K + 64)


# --- over a corpus ---------------------------------------------------------------------------------------------------


def corpus(tmp_path: Path) -> snapshot.Snapshot:
    """Three sources and a note."""
    texts = {"pool": "the pool keeps sockets", "lock": "a lock waits", "queue": "a queue of messages"}
    return snapshot.write(
        [
            *(Record(record_id=name, kind=RecordKind.SOURCE, text=text) for name, text in texts.items()),
            Record(record_id="note", kind=RecordKind.NOTE, text="sockets wait", tags=("net",)),
        ],
        tmp_path,
    )


def test_a_record_that_only_its_vector_finds_is_in_the_list(tmp_path: Path) -> None:
    """With its rank there, under the embedder's name."""
    made, embedder = corpus(tmp_path), StandInEmbedder()
    run.embed(tmp_path, embedder)
    fuser = fusion.open_(tmp_path, made, embedder)
    assert fuser.embedder == embedder.name
    fused = fuser.fuse(GroupName.SOURCES, "keeps sockets", EXACT, [], k=1)
    assert [made.sources.record_id(*place) for place in places(fused)] == ["pool"]
    assert fused[0].ranks == {embedder.name: 1}


def test_a_query_is_embedded_once_for_both_groups(tmp_path: Path) -> None:
    """It costs ten milliseconds, or a request."""
    made, embedder = corpus(tmp_path), StandInEmbedder()
    run.embed(tmp_path, embedder)
    fuser = fusion.open_(tmp_path, made, embedder)
    before = len(embedder.texts)
    for text in ("one", "two"):
        for name in GroupName:
            fuser.fuse(name, text, EXACT, [], k=8)
    assert embedder.texts[before:] == ["one", "two"]


def test_a_filter_holds_for_vectors_too(tmp_path: Path) -> None:
    """What may not be found is not found by the other way either."""
    made, embedder = corpus(tmp_path), StandInEmbedder()
    run.embed(tmp_path, embedder)
    fuser = fusion.open_(tmp_path, made, embedder)
    for tag, count in (("net", 1), ("other", 0)):
        only = Filter(tags=frozenset({tag}))
        assert len(fuser.fuse(GroupName.PLAYBOOK, "sockets", EXACT, [], k=8, only=only)) == count


def test_a_version_without_all_its_vectors_is_refused(tmp_path: Path) -> None:
    """Half a ranking would pass for a whole one; the error says what to do."""
    embedder = StandInEmbedder()
    corpus(tmp_path)
    run.embed(tmp_path, embedder)
    made = snapshot.add([Record(record_id="new", kind=RecordKind.SOURCE, text="new")], tmp_path)
    with pytest.raises(VectorsMissing, match=f"1 of 5 records of {made.version}") as refused:
        fusion.open_(tmp_path, made, embedder)
    assert "replay corpus embed" in refused.value.hint
    with pytest.raises(VectorsMissing, match="5 of 5"):
        fusion.open_(tmp_path, made, StandInEmbedder("another"))


def test_a_group_without_records_keeps_the_exact_list(tmp_path: Path) -> None:
    """A corpus of sources only has no playbook vectors, and nothing is asked for."""
    embedder = StandInEmbedder()
    made = snapshot.write([Record(record_id="a", kind=RecordKind.SOURCE, text="a")], tmp_path)
    run.embed(tmp_path, embedder)
    before = len(embedder.texts)
    assert fusion.open_(tmp_path, made, embedder).fuse(GroupName.PLAYBOOK, "a", EXACT, [], k=8) == []
    assert len(embedder.texts) == before


def test_an_embedder_that_is_gone_is_told(tmp_path: Path) -> None:
    """There is no silent falling back to the exact list alone."""
    made, embedder = corpus(tmp_path), StandInEmbedder()
    run.embed(tmp_path, embedder)
    fuser = fusion.open_(tmp_path, made, embedder)
    embedder.fail_after = (0, ModelUnavailable("gone"))
    with pytest.raises(ModelUnavailable):
        fuser.fuse(GroupName.SOURCES, "pool", EXACT, [], k=8)


def test_another_model_by_the_same_name_is_refused(tmp_path: Path) -> None:
    """Its vectors cannot be compared with those that are stored."""
    made, embedder = corpus(tmp_path), StandInEmbedder(dimensions=8)
    run.embed(tmp_path, embedder)
    fuser = fusion.open_(tmp_path, made, StandInEmbedder(dimensions=16))
    with pytest.raises(ModelRefused, match=r"16 numbers.*have 8"):
        fuser.fuse(GroupName.SOURCES, "pool", EXACT, [], k=8)


# --- in retrieval ----------------------------------------------------------------------------------------------------


def test_a_bundle_tells_what_the_vectors_did(tmp_path: Path) -> None:
    """The embedder, the scorer, and the rank in each list; what only its vector finds is among the passages."""
    embedder = StandInEmbedder()
    made = corpus(tmp_path)
    run.embed(tmp_path, embedder)
    retriever = SnapshotRetriever(made, Settings(), fusion.open_(tmp_path, made, embedder))
    bundle = retriever.retrieve(make_task("Verify that the pool keeps sockets."))
    assert bundle.embedder == embedder.name
    assert bundle.passages[0].record.record_id == "pool"
    assert bundle.passages[0].ranks == {PASSAGE_SCORER: 1, embedder.name: 1}
    assert {hit.scorer for hit in (*bundle.passages, *bundle.playbook)} == {RRF}
    found = {hit.record.record_id: hit.ranks for hit in bundle.passages}
    assert set(found) == {"pool", "lock", "queue"}
    assert set(found["lock"]) == {embedder.name}
    assert Bundle.model_validate_json(bundle.model_dump_json()) == bundle


def test_without_vectors_a_bundle_has_the_bytes_that_it_always_had(tmp_path: Path) -> None:
    """Nothing of hybrid retrieval is in it, so what was written before and what is written now hash alike."""
    bundle = SnapshotRetriever(corpus(tmp_path), Settings()).retrieve(make_task("Verify that the pool keeps sockets."))
    wire = bundle.wire()
    assert "embedder" not in wire
    assert set(wire["passages"][0]) == {"record", "score", "scorer"}
    assert Bundle.model_validate(wire) == bundle


def test_a_worker_waits_with_a_version_until_it_has_its_vectors(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes on with the one that it has, whole, and says so; `replay corpus embed` lets it go on to the next."""
    embedder = StandInEmbedder()
    first = corpus(tmp_path)
    run.embed(tmp_path, embedder)
    retriever = CurrentRetriever(tmp_path, Settings(), lambda made: fusion.open_(tmp_path, made, embedder))
    second = snapshot.add([Record(record_id="new", kind=RecordKind.SOURCE, text="a new pool")], tmp_path)
    task = make_task("Verify that there is a new pool.")
    assert retriever.retrieve(task).corpus_version == first.version
    assert f"{first.version} serves on" in caplog.text
    run.embed(tmp_path, embedder)
    bundle = retriever.retrieve(task)
    assert bundle.corpus_version == second.version
    assert bundle.passages[0].record.record_id == "new"


def test_a_worker_does_not_start_without_vectors(tmp_path: Path) -> None:
    """There is no older version that it could go on with."""
    corpus(tmp_path)
    with pytest.raises(VectorsMissing):
        CurrentRetriever(tmp_path, Settings(), lambda made: fusion.open_(tmp_path, made, StandInEmbedder()))


def test_an_embedder_that_is_gone_fails_the_run_without_a_verdict(tmp_path: Path) -> None:
    """As a model that is gone does; no half of a ranking is passed off as the whole."""
    made, embedder = corpus(tmp_path), StandInEmbedder()
    run.embed(tmp_path, embedder)
    retriever = SnapshotRetriever(made, Settings(), fusion.open_(tmp_path, made, embedder))
    embedder.fail_after = (0, ModelUnavailable("embed-small at http://host/v1: connection refused (8 tries)"))
    engine = Engine(retriever, ModelClient(Settings()), PromptLimits())
    ended = audit_local(make_task(), engine).run
    assert (ended.state, ended.attempt) == (State.FAILED, None)
    assert ended.reason == "embedding: embed-small at http://host/v1: connection refused (8 tries)"


def test_hybrid_retrieval_is_off_unless_it_is_set(tmp_path: Path) -> None:
    """And then there is nothing to open."""
    assert fusion.configured(Settings(data_dir=tmp_path)) is None
