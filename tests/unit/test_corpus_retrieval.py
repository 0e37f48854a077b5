"""Retrieval: the bundle of a task, the current snapshot, search and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from replay.contracts import Record, RecordKind, ReplayTask
from replay.corpus import playbooks, snapshot, sources
from replay.corpus.fusion import RRF, Fused, Fuser, VectorsMissing
from replay.corpus.index import Filter
from replay.corpus.manifest import GroupName
from replay.corpus.retrieval import (
    MAX_STEPS,
    PASSAGE_SCORER,
    CurrentRetriever,
    SnapshotRetriever,
    validation_steps,
)
from replay.corpus.search import search, stats
from replay.corpus.snapshot import Snapshot
from replay.corpus.tokens import TOKENIZER
from replay.errors import CorpusError
from replay.pipeline import Retriever
from replay.settings import Settings

PLAYBOOK = Path(__file__).parents[2] / "data/playbooks/celery-playbook.jsonl"
SETTINGS = Settings()


def task(text: str) -> ReplayTask:
    """A task of a given text."""
    return ReplayTask(run_id="run_1", batch_id="batch_1", custom_id="c", task_hash="sha256:0", text=text)


def note(record_id: str, text: str, kind: RecordKind = RecordKind.NOTE) -> Record:
    """A playbook record."""
    return Record(record_id=record_id, kind=kind, text=text)


@pytest.fixture(scope="module")
def kombu(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A corpus of the installed kombu's transports and the project's playbook."""
    found = [record for record in sources.stream("package:kombu") if (record.path or "").startswith("kombu/transport/")]
    return snapshot.write([*found, *playbooks.read(PLAYBOOK).records], tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def retriever(kombu: Snapshot) -> SnapshotRetriever:
    """A retriever over that corpus."""
    return SnapshotRetriever(kombu, SETTINGS)


def test_the_bundle_of_a_real_task(retriever: SnapshotRetriever, kombu: Snapshot) -> None:
    """The line that decides a claim about real source is the first one shown, with its place and its provenance."""
    bundle = retriever.retrieve(
        task("Verify that the visibility timeout of kombu's Redis transport defaults to 1 hour.")
    )
    first = bundle.lines[0]
    record = bundle.records()[first.record_id]
    assert first.text.startswith("visibility_timeout = 3600")
    assert record.path == "kombu/transport/redis.py"
    assert record.first_line is not None
    assert record.text.split("\n")[first.line_no - record.first_line].strip() == first.text
    assert (bundle.corpus_version, bundle.tokenizer, bundle.retrieval) == (kombu.version, TOKENIZER, True)
    assert {hit.scorer for hit in bundle.playbook} == {"jaccard.v1"}
    assert {hit.scorer for hit in bundle.passages} == {PASSAGE_SCORER}
    assert len(bundle.lines) == SETTINGS.lines_shown


def test_hits_are_in_order_and_within_their_limits(retriever: SnapshotRetriever) -> None:
    """Best first, at most 8 of each, 3 exemplars and 2 warnings, each of its kind and among the hits."""
    bundle = retriever.retrieve(task("Verify that kombu's SQS transport fetches at most 5 messages with a warning."))
    for hits in (bundle.playbook, bundle.passages):
        assert 0 < len(hits) <= SETTINGS.top_k
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert all(hit.score > 0 for hit in hits)
    records = bundle.records()
    assert 0 < len(bundle.exemplars) <= SETTINGS.max_exemplars
    assert len(bundle.warnings) <= SETTINGS.max_warnings
    assert {records[record_id].kind for record_id in bundle.exemplars} == {RecordKind.EXEMPLAR}
    assert {records[record_id].kind for record_id in bundle.warnings} <= {RecordKind.WARNING}
    assert RecordKind.SOURCE not in {hit.record.kind for hit in bundle.playbook}
    assert {line.record_id for line in bundle.lines} <= {hit.record.record_id for hit in bundle.passages}


def test_the_same_records_and_task_give_the_same_bundle(
    kombu: Snapshot, retriever: SnapshotRetriever, tmp_path: Path
) -> None:
    """Byte for byte, in whatever order the records came and into however many segments they are cut."""
    asked = task("Verify that kombu's Redis transport consumes from its queues in `round_robin` order by default.")
    records = list(kombu.records())[::-1]
    snapshot.write(records[::3], tmp_path)
    snapshot.add(records[1::3], tmp_path)
    other = snapshot.add(records[2::3], tmp_path)
    assert (other.version, len(other.sources.segments)) == (kombu.version, 3)
    assert SnapshotRetriever(other, SETTINGS).retrieve(asked).model_dump_json() == (
        retriever.retrieve(asked).model_dump_json()
    )


def test_a_bundle_stays_small(retriever: SnapshotRetriever) -> None:
    """Whole records travel in the bundle, so their size is bounded."""
    bundle = retriever.retrieve(
        task("Verify that the channel of the transport has a queue, a connection and a message.")
    )
    assert len(bundle.model_dump_json()) < 60_000


@pytest.mark.parametrize("text", ["???", "verify that the", "zzzyyyxxx"])
def test_a_task_that_finds_nothing_gets_an_empty_bundle(retriever: SnapshotRetriever, text: str) -> None:
    """No shared token means no passage and no line, under the version that was asked; it is no error."""
    bundle = retriever.retrieve(task(text))
    assert (bundle.passages, bundle.lines) == ((), ())
    assert bundle.corpus_version == retriever.version


def test_limits_come_from_the_settings(kombu: Snapshot) -> None:
    """Every limit of a bundle is a setting."""
    small = Settings(top_k=2, lines_shown=3, max_exemplars=1, max_warnings=0)
    bundle = SnapshotRetriever(kombu, small).retrieve(
        task("Verify that the message queue of kombu has a default limit.")
    )
    assert [len(part) for part in (bundle.playbook, bundle.passages, bundle.lines)] == [2, 2, 3]
    assert len(bundle.exemplars) <= 1
    assert bundle.warnings == ()


def test_validation_steps_are_the_lines_that_tell_what_to_do() -> None:
    """List markers are taken off, case and spacing do not make another step, prose that mentions a verb is none."""
    text = (
        "Claim: Verify nothing here.\n- Verify  the path.\n 2) check the unit.\n* [ ] Assert it.\nEnsured is no verb.\n"
        "VERIFY the path.\nconfirm"
    )
    assert validation_steps([note("a", text)]) == ("Verify the path.", "check the unit.", "Assert it.", "confirm")
    many = [note(str(n), f"Check item {n}.") for n in range(20)]
    assert validation_steps(many) == tuple(f"Check item {n}." for n in range(MAX_STEPS))


def test_a_corpus_of_one_kind_only_works(tmp_path: Path) -> None:
    """Playbooks without sources, sources without playbooks, and records without a token."""
    asked = task("the pool size")
    only_notes = snapshot.write([note("a", "pool size"), note("b", "…")], tmp_path / "notes")
    assert [hit.record.record_id for hit in SnapshotRetriever(only_notes, SETTINGS).retrieve(asked).playbook] == ["a"]
    passage = Record(record_id="s", kind=RecordKind.SOURCE, text="size = 1", path="pool.py", first_line=1, last_line=1)
    only_sources = snapshot.write([passage], tmp_path / "sources")
    bundle = SnapshotRetriever(only_sources, SETTINGS).retrieve(asked)
    assert ([hit.record for hit in bundle.passages], bundle.playbook) == ([passage], ())


def test_a_swapped_pointer_is_noticed_between_tasks(tmp_path: Path) -> None:
    """A running worker uses a new snapshot from its next task on, and an unchanged one is not read again."""
    first = snapshot.write([note("a", "pool size")], tmp_path)
    current = CurrentRetriever(tmp_path, SETTINGS)
    loaded = current.current()
    snapshot.write([note("a", "pool size")], tmp_path)  # published again: the pointer is new, the version is not
    assert current.current() is loaded
    assert current.retrieve(task("pool")).corpus_version == first.version
    second = snapshot.add([note("b", "pool timeout")], tmp_path)
    bundle = current.retrieve(task("pool"))
    assert (bundle.corpus_version, len(bundle.playbook)) == (second.version, 2)
    (tmp_path / "current").unlink()
    assert current.retrieve(task("pool")) == bundle


def test_a_damaged_new_snapshot_is_refused_until_it_is_mended(tmp_path: Path) -> None:
    """A worker never serves a snapshot that is not what was written, and recovers when it is written again."""
    snapshot.write([note("a", "pool size")], tmp_path)
    current = CurrentRetriever(tmp_path, SETTINGS)
    second = snapshot.write([note("b", "pool timeout")], tmp_path)
    (path,) = [tmp_path / "segments" / f"{one.name}.index" for one in second.manifest.segments]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    for _ in range(2):
        with pytest.raises(CorpusError, match="damaged"):
            current.retrieve(task("pool"))
    snapshot.write([note("b", "pool timeout")], tmp_path)
    assert current.retrieve(task("pool")).corpus_version == second.version


def test_what_two_versions_share_stays_open(tmp_path: Path) -> None:
    """A publish opens the new segment only, and a compaction leaves nothing of the merged ones behind."""
    snapshot.write([note("a", "pool size")], tmp_path)
    current = CurrentRetriever(tmp_path, SETTINGS)
    (opened,) = current.current().snapshot.segments
    snapshot.add([note("b", "pool timeout")], tmp_path)
    assert opened in current.current().snapshot.segments
    bundle = current.retrieve(task("pool"))
    for n in range(6):
        snapshot.add([note(f"c{n}", f"pool {n}")], tmp_path)
    before = current.retrieve(task("pool"))
    snapshot.compact(tmp_path)
    after = current.retrieve(task("pool"))
    assert after == before != bundle
    assert opened not in current.current().snapshot.segments


def test_no_corpus_is_refused_at_the_start(tmp_path: Path) -> None:
    """A worker without a corpus does not start, and the error says how to build one."""
    with pytest.raises(CorpusError) as caught:
        CurrentRetriever(tmp_path, SETTINGS)
    assert "replay corpus build" in caught.value.hint


def test_retrievers_are_what_the_pipeline_wants(retriever: SnapshotRetriever, tmp_path: Path) -> None:
    """Both fit the pipeline's protocol; the type checker reads this as well."""
    snapshot.write([note("a", "pool size")], tmp_path)
    both: list[Retriever] = [retriever, CurrentRetriever(tmp_path, SETTINGS)]
    assert [bool(one.retrieve(task("pool size")).corpus_version) for one in both] == [True, True]


def test_search_explains_what_a_task_would_be_given(retriever: SnapshotRetriever) -> None:
    """The same hits and lines as a task of that text gets, each with the tokens that it shares, rarest first."""
    text = "Verify that kombu's SQS transport fetches at most 10 messages in one call."
    result = search(retriever, text)
    bundle = retriever.retrieve(task(text))
    assert tuple(found.hit for found in result.passages) == bundle.passages
    assert tuple(found.hit for found in result.playbook) == bundle.playbook
    assert result.lines == bundle.lines
    shared = result.passages[0].shared
    assert {"sqs", "message"} <= set(shared)
    assert "the" not in shared
    weights = [retriever.snapshot.sources.index.idf(token) for token in shared]
    assert weights == sorted(weights, reverse=True)


def test_stats_count_what_a_snapshot_holds(kombu: Snapshot) -> None:
    """Records by kind and origin add up to the whole."""
    counted = stats(kombu)
    assert counted.records == len(kombu) == sum(counted.by_kind.values()) == sum(counted.by_origin.values())
    imported = playbooks.read(PLAYBOOK).records
    assert counted.by_origin["celery-playbook.jsonl"] == len(imported)
    assert counted.by_kind["exemplar"] == sum(record.kind is RecordKind.EXEMPLAR for record in imported)
    assert counted.files > 20
    assert counted.corpus_version == kombu.version


def test_search_can_be_kept_to_kinds_and_tags(tmp_path: Path) -> None:
    """A filter holds for every hit and line, and leaves order and scores of the rest as they were."""
    records = [
        note("a", "pool size"),
        note("b", "pool size of all", RecordKind.WARNING),
        note("c", "pool").model_copy(update={"tags": ("redis", "pool")}),
        Record(record_id="s", kind=RecordKind.SOURCE, text="pool_size = 1", path="a.py", first_line=1, last_line=1),
    ]
    retriever = SnapshotRetriever(snapshot.write(records, tmp_path), SETTINGS)

    def found(only: Filter | None = None) -> list[str]:
        result = search(retriever, "pool size", only=only)
        assert {line.record_id for line in result.lines} == {one.hit.record.record_id for one in result.passages}
        return [one.hit.record.record_id for one in (*result.playbook, *result.passages)]

    assert found() == ["a", "b", "c", "s"]
    assert found(Filter(kinds=frozenset({"note"}))) == ["a", "c"]
    assert found(Filter(kinds=frozenset({"source", "warning"}))) == ["b", "s"]
    assert found(Filter(tags=frozenset({"redis", "none"}))) == ["c"]
    assert found(Filter(kinds=frozenset({"source"}), tags=frozenset({"redis"}))) == []


def test_a_task_that_names_an_origin_is_answered_from_there(tmp_path: Path) -> None:
    """Of two packages that say the same the named one comes first, and the other is not left out."""
    records = [
        Record(record_id=name, kind=RecordKind.SOURCE, text="pool_size = 1", path="pool.py", origin=f"{name} 1.0")
        for name in ("celery", "redis")
    ]
    retriever = SnapshotRetriever(snapshot.write(records, tmp_path), SETTINGS)
    for name, asked in (("celery", "Celery's pool size"), ("redis", "redis-py's pool size")):
        hits, _ = retriever.passage_hits(asked)
        assert hits[0].record.record_id == name
        assert len(hits) == 2
        assert hits[0].score > hits[1].score


class LastFirst:
    """A fuser that turns the exact ranking round, behind a record that nothing exact finds."""

    def __init__(self, *first: tuple[int, int]) -> None:
        self._first = first
        self.embedder = "reverse"
        self.asked: list[tuple[GroupName, str, int]] = []

    def fuse(  # noqa: D102  as Fuser
        self,
        group: GroupName,
        text: str,
        scorer: str,
        ranked: Sequence[tuple[int, int]],
        *,
        k: int,
        only: Filter | None = None,
    ) -> list[Fused]:
        self.asked.append((group, scorer, len(ranked)))
        places = [*self._first, *reversed(ranked)]
        return [Fused(*place, 1 / at, {self.embedder: at}) for at, place in enumerate(places, 1)]


def test_a_fuser_has_the_last_word_on_the_order(tmp_path: Path) -> None:
    """Hits come in its order, with its scores and name, and the lines of all of them are there."""
    records = [
        Record(record_id=f"s{n}", kind=RecordKind.SOURCE, text=f"x{'y' * n} = 1\nsize = {n}", path=f"{n}.py")
        for n in range(3)
    ]
    records.append(Record(record_id="far", kind=RecordKind.SOURCE, text="capacity = 9", path="far.py"))
    built = snapshot.write([*records, note("n", "size")], tmp_path)
    places = {built.sources.record_id(0, ordinal): ordinal for ordinal in range(len(built.sources))}
    fuser = LastFirst((0, places["far"]))
    exact, _ = SnapshotRetriever(built, SETTINGS).passage_hits("the size")
    hits, lines = SnapshotRetriever(built, SETTINGS, fuser).passage_hits("the size")
    assert [hit.record.record_id for hit in hits] == ["far", *(hit.record.record_id for hit in reversed(exact))]
    assert [hit.score for hit in hits] == [1.0, 1 / 2, 1 / 3, 1 / 4]
    assert {hit.scorer for hit in hits} == {RRF}
    assert {line.record.record_id for line in lines} == {"s0", "s1", "s2"}
    assert fuser.asked == [(GroupName.SOURCES, PASSAGE_SCORER, 3)]


def test_a_version_without_vectors_waits_for_them(tmp_path: Path) -> None:
    """What serves goes on serving until the pointer is put in place again; at the start there is nothing to serve."""
    ready: set[str] = set()

    def fuser(opened: Snapshot) -> Fuser:
        if opened.version not in ready:
            raise VectorsMissing("no vectors", hint="Make them.")
        return LastFirst()

    first = snapshot.write([note("a", "pool size")], tmp_path)
    with pytest.raises(VectorsMissing):
        CurrentRetriever(tmp_path, SETTINGS, fuser)
    ready.add(first.version)
    current = CurrentRetriever(tmp_path, SETTINGS, fuser)
    second = snapshot.add([note("b", "pool timeout")], tmp_path)
    assert current.retrieve(task("pool")).corpus_version == first.version
    ready.add(second.version)
    pointer = tmp_path / snapshot.POINTER
    pointer.rename(tmp_path / "old")
    pointer.write_text(f"{second.version}\n", encoding="utf-8")
    assert current.retrieve(task("pool")).corpus_version == second.version


def test_a_claim_about_a_default_finds_the_line_that_says_default(tmp_path: Path) -> None:
    """`default` finds no record, but among the lines of one it is what the claim is about."""
    text = "pool_of_choice = 'x'\nDEFAULT_POOL = 'prefork'\npool_in_use = 'y'"
    record = Record(record_id="s", kind=RecordKind.SOURCE, text=text, path="a.py", first_line=1, last_line=3)
    other = Record(record_id="t", kind=RecordKind.SOURCE, text="default = 1", path="b.py", first_line=1, last_line=1)
    retriever = SnapshotRetriever(snapshot.write([record, other], tmp_path), SETTINGS)
    bundle = retriever.retrieve(task("Verify that the default pool is threads."))
    assert [hit.record.record_id for hit in bundle.passages] == ["s"]
    assert bundle.lines[0].text == "DEFAULT_POOL = 'prefork'"
