"""Vectors of records: what of a record is embedded, the files, the nearest records, and the run that makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from replay.contracts import Record, RecordKind
from replay.corpus import embed as run
from replay.corpus import snapshot, vectors
from replay.corpus.index import Filter
from replay.corpus.manifest import GroupName
from replay.corpus.nearest import STEPS, GroupVectors
from replay.corpus.opening import POINTER, Snapshot
from replay.corpus.pieces import MOST_PIECES, PIECE_CHARS, PIECE_LINES, pieces
from replay.corpus.vectors import VectorFile
from replay.corpus.watching import Watcher
from replay.errors import CorpusError, ModelUnavailable
from tests.stand_in_embedder import StandInEmbedder

WORDS = (
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "omicron",
)


def record(name: str, text: str, **fields: object) -> Record:
    """A source record; any field can be given."""
    return Record.model_validate({"record_id": name, "kind": RecordKind.SOURCE, "text": text, "title": name, **fields})


def some_records(count: int, *, kind: RecordKind = RecordKind.SOURCE) -> list[Record]:
    """Records of a few words each, no two alike."""
    rng = np.random.default_rng(count)
    return [
        record(f"{kind}_{n:04}", f"{' '.join(rng.choice(WORDS, 6))} {n}", kind=kind, tags=(f"t{n % 3}",))
        for n in range(count)
    ]


def group_vectors(made: Snapshot, corpus_dir: Path, embedder: StandInEmbedder) -> GroupVectors:
    """The vectors of the sources of a version."""
    return GroupVectors(made.sources, vectors.open_all(vectors.folder(corpus_dir, embedder.name, GroupName.SOURCES)))


def by_hand(
    made: Snapshot, embedder: StandInEmbedder, query: NDArray[np.float32], only: Filter | None
) -> dict[str, float]:
    """The similarity of each source's nearest piece, computed one by one."""
    return {
        held.record_id: float((embedder.embed(pieces(held)) @ query).max())
        for held in made.sources
        if not only or ((not only.kinds or held.kind in only.kinds) and (not only.tags or only.tags & set(held.tags)))
    }


# --- pieces ----------------------------------------------------------------------------------------------------------


def test_a_short_record_is_one_piece_under_its_title() -> None:
    """The title says what the lines are about."""
    assert pieces(record("app.Pool", "class Pool:\n    limit = 10")) == ["app.Pool\nclass Pool:\n    limit = 10"]


def test_a_long_record_is_windows_that_overlap_by_a_third() -> None:
    """So a line and what stands closely above it are in one piece."""
    lines = [f"line {n}" for n in range(30)]
    found = [piece.split("\n")[1:] for piece in pieces(record("r", "\n".join(lines)))]
    assert found == [lines[0:12], lines[8:20], lines[16:28], lines[24:30]]


def test_a_paragraph_without_line_ends_is_cut() -> None:
    """All of it is read, in steps."""
    text = "".join(chr(97 + n % 26) for n in range(3 * PIECE_CHARS))
    assert "".join(piece.partition("\n")[2] for piece in pieces(record("r", text))) == text


@pytest.mark.parametrize("text", ["", " ", "\n\n\n", " \n" * 100])
def test_a_blank_record_still_has_a_piece(text: str) -> None:
    """An endpoint refuses an empty text, and a record without a vector would count as not embedded."""
    assert pieces(record("r", text, title="")) == ["r"]
    assert pieces(record("r", text, title="named")) == ["named"]


def test_a_record_of_ten_megabytes_costs_no_more_than_the_longest() -> None:
    """Whether it has many lines or one."""
    for text in ("x = 1\n" * 1_700_000, "x" * 10_000_000):
        found = pieces(record("r", text))
        assert 1 < len(found) <= MOST_PIECES
        assert max(map(len, found)) <= PIECE_CHARS * 2 + 10


@given(st.text(alphabet="ab \n", max_size=4_000))
def test_every_line_that_says_something_is_in_a_piece(text: str) -> None:
    """And no piece is blank or longer than its bounds."""
    found = pieces(record("r", text, title="T"))
    seen = {line for piece in found for line in piece.split("\n")}
    for line in text.split("\n"):
        if line.strip() and len(line) <= PIECE_CHARS:
            assert line in seen
    assert all(piece.strip() and piece.count("\n") <= PIECE_LINES for piece in found)


# --- the nearest -----------------------------------------------------------------------------------------------------


