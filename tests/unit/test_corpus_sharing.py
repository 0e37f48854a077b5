"""Passages that several sources share: one record, kept as long as one of them has it, whatever the order."""

from __future__ import annotations

import os
from itertools import permutations
from pathlib import Path

import pytest

from replay.contracts import Record, RecordKind
from replay.corpus import snapshot, sources
from replay.corpus.retrieval import SnapshotRetriever
from replay.corpus.search import stats
from replay.corpus.snapshot import Snapshot
from replay.settings import Settings
from tests.factories import make_task
from tests.trees import write

LICENSE = "MIT License text grants permission to everybody\n"


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def trees(tmp_path: Path) -> dict[str, Path]:
    """Three trees with one file in common."""
    return {name: write(tmp_path / name, _LICENSE=LICENSE, **{f"{name}_py": f"{name}_limit = 1\n"}) for name in "ABC"}


def add(corpus_dir: Path, *read: Path) -> Snapshot:
    """Read sources into the corpus, as `replay corpus add` does."""
    records = [record for tree in read for record in sources.read(str(tree))[0]]
    return snapshot.replace_origins(records, corpus_dir, lambda origin: origin in {tree.name for tree in read})


def shared(opened: Snapshot) -> list[tuple[str, tuple[str, ...]]]:
    """The records of the common file: origin, and the names of the others without their ids."""
    found = [one for one in opened.records() if one.path == "LICENSE"]
    return [(one.origin, tuple(name.partition("/")[0] for name in one.also)) for one in found]


def test_every_order_and_way_gives_the_same_version(tmp_path: Path, trees: dict[str, Path]) -> None:
    """Read at once or one after the other, in any order, again and again, and merged: one version."""
    versions = set()
    for number, order in enumerate(permutations("ABC")):
        folder = tmp_path / f"corpus{number}"
        for name in order:
            add(folder, trees[name])
        for name in order:
            assert add(folder, trees[name]).change.added == 0  # type: ignore[union-attr]
        snapshot.compact(folder, whole=True)
        versions.add(snapshot.load(folder).version)
        versions.add(add(tmp_path / f"at-once{number}", *(trees[name] for name in order)).version)
        records = [record for name in order for record in sources.read(str(trees[name]))[0]]
        versions.add(snapshot.replace_sources(records, tmp_path / f"built{number}").version)
        assert shared(snapshot.load(folder)) == [("A", ("B", "C"))]
    assert len(versions) == 1


def test_a_shared_passage_stays_until_the_last_source_has_lost_it(tmp_path: Path, trees: dict[str, Path]) -> None:
    """Each tree that loses its file loses it alone; the others were not touched, and keep it."""
    corpus = tmp_path / "corpus"
    add(corpus, *trees.values())
    for name, left in (("B", [("A", ("C",))]), ("A", [("C", ())]), ("C", [])):
        (trees[name] / "LICENSE").unlink()
        made = add(corpus, trees[name])
        assert shared(made) == left
        assert made.version == add(tmp_path / f"anew-{name}", *trees.values()).version


def test_a_passage_that_comes_to_be_shared_and_ceases_to_be(tmp_path: Path, trees: dict[str, Path]) -> None:
    """What a change of one tree adds and takes away is told of, and going back leads to the version before."""
    corpus = tmp_path / "corpus"
    first = add(corpus, trees["A"], trees["B"])
    (trees["B"] / "LICENSE").write_text("Other terms\n", encoding="utf-8")
    made = add(corpus, trees["B"])
    assert made.change is not None
    assert (made.change.added, made.change.changed, made.change.removed) == (1, 1, 0)
    (trees["B"] / "LICENSE").write_text(LICENSE, encoding="utf-8")
    assert add(corpus, trees["B"]).version == first.version


def test_a_shared_passage_is_found_once_and_in_the_scope_of_each_of_its_sources(tmp_path: Path) -> None:
    """No task is shown it twice, and whichever of its sources a task names, it is that one's own."""
    shared_by = [write(tmp_path / name, _LICENSE=LICENSE, **{f"{name}_py": "x = 1\n"}) for name in ("alpha", "beta")]
    other = write(tmp_path / "gamma", gamma_py="x = 1\n")
    retriever = SnapshotRetriever(add(tmp_path / "corpus", *shared_by, other), Settings())

    def score(name: str) -> float:
        task = make_task(f"Verify that {name}'s license grants permission to everybody")
        (hit,) = [hit for hit in retriever.retrieve(task).passages if hit.record.path == "LICENSE"]
        return hit.score

    assert score("alpha") == score("beta") > score("gamma")


def test_a_shared_passage_counts_for_each_of_its_sources(tmp_path: Path, trees: dict[str, Path]) -> None:
    """In the counts of the manifest, and in those that are made of the records."""
    opened = add(tmp_path / "corpus", *trees.values())
    assert opened.segments[0].stored.origins == {"A": 2, "B": 2, "C": 2}
    counted = stats(opened)
    assert (counted.by_origin, counted.records, counted.files) == ({"A": 2, "B": 2, "C": 2}, 4, 6)


def test_names_with_signs_are_told_apart(tmp_path: Path) -> None:
    """An origin may hold quotes, slashes and what a record's own id looks like."""
    names = ['a"b', "a/src_x", "ü\\n", ""]
    text = Record(record_id="src_x", kind=RecordKind.SOURCE, text="size = 1", path="a.py")
    for name in names:
        snapshot.replace_origins([text.model_copy(update={"origin": name})], tmp_path, {name}.__contains__)
    opened = snapshot.load(tmp_path)
    assert opened.segments[0].stored.origins == dict.fromkeys(sorted(names), 1)
    for count, name in enumerate(names, 1):
        rest = [text.model_copy(update={"record_id": f"other{count}", "origin": "kept"})]
        made = snapshot.replace_origins(rest, tmp_path, {name, "kept"}.__contains__)
        assert sum(one.record_id == "src_x" for one in made.records()) == (count < len(names))


def test_the_title_is_part_of_what_a_passage_is(tmp_path: Path) -> None:
    """Equal lines that mean different things, for they stand in different classes, are two records."""
    body = "    def run(self):\n        return 1\n"
    one = write(tmp_path / "one", a_py=f"class Left:\n{body}")
    other = write(tmp_path / "two", a_py=f"class Rite:\n{body}")
    made = add(tmp_path / "corpus", one, other)
    assert sorted(record.title for record in made.records() if "return 1" in record.text) == [
        "a.Left.run",
        "a.Rite.run",
    ]
