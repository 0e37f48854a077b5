"""`replay corpus eval` and the rankings that it compares, over a small corpus."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from replay.contracts import Record, RecordKind
from replay.corpus import rankings, snapshot
from replay.corpus.snapshot import Snapshot
from replay.errors import ConfigurationError, CorpusError, InputError
from replay.settings import Settings
from tests.command_line import Typed, settings_of_shell, typing_into

POOL = "class Pool:\n    idle_timeout = 300\n    max_size = 10"
OTHER = "class Queue:\n    durable = True\n    priority = 9"
LONG = "\n".join(["class Broker:", *(f"    option_{n} = 'pool {n}'" for n in range(60)), "    idle_timeout = 5"])


def query(name: str, **fields: Any) -> dict[str, Any]:
    """A query about the idle timeout of the pool; any field can be given."""
    given = {"query_id": name, "set": "hand", "family": "class-constant", "verdict": "pass", "path": "store/pool.py"}
    text = f"Verify that the idle timeout of a pool is 300 seconds ({name})."
    return {**given, "text": text, "pattern": "idle_timeout = 300", **fields}


@pytest.fixture
def settings(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the commands that are typed."""
    return settings_of_shell(monkeypatch, data_dir)


@pytest.fixture
def built(settings: Settings) -> Snapshot:
    """A corpus of three classes of one package."""
    texts = {"pool": POOL, "queue": OTHER, "broker": LONG}
    records = [
        Record(
            record_id=f"src_{name}",
            kind=RecordKind.SOURCE,
            text=text,
            title=f"store.{name}",
            path=f"store/{name}.py",
            first_line=3,
            last_line=3 + text.count("\n"),
            origin="store 1.0",
        )
        for name, text in texts.items()
    ]
    return snapshot.write(records, settings.corpus_dir)


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """Queries: found, held out, not to be found by its words, and about another package."""
    rows = [
        query("found"),
        query("apart", held_out=True, text="Verify nothing of the sort."),
        query("missed", text="Check what nobody ever said.", absent="nobody"),
        query("elsewhere", path="strange/pool.py"),
    ]
    file = tmp_path / "queries.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture
def typed(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types `replay corpus eval`: its exit code, what it prints, and what it tells on stderr."""
    assert settings.data_dir.is_dir()
    return typing_into(monkeypatch, capsys, "corpus", "eval")


@pytest.mark.parametrize("name", ["containment-line", "containment", "jaccard", "bm25"])
def test_each_ranking_finds_the_record_and_its_line(built: Snapshot, settings: Settings, name: str) -> None:
    """The record comes first that shares the words, and the first line of its that is shown decides."""
    made = rankings.ranking(name, built, settings)
    ranked = made.rank("Verify that the idle timeout of a pool is 300 seconds.")
    assert made.name == name
    assert ranked.records[0] == "src_pool"
    assert ranked.lines[0] == ("store/pool.py", 4)


@pytest.mark.parametrize("name", ["containment-line", "containment", "jaccard", "bm25"])
def test_words_that_no_record_has_find_nothing(built: Snapshot, settings: Settings, name: str) -> None:
    """Nothing is found, and nothing breaks."""
    ranked = rankings.ranking(name, built, settings).rank("Zymurgy?")
    assert (ranked.records, ranked.lines) == ((), ())


def test_at_most_eight_records_and_forty_lines_are_ranked(built: Snapshot, settings: Settings) -> None:
    """Whatever the settings say, all rankings are measured at the same depth."""
    few = settings.model_copy(update={"top_k": 1, "lines_shown": 1})
    ranked = rankings.ranking(rankings.AS_SHIPPED, built, few).rank("Verify the idle timeout of the pool of a class.")
    assert len(ranked.records) > 1
    assert 1 < len(ranked.lines) <= 40


def test_an_unknown_ranking_is_named(built: Snapshot, settings: Settings) -> None:
    """The hint lists those that there are."""
    with pytest.raises(InputError, match="no ranking 'magic'") as caught:
        rankings.ranking("magic", built, settings)
    assert "bm25" in caught.value.hint


def test_without_bm25s_its_ranking_says_what_to_install(
    built: Snapshot, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer to compare with is no dependency of the product."""
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(ConfigurationError, match="bm25s") as caught:
        rankings.ranking("bm25", built, settings)
    assert "pip install bm25s" in caught.value.hint


def test_hybrid_without_embeddings_says_how_to_get_them(built: Snapshot, settings: Settings) -> None:
    """It is off by default, so measuring it has to be prepared."""
    with pytest.raises(ConfigurationError, match="embeddings") as caught:
        rankings.ranking("hybrid", built, settings)
    assert "replay corpus embed" in caught.value.hint


def test_numbers_are_printed_for_each_set(built: Snapshot, typed: Typed, asked: Path) -> None:
    """Held-out queries have a row of their own; what the corpus does not hold is counted aside."""
    code, printed, _ = typed("--queries", asked, "--ranking", "containment", "--ranking", "bm25")
    rows = [line.split() for line in printed.splitlines()]
    assert code == 0
    assert built.version in printed
    assert ["hand", "containment", "2", "0.50"] in [row[:4] for row in rows]
    assert ["hand,", "held", "out", "containment", "1", "0.00"] in [row[:6] for row in rows]
    assert ["hand", "bm25", "2", "0.50"] in [row[:4] for row in rows]
    assert "not in this corpus: 1 queries (strange 1)" in printed


def test_misses_are_named_but_not_the_held_out_ones(built: Snapshot, typed: Typed, asked: Path) -> None:
    """What nobody may choose by is not shown to anybody who looks for what to mend."""
    assert len(built) == 3
    code, printed, _ = typed("--queries", asked, "--misses")
    assert code == 0
    assert "missed by containment-line: no record; nobody does not exist" in printed
    assert "store/pool.py: idle_timeout = 300" in printed
    assert "not in this corpus: elsewhere (strange/pool.py)" in printed
    assert "apart by" not in printed
    assert "found by" not in printed


def test_programs_get_counts_and_intervals(built: Snapshot, typed: Typed, asked: Path) -> None:
    """JSON has each number as hits of a count, with the interval, and the ids that were counted aside."""
    code, printed, _ = typed("--queries", asked, "--families", "--misses", "--json")
    told = json.loads(printed)
    assert code == 0
    assert told["corpus_version"] == built.version
    assert told["not_in_corpus"] == ["elsewhere"]
    assert told["misses"] == [{"query_id": "missed", "ranking": "containment-line", "record": None}]
    groups = [row["group"] for row in told["quality"]]
    assert groups == ["hand", "hand, held out", "hand: class-constant", "hand, held out: class-constant"]
    recall = told["quality"][0]["recall_at_8"]
    assert (recall["hits"], recall["of"]) == (1, 2)
    assert 0 < recall["low"] < 0.5 < recall["high"] < 1
    assert told["quality"][0]["lines_at"]["1"]["hits"] == 1


def test_queries_about_nothing_in_the_corpus_are_an_error(built: Snapshot, typed: Typed) -> None:
    """A table of zeros would look like bad retrieval; the hint says what to build."""
    assert len(built) == 3
    code, printed, told = typed()
    assert (code, printed) == (2, "")
    assert "none of the 565 queries is about what corpus" in told
    assert "replay corpus build package:celery" in told


def test_without_a_corpus_there_is_nothing_to_measure(settings: Settings, typed: Typed, asked: Path) -> None:
    """The hint says how to build one."""
    assert not settings.corpus_dir.exists()
    code, _, told = typed("--queries", asked)
    assert (code, CorpusError.exit_code) == (2, 2)
    assert "there is no corpus" in told