def test_the_nearest_are_those_of_a_plain_computation(tmp_path: Path) -> None:
    """Order, similarities and ties, over several segments and files, with and without a filter."""
    embedder = StandInEmbedder()
    snapshot.write(some_records(300), tmp_path)
    run.embed(tmp_path, embedder)
    twins = [record(f"twin_{n}", "alpha beta\n" * 30, title="twin") for n in (3, 1, 2)]
    made = snapshot.add(twins, tmp_path)
    run.embed(tmp_path, embedder)
    held = group_vectors(made, tmp_path, embedder)
    assert not held.missing
    for text in ("alpha beta twin", "omicron 17", "nothing of it"):
        query = embedder.embed([text])[0]
        for only in (None, Filter(tags=frozenset({"t1"})), Filter(kinds=frozenset({"exemplar"}))):
            for k in (1, 5, 64, 1_000):
                near = held.nearest(query, k, only)
                found = [(-one.similarity, made.sources.record_id(one.segment, one.ordinal)) for one in near]
                assert found == sorted(found)
                wanted = by_hand(made, embedder, query, only)
                best = sorted(wanted.values(), reverse=True)[:k]
                np.testing.assert_allclose([-score for score, _ in found], best, atol=1.5 / STEPS)
                np.testing.assert_allclose([wanted[name] for _, name in found], best, atol=1.5 / STEPS)


def test_a_graph_finds_what_the_exact_way_finds(tmp_path: Path) -> None:
    """On a small set nothing is overlooked, and the similarities are the same numbers."""
    embedder = StandInEmbedder(dimensions=24)
    made = snapshot.write(some_records(400), tmp_path)
    run.embed(tmp_path, embedder)
    folder = vectors.folder(tmp_path, embedder.name, GroupName.SOURCES)
    (exact,) = vectors.open_all(folder)
    graph = vectors.open_file(
        vectors.write(tmp_path / "graph", embedder.name, exact.digests, exact.matrix, graph_above=10)
    )
    assert exact.graph is None
    assert graph.graph is not None
    assert len(graph.graph) == len(exact) == 400
    one, other = GroupVectors(made.sources, [exact]), GroupVectors(made.sources, [graph])
    for word in WORDS:
        query = embedder.embed([f"{word} 7"])[0]
        assert one.nearest(query, 20) == other.nearest(query, 20)
        only = Filter(tags=frozenset({"t2"}))
        assert one.nearest(query, 20, only) == other.nearest(query, 20, only)


def test_rows_of_other_versions_hide_nothing(tmp_path: Path) -> None:
    """A graph full of them proposes too little, and then the exact way is gone."""
    embedder = StandInEmbedder(dimensions=24)
    snapshot.write([record(f"old_{n}", f"alpha beta {n}") for n in range(300)], tmp_path)
    run.embed(tmp_path, embedder)
    made = snapshot.write([record("far", "omega"), record("near", "alpha beta gamma")], tmp_path)
    run.embed(tmp_path, embedder)
    (file,) = vectors.open_all(vectors.folder(tmp_path, embedder.name, GroupName.SOURCES))
    assert len(file) == 302
    graph = vectors.open_file(
        vectors.write(tmp_path / "graph", embedder.name, file.digests, file.matrix, graph_above=10)
    )
    for held in (GroupVectors(made.sources, [file]), GroupVectors(made.sources, [graph])):
        found = held.nearest(embedder.embed(["alpha beta"])[0], 2)
        assert [made.sources.record_id(near.segment, near.ordinal) for near in found] == ["near", "far"]


# --- files -----------------------------------------------------------------------------------------------------------


def written(into: Path, rows: int = 8) -> tuple[Path, VectorFile]:
    """A file of vectors and its opened form."""
    digests = np.arange(2 * rows, dtype=np.uint64).reshape(rows, 2)
    matrix = np.eye(rows, 16, dtype=np.float32)
    path = vectors.write(into, "m", digests, matrix)
    return path, vectors.open_file(path)


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    """Read-only, and named by its content: writing it again changes nothing."""
    path, opened = written(tmp_path)
    assert opened.dimensions == 16
    np.testing.assert_array_equal(opened.matrix, np.eye(8, 16))
    np.testing.assert_array_equal(opened.digests[3], [6, 7])
    assert not opened.matrix.flags.writeable
    assert written(tmp_path)[0] == path
    assert [file.path for file in vectors.open_all(tmp_path)] == [path]


