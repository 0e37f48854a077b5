"""What counts as invented: a source that exists nowhere, and a value that does not stand where it is said to."""

from __future__ import annotations

import pytest

from replay import answers, pipeline
from replay.contracts import Bundle, Record, RecordKind, ReplayRun
from replay.gate import judge
from replay.pipeline import Engine
from replay.prompting import PromptLimits
from replay.study.invention import inventions, locate, named_outside
from tests.factories import SOURCE, make_bundle, make_generation, make_reply, make_task

CORPUS = [
    Record(
        record_id="src_channel",
        kind=RecordKind.SOURCE,
        text=SOURCE,
        title="kombu.transport.redis.Channel",
        path="kombu/transport/redis.py",
        first_line=400,
        last_line=404,
    ),
    Record(record_id="note_1", kind=RecordKind.NOTE, text="Timeouts are in seconds.", title="On timeouts"),
]


def run_of(source: str, found: str = "3600", *, retrieval: bool = False) -> ReplayRun:
    """The evidence of a run whose model names a source and a value."""
    task = make_task(options={"retrieval": retrieval, "allow_escalation": False})

    class Scripted:
        def retrieve(self, _: object) -> Bundle:
            return make_bundle()

        def generate(self, *_: object) -> object:
            return make_generation(make_reply(source, found))

    scripted = Scripted()
    return pipeline.audit_local(task, Engine(scripted, scripted, PromptLimits())).run  # type: ignore[arg-type]


def invented(run: ReplayRun) -> tuple[str, ...]:
    """What it invents, over the small corpus."""
    return inventions(run, locate(named_outside(run), CORPUS))


@pytest.mark.parametrize(
    "source",
    [
        "kombu/transport/redis.py:402",
        "redis.py, line 99999",
        "site-packages/kombu/transport/redis.py",
        "./transport/redis.py#L402",
        "in kombu.transport.redis.Channel",
        "KOMBU.TRANSPORT.REDIS",
        "`redis.Channel`.",
        "Channel",
        "https://example.org/blob/main/kombu/transport/redis.py#L402",
    ],
)
def test_a_source_that_the_corpus_has_is_not_invented(source: str) -> None:
    """A file or a definition, named whole or by its end, in a sentence, whatever the line."""
    assert invented(run_of(source)) == ()


@pytest.mark.parametrize(
    "source",
    [
        "123",
        "kombu/redis.py",
        "aredis.py",
        "The visibility timeout of the channel is 1 hour.",
        "kombu.Channels",
        "src_x",
    ],
)
def test_a_source_that_exists_nowhere_is_invented_once(source: str) -> None:
    """A number, a sentence, a path that is nearly one; its value is not counted besides."""
    assert invented(run_of(source, "77")) == (f"source: {source}",)


def test_naming_no_source_invents_none() -> None:
    """Silence is no invention."""
    assert invented(run_of("", "77")) == ()


def test_a_value_that_is_not_in_the_named_source_is_invented() -> None:
    """In whatever spelling it may stand there; 1 hour is 3600."""
    assert invented(run_of("kombu/transport/redis.py", "1 hour")) == ()
    assert invented(run_of("kombu/transport/redis.py", "")) == ()
    assert invented(run_of("redis.py:1", "7200")) == ("value: 7200, which is not in kombu/transport/redis.py",)


def test_evidence_counts_before_the_corpus() -> None:
    """A cited line of the bundle exists; a value that is not in its record does not, and a line not shown neither."""
    assert invented(run_of("L3", retrieval=True)) == ()
    assert invented(run_of("L3", "7200", retrieval=True)) == ("value: 7200, which is not in kombu/transport/redis.py",)
    assert invented(run_of("L77", retrieval=True)) == ("source: L77",)


def test_an_unreadable_answer_invents_nothing() -> None:
    """There is nothing that it says."""
    task = make_task()
    answer, _ = judge(task, make_bundle(), make_generation("no JSON"))
    assert answer is None
    run = pipeline.end_without_attempt(task, run_of("L3").state, "none")
    assert inventions(run, {}) == ()
    assert named_outside(run) == set()


def test_a_long_name_is_cut() -> None:
    """A phrase tells what was invented; it is no copy of the answer."""
    (phrase,) = invented(run_of("x" * 500))
    assert len(phrase) < 150


def test_the_schema_lets_the_model_invent_nothing_but_free_text() -> None:
    """With evidence every choice of the schema exists: what is counted there is the doing of a server without one."""
    task, bundle = make_task(), make_bundle()
    choices = answers.schema(task, bundle)["properties"]["findings"]["items"]["anyOf"]
    lines = {choice["properties"]["line"]["const"] for choice in choices} - {answers.NO_LINE}
    assert lines
    assert lines <= {line.line_id for line in bundle.lines}
