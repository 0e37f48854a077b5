"""Exemplars that name their source: their line is shown to close claims, to the same one first, never when stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.contracts import Record, RecordKind
from replay.corpus import snapshot
from replay.corpus.lines import MAX_LINE_CHARS
from replay.corpus.remembering import CLOSE, OF_FIRST, REMEMBERED, SAME, closeness
from replay.corpus.retrieval import SnapshotRetriever
from replay.settings import Settings
from tests.factories import make_task

CLAIM = "Verify that the idle timeout of the socket pool is 30 seconds."
SOURCE = Record(
    record_id="src_pool",
    kind=RecordKind.SOURCE,
    text="class Options:\n    name = 'pool'\n    reap_after = 30",
    title="net.options.Options",
    path="net/options.py",
    first_line=7,
    last_line=9,
    origin="net 1.0",
)
OTHERS = [
    Record(
        record_id=f"src_{number}",
        kind=RecordKind.SOURCE,
        text=f"class Pool{number}:\n    idle_timeout = {number}\n    socket_pool = {number}",
        title=f"net.pool.Pool{number}",
        path=f"net/pool{number}.py",
        first_line=1,
        last_line=3,
        origin="net 1.0",
    )
    for number in range(12)
]


def exemplar(line: str = "reap_after = 30", number: int = 9, source: str = "src_pool") -> Record:
    """What an admitted answer to the claim becomes."""
    return Record(
        record_id="ev_1",
        kind=RecordKind.EXEMPLAR,
        title=CLAIM,
        text=f"Claim: {CLAIM}\nEvidence: net/options.py:{number}: {line}\nExpected: 30 seconds\nFound: 30\n"
        f"Verdict: pass\nSource: {source}",
        origin="evidence",
    )


def retriever(place: Path, *records: Record) -> SnapshotRetriever:
    """Over the sources and these."""
    return SnapshotRetriever(snapshot.write([SOURCE, *OTHERS, *records], place), Settings())


def test_the_line_of_the_same_claim_comes_first(tmp_path: Path) -> None:
    """Retrieval alone does not find it; with the exemplar it is L1, and the bundle says by what it was found."""
    task = make_task("Check whether the idle timeout of the socket pool is 5 minutes.")
    before = retriever(tmp_path / "before").retrieve(task)
    assert "src_pool" not in before.records()
    after = retriever(tmp_path / "after", exemplar()).retrieve(task)
    assert (after.lines[0].record_id, after.lines[0].line_no, after.lines[0].text) == ("src_pool", 9, "reap_after = 30")
    assert [hit.scorer for hit in after.passages if hit.record.record_id == "src_pool"] == [REMEMBERED]
    assert len(after.lines) == len(before.lines)


def test_the_line_of_a_merely_close_claim_comes_behind_the_first(tmp_path: Path) -> None:
    """Alike sentences may be about neighbours: what retrieval thinks best stays L1, and the remembered line is L2."""
    task = make_task("Check that the idle timeout of the outer socket pool factory is 5 minutes.")
    assert CLOSE <= closeness(task.text, CLAIM) < SAME
    before = retriever(tmp_path / "before").retrieve(task)
    after = retriever(tmp_path / "after", exemplar()).retrieve(task)
    assert (after.lines[0].record_id, after.lines[0].text) == (before.lines[0].record_id, before.lines[0].text)
    assert (after.lines[1].record_id, after.lines[1].line_no) == ("src_pool", 9)


def test_a_close_claims_line_that_retrieval_thinks_much_of_comes_first(tmp_path: Path) -> None:
    """Two lines score nearly alike; the one on which an answer to a close claim rested is L1, where it was not."""
    task = make_task("Check that the idle timeout of the outer socket pool factory is 5 minutes.")
    before = retriever(tmp_path / "before").retrieve(task)
    second = next(line for line in before.lines[1:] if line.score >= OF_FIRST * before.lines[0].score)
    known = exemplar(line=second.text, number=second.line_no, source=second.record_id)
    after = retriever(tmp_path / "after", known).retrieve(task)
    assert (after.lines[0].record_id, after.lines[0].line_no) == (second.record_id, second.line_no)


def test_another_claim_gets_what_it_always_got(tmp_path: Path) -> None:
    """An exemplar that is not close changes neither passages nor lines."""
    task = make_task("Check that Pool3 keeps a socket_pool of 3.")
    before = retriever(tmp_path / "before").retrieve(task)
    after = retriever(tmp_path / "after", exemplar()).retrieve(task)
    assert (after.passages, after.lines) == (before.passages, before.lines)


@pytest.mark.parametrize(
    "stale",
    [
        exemplar(source="src_gone"),
        exemplar(line="reap_after = 31"),
        exemplar(number=99),
        exemplar(number=1),
        exemplar().model_copy(update={"kind": RecordKind.WARNING}),
    ],
    ids=["no such passage", "another text", "behind the passage", "before the passage", "no exemplar"],
)
def test_nothing_stale_is_remembered(tmp_path: Path, stale: Record) -> None:
    """A passage or a line that is not what the exemplar says is not shown on its word."""
    bundle = retriever(tmp_path, stale).retrieve(make_task(CLAIM))
    assert all(hit.scorer != REMEMBERED for hit in bundle.passages)


def test_a_claim_is_as_close_to_its_false_telling_as_to_itself() -> None:
    """Values are left out; another subject is not close."""
    assert closeness(CLAIM, CLAIM.replace("30 seconds", "5 minutes")) == 1.0
    assert closeness(CLAIM, "Verify that the retries of the writer are 30.") < CLOSE


def test_a_line_that_is_shown_cut_is_remembered(tmp_path: Path) -> None:
    """Evidence quotes of a very long line its beginning; that is enough to know it again."""
    long = "reap_after = 30  # " + "seconds " * 60
    source = SOURCE.model_copy(update={"text": f"class Options:\n    name = 'pool'\n    {long}"})
    known = exemplar(line=long[:MAX_LINE_CHARS].rstrip())
    found = SnapshotRetriever(snapshot.write([source, *OTHERS, known], tmp_path), Settings()).retrieve(make_task(CLAIM))
    assert found.lines[0].record_id == "src_pool"