def test_a_flipped_byte_is_refused_by_the_name_of_the_file(tmp_path: Path) -> None:
    """Wherever it is: header, digests, vectors or padding."""
    path, _ = written(tmp_path)
    whole = path.read_bytes()
    for at in (0, 20, 40, 70, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(CorpusError, match=path.name) as refused:
            vectors.open_all(tmp_path)
        assert "corpus embed" in refused.value.hint
    path.write_bytes(whole[:-1])
    with pytest.raises(CorpusError, match=path.name):
        vectors.open_all(tmp_path)


def test_embedders_have_folders_of_their_own(tmp_path: Path) -> None:
    """However alike their names are, and whatever signs a name has."""
    names = ["m", "M", "m ", "a/b", "a-b", "../up", "nomic-embed-text:latest", "ü" * 300]
    folders = [vectors.folder(tmp_path, name, GroupName.SOURCES) for name in names]
    assert len(set(folders)) == len(names)
    assert all(folder.parent.parent == tmp_path / "vectors" for folder in folders)


# --- the run ---------------------------------------------------------------------------------------------------------


class Steps(Watcher):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []

    def step(self, what: str, done: int, of: int) -> None:
        """Keep a step."""
        self.steps.append((what, done, of))


def test_every_record_gets_its_vectors_once(tmp_path: Path) -> None:
    """Both groups; a second run embeds nothing, and a run after an addition what was added."""
    embedder = StandInEmbedder()
    snapshot.write([*some_records(70), *some_records(3, kind=RecordKind.NOTE)], tmp_path)
    watcher = Steps()
    done = run.embed(tmp_path, embedder, watcher)
    assert (done.records, done.embedded, done.vectors, done.embedder) == (73, 73, 73, embedder.name)
    assert ("embedding", 64, 70) in watcher.steps
    assert ("embedding", 70, 70) in watcher.steps
    assert run.embed(tmp_path, embedder).embedded == 0
    added = snapshot.add([record("new", "alpha")], tmp_path)
    again = run.embed(tmp_path, embedder)
    assert (again.version, again.embedded) == (added.version, 1)
    assert embedder.texts[-1] == "new\nalpha"
    assert len(embedder.texts) == 74


def test_merging_segments_needs_no_new_vectors(tmp_path: Path) -> None:
    """Vectors belong to records, not to the places where they lie."""
    embedder = StandInEmbedder()
    for n in range(5):
        snapshot.add([record(f"r{n}", f"alpha {n}")], tmp_path)
    run.embed(tmp_path, embedder)
    before = snapshot.load(tmp_path)
    snapshot.compact(tmp_path, whole=True)
    after = snapshot.load(tmp_path)
    assert len(before.sources.segments) > len(after.sources.segments) == 1
    assert not group_vectors(after, tmp_path, embedder).missing
    assert run.embed(tmp_path, embedder).embedded == 0


def test_an_interrupted_run_keeps_what_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one embeds only the rest."""
    monkeypatch.setattr(run, "KEPT_EVERY", 64)
    embedder = StandInEmbedder()
    embedder.fail_after = (2, ModelUnavailable("gone"))
    snapshot.write(some_records(200), tmp_path)
    with pytest.raises(ModelUnavailable):
        run.embed(tmp_path, embedder)
    embedder.fail_after = None
    assert run.embed(tmp_path, embedder).embedded == 200 - 128
    assert len(set(embedder.texts)) == len(embedder.texts) == 200
    assert len(vectors.open_all(vectors.folder(tmp_path, embedder.name, GroupName.SOURCES))) == 1


def test_small_files_become_one_and_a_large_one_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph is not grown anew for each addition."""
    monkeypatch.setattr(run, "GRAPH_ROWS", 10)
    embedder = StandInEmbedder()
    snapshot.write(some_records(12), tmp_path)
    run.embed(tmp_path, embedder)
    for n in range(3):
        made = snapshot.add([record(f"r{n}", "alpha")], tmp_path)
        run.embed(tmp_path, embedder)
    files = vectors.open_all(vectors.folder(tmp_path, embedder.name, GroupName.SOURCES))
    assert sorted(map(len, files)) == [3, 12]
    assert not group_vectors(made, tmp_path, embedder).missing


def test_the_pointer_is_put_in_place_again(tmp_path: Path) -> None:
    """Workers look at a new file of the same words; that is how they learn that a version has its vectors."""
    snapshot.write(some_records(2), tmp_path)
    pointer = tmp_path / POINTER
    before, said = pointer.stat().st_ino, pointer.read_bytes()
    kept = pointer.open("rb")  # so that the number of its file is not given to another
    run.embed(tmp_path, StandInEmbedder())
    assert (pointer.stat().st_ino != before, pointer.read_bytes()) == (True, said)
    kept.close()


def test_vectors_of_another_length_are_not_mixed(tmp_path: Path) -> None:
    """Another model answers by the same name: it is said, and nothing is written."""
    snapshot.write(some_records(2), tmp_path)
    run.embed(tmp_path, StandInEmbedder(dimensions=8))
    snapshot.add([record("new", "alpha")], tmp_path)
    with pytest.raises(CorpusError, match="now gives vectors of 16 numbers") as refused:
        run.embed(tmp_path, StandInEmbedder(dimensions=16))
    assert "Delete" in refused.value.hint
