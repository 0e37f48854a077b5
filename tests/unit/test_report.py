from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from evidence.log import EvidenceLog
from evidence.reader import EvidenceReader
from producer import manifest, repeats
from producer.gold import KnownAnswer
from producer.line import TaskLine
from producer.manifest import Batch
from producer.repeats import Repeat
from producer.report import listing
from producer.report.figures import OTHERS, Durations, Named, Report
from producer.report.gathering import report as gather
from producer.report.scope import Scope
from producer.report.writing import Format, cell, span, write
from producer.summary import nearest_rank
from replay.contracts import ReplayRun, Reused, Ruling, State, Tier
from replay.settings import Settings
from tests.batches import by_name, make_lines, make_run, record
from tests.command_line import Typed, typing_into

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</p></li></ol><h1>owned</h1>",
    "# heading\n\n| a | b |\n|---|---|\n| c | d |",
    "`` ` ``` code` <b>bold</b> ```",
    "[click](javascript:alert(1)) ![pixel](http://evil.example/x.png) <http://evil.example>",
    "**bold** _italic_ ~~gone~~ | pipe \\| pipe \\",
    "\x1b[31mred\x00 \u202edesrever\u2066 \u2028line",
    "{{ 7 * 7 }} {% raw %} {# none #} ${7*7}",
    "&lt;b&gt; &amp; &#60;script&#62;",
    "half \ud800 of a pair",
    "```\n<details>",
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with prices."""
    return Settings(data_dir=tmp_path / "data", escalation_prices="model-escalation=1/2")


def made(settings: Settings, lines: Sequence[TaskLine], nonce: str = "") -> Batch:
    """A batch that was submitted, and of which nothing has run."""
    batch = manifest.plan(lines, source="tasks.jsonl", corpus_version="corpus_1", created_at="2026-11-01", nonce=nonce)
    manifest.write(batch, settings.batches_dir)
    return batch


def on(run: ReplayRun, when: str, **changes: Any) -> ReplayRun:
    """The same evidence at another time."""
    return run.model_copy(update={"recorded_at": when, **changes})


def written(made_report: Report, form: Format, settings: Settings, most: int = listing.MOST) -> str:
    """The report as text."""
    return b"".join(write(made_report, form, settings, most=most)).decode()


@pytest.fixture
def batch(settings: Settings) -> Batch:
    """Seven tasks, of which the last has no evidence and the sixth waits for the large model."""
    batch = made(settings, make_lines(7))
    tasks = by_name(batch)
    reused = make_run(tasks["t4"], seconds=0)
    assert reused.attempt is not None
    attempt = reused.attempt.model_copy(update={"reused": Reused(run_id="run_1", attempt_id="attempt_1")})
    record(
        settings,
        make_run(tasks["t0"]),
        make_run(tasks["t1"], State.ESCALATED, rules=["literals"]),
        make_run(tasks["t1"], State.ACCEPTED, Tier.ESCALATION, seconds=3),
        make_run(tasks["t2"], State.REJECTED, rules=["literals", "coverage"]),
        make_run(tasks["t3"], State.FAILED, None, reason="the endpoint is gone"),
        reused.model_copy(update={"attempt": attempt}),
        make_run(tasks["t5"], State.ESCALATED, rules=["coverage"]),
    )
    return batch


def test_a_batch_in_numbers(settings: Settings, batch: Batch) -> None:
    """States by lane, rates, rules, tokens, cost and what is missing are those of its evidence and of no other."""
    other = made(settings, make_lines(2), "other")
    record(settings, *(make_run(task, State.REJECTED, rules=["other"]) for task in other.tasks))
    found = gather(Scope(batch_id=batch.batch_id), settings)
    counts = found.counts
    assert counts.records == 7
    assert dict(counts.ended) == {
        ("accepted", "local"): 2,
        ("accepted", "escalation"): 1,
        ("rejected", "local"): 1,
        ("failed", ""): 1,
    }
    assert (found.still_open, found.without_evidence) == (1, 1)
    assert (counts.judged.count, counts.judged.passed, counts.judged.escalated) == (5, 2, 2)
    assert {rule: dict(held) for rule, held in counts.rules} == {"literals": {"local": 2}, "coverage": {"local": 2}}
    large = counts.took["escalation"]["model-escalation"]
    assert (large.attempts, large.prompt, large.completion, large.cached_share) == (1, 100, 10, 0.4)
    assert counts.took["local"]["model-local"].reused == 1
    assert found.cost == pytest.approx((100 * 1 + 10 * 2) / 1e6)
    assert {gate: dict(held) for gate, held in counts.gates} == {"gate.test": {"accepted": 3, "rejected": 3}}
    last = EvidenceReader(settings.evidence_log).tail(1)[0]
    assert found.head.seq == last.seq == 9
    assert found.head.hash in settings.evidence_log.read_text().splitlines()[-1]


def test_runs_that_were_made_again_do_not_count_twice(settings: Settings, batch: Batch) -> None:
    """The first end of a repeated run is in no state and no list; what it took stays."""
    task = by_name(batch)["t3"]
    repeat = Repeat(letter_id="dead_1", run_id=task.run_id, task=repeats.repeated(task), recorded_at="now")
    repeats.add(manifest.folder(settings.batches_dir, batch.batch_id), repeat)
    record(settings, make_run(repeat.task))
    found = gather(Scope(batch_id=batch.batch_id), settings)
    assert (found.counts.in_state("failed"), found.counts.in_state("accepted"), found.counts.repeated) == (0, 4, 1)
    assert found.without_evidence == 1
    text = written(found, Format.MARKDOWN, settings)
    assert "1 runs were made again" in text
    assert task.run_id not in text


def test_a_period_takes_what_was_recorded_in_it(settings: Settings) -> None:
    """From its beginning on and before its end, in whatever zone a record says it; by day, batch and corpus."""
    first, second = made(settings, make_lines(4), "a"), made(settings, make_lines(4), "b")
    one, two = by_name(first), by_name(second)
    record(
        settings,
        on(make_run(one["t0"]), "2026-11-01T23:59:59.999+00:00", corpus_version="corpus_1"),
        on(make_run(one["t1"], State.ESCALATED, rules=["a"]), "2026-11-02T00:00:00.000+00:00"),
        on(make_run(one["t2"]), "2026-11-02T01:00:00+02:00"),  # the day before
        on(make_run(two["t0"]), "2026-11-03T23:30:00-01:00"),  # the day after
        on(make_run(two["t1"]), "2026-11-03T12:00:00Z", corpus_version="corpus_2"),
        on(make_run(two["t2"], State.REJECTED, rules=["b"]), "2026-11-02T12:00:00Z"),  # a clock that is behind
        on(make_run(two["t3"]), "yesterday"),
    )
    period = Scope(since=datetime(2026, 11, 2, tzinfo=UTC), until=datetime(2026, 11, 4, tzinfo=UTC))
    counts = gather(period, settings).counts
    assert counts.records == 3
    assert {day: (held.count, held.passed, held.escalated) for day, held in counts.by_day} == {
        "2026-11-02": (2, 0, 1),
        "2026-11-03": (1, 1, 0),
    }
    assert [(name, held.count) for name, held in counts.by_batch] == [(first.batch_id, 1), (second.batch_id, 2)]
    assert {name for name, _ in counts.by_corpus} == {"corpus_2", "corpus_test"}
    third = made(settings, make_lines(1), "c")
    record(settings, make_run(third.tasks[0], State.FAILED, None, reason="gone"))
    whole = gather(Scope(), settings)
    assert (whole.batches, whole.older_batches) == (3, False)
    assert (whole.counts.records, whole.still_open) == (8, 1)
    assert dict(whole.counts.by_day)[OTHERS].count == 1
    assert whole.sources[first.batch_id].source == "tasks.jsonl"
    text = written(whole, Format.MARKDOWN, settings)
    assert "| batch | source | judged | passed | handed on | escalation rate |\n|---|---|--:|--:|--:|---|\n" in text
    assert f"| {first.batch_id} | tasks.jsonl | 3 | 2 | 1 | 33.3 % (6.1 to 79.2 %), 1 of 3 |" in text
    assert "| corpus versions | corpus_1, corpus_test, corpus_2 |" in text


def test_against_known_answers(settings: Settings, batch: Batch) -> None:
    """Right, right on the line, wrong and undecided, with intervals; tasks without a known answer are left out."""
    line = "visibility_timeout = 3600  # 1 hour"
    known = {
        "t0": KnownAnswer(Ruling.PASS, "kombu/transport/redis.py", line),
        "t1": KnownAnswer(Ruling.PASS),
        "t2": KnownAnswer(Ruling.FAIL),
        "t4": KnownAnswer(Ruling.FAIL),
        "t6": KnownAnswer(Ruling.PASS),
    }
    found = gather(Scope(batch_id=batch.batch_id), settings, known=known)
    gold = found.counts.gold
    assert gold is not None
    assert (gold.total, gold.correct, gold.correct_on_line, gold.false_accepts) == (4, 2, 1, 1)
    text = written(found, Format.MARKDOWN, settings)
    assert "- right: 50.0 % (15.0 to 85.0 %), 2 of 4" in text
    assert "- right, and on the deciding line: 25.0 % (4.6 to 69.9 %), 1 of 4" in text
    assert "- wrong: 25.0 % (4.6 to 69.9 %), 1 of 4" in text
    assert "- undecided: 25.0 % (4.6 to 69.9 %), 1 of 4" in text
    assert "- wrong, of what was accepted: 33.3 % (6.1 to 79.2 %), 1 of 3" in text


def test_failed_and_rejected_runs_come_with_why_and_how_to_look(settings: Settings, batch: Batch) -> None:
    """Each with its text, reasons and a command; no more than asked for, and it is said how many there are."""
    found = gather(Scope(batch_id=batch.batch_id), settings)
    tasks = by_name(batch)
    for form in Format:
        text = written(found, form, settings)
        assert f"replay gate explain {tasks['t2'].run_id}" in text
        assert f"replay evidence show {tasks['t3'].run_id}" in text
        assert "literals: does not hold" in text
        assert "the endpoint is gone" in text
        short = written(found, form, settings, most=0)
        assert "--runs 1" in short
        assert tasks["t2"].run_id not in short


class _Page(HTMLParser):
    """The elements, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[tuple[str, str]] = set()
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count one."""
        self.tags[tag] += 1
        self.attributes.update((tag, name) for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        """Keep what is shown."""
        self.text += data


def _hostile(settings: Settings, texts: Sequence[str]) -> Report:
    """Evidence in which every text that a stranger can choose is hostile, written past all our own checks."""
    lines = [make_run(task, State.REJECTED, rules=["r"]).wire() for task in make_batch(len(texts)).tasks]
    records: list[dict[str, Any]] = []
    for run, raw in zip(lines, texts, strict=True):
        text = raw.encode("utf-8", "replace").decode()
        hostile = run | {"id": f"{run['id']}", "run_id": text, "batch_id": text, "custom_id": text, "reason": text}
        hostile |= {"corpus_version": text, "task": run["task"] | {"text": text}}
        attempt = run["attempt"]
        hostile["attempt"] = attempt | {
            "generation": attempt["generation"] | {"model": text, "content": text},
            "verdict": attempt["verdict"] | {"gate_version": text, "reasons": [{"rule": text, "message": text}]},
        }
        records.append(hostile)
    with EvidenceLog.open(settings.evidence_log) as log:
        log.append(records)
    return gather(Scope(), settings)


def make_batch(count: int) -> Batch:
    """A batch that nobody submitted."""
    return manifest.plan(make_lines(count), source="x", corpus_version=None, created_at="2026-11-01")


def test_no_foreign_text_is_anything_but_text_in_html(tmp_path: Path) -> None:
    """The page of hostile evidence has the same elements and attributes as that of harmless evidence, and no script."""
    pages = []
    for name, texts in (("good", [f"harmless {n}" for n in range(len(HOSTILE))]), ("bad", HOSTILE)):
        settings = Settings(data_dir=tmp_path / name)
        text = written(_hostile(settings, texts), Format.HTML, settings)
        assert text.isascii() or "\u202e" not in text
        pages.append(_Page(text))
    good, bad = pages
    assert bad.tags == good.tags
    assert bad.attributes == good.attributes
    assert {"script", "img", "link", "iframe", "a"}.isdisjoint(bad.tags)
    assert not any(name.startswith("on") or name in {"href", "src"} for _, name in bad.attributes)
    assert "<script>alert(1)</script>" in bad.text
    assert "\\x1b[31mred" in bad.text
    assert "\\u202edesrever" in bad.text
    assert "{{ 7 * 7 }}" in bad.text


def test_no_foreign_text_is_anything_but_text_in_markdown(tmp_path: Path) -> None:
    """Rendered, hostile evidence gives the same structure as harmless evidence: no links, images, HTML or headings."""
    found = []
    for name, texts in (("good", [f"harmless {n}" for n in range(len(HOSTILE))]), ("bad", HOSTILE)):
        settings = Settings(data_dir=tmp_path / name)
        tokens = (
            MarkdownIt("commonmark", {"html": True})
            .enable(["table", "strikethrough"])
            .parse(written(_hostile(settings, texts), Format.MARKDOWN, settings))
        )
        flat = [inner for token in tokens for inner in (token, *(token.children or ()))]
        found.append(flat)
    # Texts between references count as pieces of text; all else is structure.
    good, bad = ([token.type for token in flat if token.type not in {"text", "text_special"}] for flat in found)
    assert bad == good
    assert good.count("table_open") == 7
    assert {"link_open", "image", "html_inline", "html_block", "s_open", "em_open"}.isdisjoint(bad)
    shown = "\n".join(token.content for token in found[1] if token.type == "code_inline")
    assert "<script>alert(1)</script>" in shown
    assert "`` ` ``` code` <b>bold</b> ```" in shown


@pytest.mark.parametrize("text", [*HOSTILE, "", "`", " x ", "a_b_c", "_a_", "www.evil.example", "x@y.example"])
def test_a_piece_of_markdown_reads_as_the_text_that_it_was(text: str) -> None:
    """Both ways of escaping show the text itself when they are rendered, whatever it is."""
    render = MarkdownIt("commonmark", {"html": True}).enable("table")
    for made_of in (cell, span):
        (inline,) = (token for token in render.parse(f"- **x**: {made_of(text)} end") if token.type == "inline")
        kinds = {token.type for token in inline.children or ()}
        assert kinds <= {"text", "text_special", "strong_open", "strong_close", "code_inline"}, (text, kinds)


def test_percentiles_are_right_to_one_in_a_hundred() -> None:
    """Of a thousand times from a millisecond to a quarter of an hour, against the exact ones."""
    times = [1.0137**n for n in range(1000)]
    durations = Durations()
    for time in times:
        durations.add(time)
    durations.add(0)
    for share in (0.01, 0.5, 0.95, 1.0):
        exact = (nearest_rank(times, share) or 0) / 1000
        assert durations.percentile(share) == pytest.approx(exact, rel=0.01)
    assert Durations().percentile(0.5) is None


def test_names_are_bounded() -> None:
    """Of more names than are kept the later ones share one, which stands at the end."""
    names = Named(Counter[str], 3)
    for name in "cbaedcba":
        names[name]["x"] += 1
    assert [(name, held["x"]) for name, held in names.sorted()] == [("a", 2), ("b", 2), ("c", 2), (OTHERS, 2)]


def test_no_run_is_read_that_is_not_listed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list is made as it is written: of many runs no more are read than it holds."""
    batch = made(settings, make_lines(40))
    record(settings, *(make_run(task, State.FAILED, None, reason="gone") for task in batch.tasks))
    found = gather(Scope(batch_id=batch.batch_id), settings)
    read = EvidenceReader.read
    asked: list[object] = []

    def counted(self: EvidenceReader, row: Any) -> Any:
        asked.append(row)
        return read(self, row)

    monkeypatch.setattr(EvidenceReader, "read", counted)
    pieces = write(found, Format.HTML, settings, most=30)
    next(pieces)
    assert asked == []
    rest = b"".join(pieces).decode()
    assert len(asked) == 30
    assert rest.count("replay evidence show run_") == 30


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def typed(settings: Settings, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Typed:
    """Types a command: its exit code, what it prints, and what it tells on stderr."""
    return typing_into(monkeypatch, capfdbinary, "report", data_dir=settings.data_dir)


def test_the_command_writes_what_was_asked_for(typed: Typed, batch: Batch, tmp_path: Path) -> None:
    """Markdown on stdout, HTML where the file's name says so, a batch by its beginning, all, or a period."""
    code, out, _ = typed()
    assert (code, out.splitlines()[0]) == (0, f"# Replay report: {batch.batch_id}".replace("_", "_"))
    assert typed(batch.batch_id[:12])[1].splitlines()[0] == out.splitlines()[0]
    page = tmp_path / "report.html"
    code, out, err = typed("--all", "-o", page, "--runs", 5)
    assert (code, out, "7 records of evidence" in err) == (0, "", True)
    assert page.read_text().startswith("<!doctype html>")
    assert "until 2020" in typed("--until", "2020-01-01", "--format", "markdown")[1]
    assert "| evidence | none yet |" in typed("--until", "2020-01-01")[1]
    assert "| evidence | 7 records" in typed("--since", "2020-01-01T00:00+02:00")[1]
    assert typed("--since", "1w")[0] == 0
    gold = tmp_path / "gold.jsonl"
    gold.write_text(json.dumps({"custom_id": "t0", "verdict": "pass"}))
    assert "- right: 100.0 %" in typed("--gold", gold)[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--since", "soon"], "2026-11-24"),
        (["--since", "0001-01-01"], "2026-11-24"),
        (["--since", "99999999999d"], "2026-11-24"),
        (["--since", "2026-01-02", "--until", "2026-01-01"], "not before"),
        (["--all", "--since", "7d"], "more than one"),
        (["batch_nowhere"], "No batch begins"),
        (["--gold", "/nowhere"], "gold file"),
        (["-o", "/nowhere/report.html"], "cannot be written"),
    ],
)
def test_mistakes_are_told(typed: Typed, batch: Batch, words: list[str], told: str) -> None:
    """Exit code 2, and what would be right."""
    assert batch.tasks
    code, _, err = typed(*words)
    assert (code, told in err) == (2, True), err


def test_an_empty_data_directory_gives_a_report_of_nothing(typed: Typed) -> None:
    """All of no evidence is a report; a batch where there is none is a mistake."""
    code, out, _ = typed("--all")
    assert (code, "No model was asked." in out) == (0, True)
    assert typed()[0] == 2
