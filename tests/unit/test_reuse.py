"""Answers used again: what counts as the same question, what the evidence says, and what is not believed."""

from __future__ import annotations

import dataclasses

import pytest

from replay import pipeline, reuse
from replay.contracts import Attempt, Bundle, Generation, ReplayRun, ReplayTask, Reused, State, Tier, Usage
from replay.errors import ModelUnavailable
from replay.gate import gate_without
from replay.pipeline import Engine, Outcome
from replay.prompting import PromptLimits
from replay.reuse import Question, Remembered
from tests.factories import UNSURE, make_bundle, make_generation, make_reply, make_task

COSTLY = {"usage": Usage(prompt_tokens=500, completion_tokens=30, cached_tokens=100), "generate_ms": 900.0}


class Scene:
    """Retriever, model and memory of one engine, all scripted."""

    def __init__(self, reply: str = make_reply(), corpus_version: str = "corpus_test") -> None:
        self.reply = reply
        self.corpus_version = corpus_version
        self.retrieved = 0
        self.generated = 0
        self.kept: dict[Question, Remembered] = {}
        self.engine = Engine(self, self, PromptLimits(), memory=self)

    def retrieve(self, task: ReplayTask) -> Bundle:
        """The same bundle for every task."""
        assert task.text
        self.retrieved += 1
        return make_bundle().model_copy(update={"corpus_version": self.corpus_version})

    def generate(self, tier: Tier, messages: list[dict[str, str]], schema: dict[str, object]) -> Generation:
        """The reply of the script."""
        assert tier in Tier
        assert messages
        assert schema
        self.generated += 1
        return make_generation(self.reply, **COSTLY)

    def recall(self, question: Question) -> Remembered | None:
        """What was kept."""
        return self.kept.get(question)

    def keep(self, question: Question, remembered: Remembered) -> None:
        """Keep it."""
        self.kept[question] = remembered

    def audit(self, task: ReplayTask) -> Outcome:
        """One local attempt, committed."""
        outcome = pipeline.audit_local(task, self.engine)
        if outcome.answered is not None:
            self.keep(*outcome.answered)
        return outcome


def _attempt(run: ReplayRun) -> Attempt:
    assert run.attempt is not None
    return run.attempt


def test_the_same_question_under_another_name_is_not_asked_again() -> None:
    """Retrieval and gate run as always; the words are those of the first attempt, and they cost nothing this time."""
    scene = Scene()
    first = scene.audit(make_task(custom_id="one")).run
    second = scene.audit(make_task(custom_id="two", batch_id="batch_other")).run
    assert (scene.generated, scene.retrieved) == (1, 2)
    assert (first.state, second.state) == (State.ACCEPTED, State.ACCEPTED)
    mine, source = _attempt(second), _attempt(first)
    assert mine.reused == Reused(run_id=first.run_id, attempt_id=source.attempt_id)
    assert (mine.answer, mine.verdict, mine.prompt_hash) == (source.answer, source.verdict, source.prompt_hash)
    assert mine.generation is not None
    assert source.generation is not None
    assert mine.generation.content == source.generation.content
    assert mine.generation.usage == Usage(prompt_tokens=0, completion_tokens=0, cached_tokens=0)
    assert (mine.generation.tries, mine.timings.generate_ms) == (0, 0.0)


def test_evidence_of_an_attempt_that_asked_says_nothing_of_reuse() -> None:
    """Records of attempts that were made have the bytes that they had before there was a memory."""
    wire = Scene().audit(make_task()).run.wire()
    assert "reused" not in wire["attempt"]
    assert "reuse" not in wire["task"]["options"]


def test_a_rejected_answer_is_reused_and_escalates_again() -> None:
    """A rejection is a verdict like any other: the second run goes to the large model as the first one did."""
    scene = Scene(UNSURE)
    first, second = scene.audit(make_task(custom_id="one")), scene.audit(make_task(custom_id="two"))
    assert scene.generated == 1
    assert second.run.state is State.ESCALATED
    assert first.escalation is not None
    assert second.escalation is not None
    assert second.escalation.reasons == first.escalation.reasons


def test_both_tiers_remember_apart() -> None:
    """An order that is the same again is answered from memory; the local answer is none of the large model's."""
    scene = Scene(UNSURE)
    orders = [scene.audit(make_task(custom_id=name)).escalation for name in ("one", "two")]
    scene.reply = make_reply()
    runs = []
    for order in orders:
        assert order is not None
        outcome = pipeline.audit_escalated(order, scene.engine)
        if outcome.answered is not None:
            scene.keep(*outcome.answered)
        runs.append(outcome.run)
    assert scene.generated == 2
    assert [run.state for run in runs] == [State.ACCEPTED, State.ACCEPTED]
    assert [_attempt(run).reused is None for run in runs] == [True, False]


@pytest.mark.parametrize(
    "task",
    [
        make_task("Verify that the visibility timeout of kombu's Redis channel is 5 minutes."),
        make_task(checklist=["the timeout"]),
        make_task(options={"repeat": 1}),
        make_task(options={"reuse": False}),
        make_task(options={"retrieval": False}),
    ],
    ids=["another text", "a checklist", "a repetition", "asked for anew", "the baseline"],
)
def test_what_is_no_same_question_is_asked(task: ReplayTask) -> None:
    """Nor does a repetition, a baseline or an answer that is wanted anew leave anything behind for others."""
    scene = Scene()
    scene.audit(make_task())
    outcome = scene.audit(task)
    assert scene.generated == 2
    assert _attempt(outcome.run).reused is None
    assert (outcome.answered is None) is not reuse.may_reuse(task)


def test_another_corpus_prompt_or_gate_is_another_question() -> None:
    """Each of them could change the answer or the verdict."""
    scene = Scene()
    scene.audit(make_task())
    scene.corpus_version = "corpus_next"
    scene.audit(make_task())
    scene.engine = dataclasses.replace(scene.engine, gate=gate_without("echo.other_subject"))
    scene.audit(make_task())
    assert (scene.generated, len(scene.kept)) == (3, 3)


def test_a_reply_that_did_not_arrive_whole_is_asked_for_again() -> None:
    """A cut or empty reply is a verdict, but one that may pass."""
    scene = Scene("")
    assert scene.audit(make_task(custom_id="one")).run.state is State.ESCALATED
    scene.reply = make_reply()
    assert scene.audit(make_task(custom_id="two")).run.state is State.ACCEPTED
    assert scene.generated == 2


def test_a_memory_that_lies_is_not_believed() -> None:
    """An answer that the gate sees otherwise than it did is dropped, and the model is asked."""
    scene = Scene()
    scene.audit(make_task(custom_id="one"))
    [(question, known)] = scene.kept.items()
    forged = known.generation.model_copy(update={"content": make_reply(line="L1", found="300")})
    scene.kept[question] = known.model_copy(update={"generation": forged})
    run = scene.audit(make_task(custom_id="two")).run
    assert (run.state, _attempt(run).reused, scene.generated) == (State.ACCEPTED, None, 2)


def test_a_fault_is_never_remembered() -> None:
    """Only verdicts are: a model that was down is asked when it is up."""

    class Down(Scene):
        def generate(self, tier: Tier, messages: list[dict[str, str]], schema: dict[str, object]) -> Generation:
            raise ModelUnavailable(f"{tier} is down: {len(messages)} messages, {len(schema)} fields")

    outcome = Down().audit(make_task())
    assert (outcome.run.state, outcome.answered) == (State.FAILED, None)
