"""The pipeline: one task through retrieve, generate, gate and step, with a scripted generator."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replay import identity, pipeline, policy, prompting
from replay.contracts import Bundle, Generation, Reason, ReplayTask, State, Tier
from replay.errors import ModelRefused, ModelUnavailable
from replay.prompting import PromptLimits
from tests.factories import UNSURE, make_bundle, make_generation, make_reply, make_task


class FixedRetriever:
    """Gives one bundle, and counts how often it was asked."""

    def __init__(self) -> None:
        """Start at no calls."""
        self.calls = 0
        self.bundle = make_bundle()

    def retrieve(self, task: ReplayTask) -> Bundle:
        """Return the bundle."""
        self.calls += 1
        return self.bundle


class ScriptedGenerator:
    """Gives replies, or raises, in order, and keeps what it was asked."""

    def __init__(self, *script: str | Exception) -> None:
        """Take the script."""
        self.script = list(script)
        self.asked: list[tuple[Tier, list[dict[str, str]]]] = []

    def generate(self, tier: Tier, messages: list[dict[str, str]], schema: dict[str, object]) -> Generation:
        """Play the next entry."""
        self.asked.append((tier, messages))
        entry = self.script.pop(0)
        if isinstance(entry, Exception):
            raise entry
        return make_generation(entry)


def engine(*script: str | Exception) -> tuple[pipeline.Engine, FixedRetriever, ScriptedGenerator]:
    """An engine over fixed retrieval and a scripted model."""
    retriever, generator = FixedRetriever(), ScriptedGenerator(*script)
    return pipeline.Engine(retriever, generator, PromptLimits()), retriever, generator


def test_an_accepted_answer_is_terminal_evidence_with_everything_in_it() -> None:
    """The evidence of an accepted attempt carries bundle, answer, verdict, usage and the derived ids."""
    task = make_task()
    outcome = pipeline.audit_local(task, engine(make_reply())[0])
    run = outcome.run
    assert (run.state, outcome.escalation) == (State.ACCEPTED, None)
    assert run.id == identity.attempt_id(task.run_id, "local", 0)
    assert run.corpus_version == "corpus_test"
    assert run.bundle == make_bundle()
    assert run.attempt is not None
    assert run.attempt.answer is not None
    assert run.attempt.answer.findings[0].cites[0].quote == "visibility_timeout = 3600  # 1 hour"
    assert run.attempt.verdict is not None
    assert run.attempt.verdict.accepted


def test_a_rejected_local_answer_orders_an_escalation_of_the_same_bundle_with_the_reasons() -> None:
    """The large model gets the bundle as it was and is told what the gate held against the first answer."""
    local, _, _ = engine(UNSURE)
    outcome = pipeline.audit_local(make_task(), local)
    assert outcome.run.state is State.ESCALATED
    assert outcome.escalation is not None
    assert outcome.escalation.bundle == outcome.run.bundle

    large, retriever, generator = engine(make_reply())
    second = pipeline.audit_escalated(outcome.escalation, large)
    assert second.run.state is State.ACCEPTED
    assert retriever.calls == 0
    assert "the answer is unsure" in generator.asked[0][1][-1]["content"]
    assert second.run.id != outcome.run.id
    assert second.run.run_id == outcome.run.run_id


def undecidable() -> tuple[pipeline.Engine, FixedRetriever, ScriptedGenerator]:
    """An engine that retrieves lines of which none is about the task."""
    made, retriever, generator = engine(UNSURE)
    lines = tuple(line.model_copy(update={"text": "def close(self): ..."}) for line in make_bundle().lines)
    retriever.bundle = make_bundle().model_copy(update={"lines": lines})
    return made, retriever, generator


def test_what_no_answer_can_decide_is_not_escalated() -> None:
    """Where the gate would accept no choice over the bundle, the run ends rejected, and says why nobody was asked."""
    outcome = pipeline.audit_local(make_task(), undecidable()[0])
    assert (outcome.run.state, outcome.escalation, outcome.run.reason) == (State.REJECTED, None, policy.UNDECIDABLE)


def test_who_wants_a_large_models_word_anyway_gets_it() -> None:
    """With `ask_anyway` the order is made as ever."""
    outcome = pipeline.audit_local(make_task(), replace(undecidable()[0], ask_anyway=True))
    assert outcome.run.state is State.ESCALATED
    assert outcome.escalation is not None


@pytest.mark.parametrize("options", [{"allow_escalation": False}, {"retrieval": False}])
def test_a_local_only_task_and_a_baseline_end_rejected(options: dict[str, bool]) -> None:
    """Where escalation is not allowed, and always without retrieval, a rejection is the end."""
    outcome = pipeline.audit_local(make_task(options=options), engine(UNSURE)[0])
    assert (outcome.run.state, outcome.escalation) == (State.REJECTED, None)


def test_the_baseline_is_marked_and_never_retrieves() -> None:
    """`retrieval: false` leaves an empty bundle that says so."""
    made, retriever, _ = engine(make_reply(line="kombu/redis.py:12"))
    outcome = pipeline.audit_local(make_task(options={"retrieval": False}), made)
    assert retriever.calls == 0
    assert outcome.run.bundle == Bundle(retrieval=False)
    assert outcome.run.attempt is not None
    assert outcome.run.attempt.verdict is not None
    assert {r.rule for r in outcome.run.attempt.verdict.reasons} == {"citations.unknown_record"}


def test_a_rejected_escalation_is_terminal() -> None:
    """There is no third tier."""
    order = pipeline.audit_local(make_task(), engine(UNSURE)[0]).escalation
    assert order is not None
    assert pipeline.audit_escalated(order, engine(UNSURE)[0]).run.state is State.REJECTED


@pytest.mark.parametrize(
    "fault", [ModelUnavailable("no answer from http://127.0.0.1:1"), ModelRefused("404 no such model")]
)
def test_a_transport_fault_fails_the_run_and_never_escalates(fault: Exception) -> None:
    """A fault is recorded with its cause and no verdict; it is not a hard task."""
    outcome = pipeline.audit_local(make_task(), engine(fault)[0])
    assert (outcome.run.state, outcome.escalation) == (State.FAILED, None)
    assert outcome.run.attempt is not None
    assert outcome.run.attempt.verdict is None
    assert str(fault) in (outcome.run.reason or "")


def test_the_end_of_a_run_without_attempt_is_evidence_too() -> None:
    """Poison and cancelled runs are recorded under the run's own id, with the reason."""
    task = make_task()
    run = pipeline.end_without_attempt(task, State.CANCELLED, "batch cancelled")
    assert (run.id, run.state, run.reason, run.attempt) == (task.run_id, State.CANCELLED, "batch cancelled", None)


def test_reasons_reach_the_prompt_hash() -> None:
    """Two different prompts have two hashes; the same prompt has one."""
    task, bundle, limits = make_task(), make_bundle(), PromptLimits()
    plain = prompting.build(task, bundle, (), limits)
    again = prompting.build(task, bundle, (), limits)
    told = prompting.build(task, bundle, (Reason(rule="x", message="y"),), limits)
    assert plain.hash == again.hash != told.hash
