"""The runs behind `replay ab`: what evidence has of them already, and what is to be asked.

A question is named by everything that its answer depends on, so the same question finds its own evidence, and one that
differs in anything finds none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from pydantic import ValidationError

from evidence.reader import Entry, EvidenceReader
from evidence.row import ADMISSION_SCHEMA, REVIEW_SCHEMA
from producer import manifest
from producer.line import TaskLine
from producer.results import Result, result_of
from replay import identity, prompting
from replay.contracts import Bundle, ReplayRun, ReplayTask, State, Tier
from replay.models.routing import EMBEDDED, model_for, route
from replay.pipeline import Engine
from replay.settings import Settings
from replay.study import top_line
from replay.study.arms import Arm


@dataclass(frozen=True)
class Audited:
    """One task in one arm, with the evidence of it."""

    arm: Arm
    run: ReplayRun
    result: Result


@dataclass(frozen=True)
class Question:
    """What the model is to be asked, and what must stand in evidence to count as its answer."""

    arm: Arm
    task: ReplayTask
    model: str
    gate_version: str
    corpus_version: str | None
    prompt_hash: str

    def is_answered_by(self, run: ReplayRun) -> bool:
        """Was exactly this asked, and did the gate decide on the answer? A run that failed is no answer."""
        attempt = run.attempt
        return (
            run.state in {State.ACCEPTED, State.REJECTED}
            and attempt is not None
            and attempt.generation is not None
            and attempt.verdict is not None
            and (attempt.generation.model, attempt.verdict.gate_version) == (self.model, self.gate_version)
            and (run.corpus_version, attempt.prompt_hash) == (self.corpus_version, self.prompt_hash)
        )


@dataclass(frozen=True)
class Plan:
    """What is known at once, from evidence or without a model, and what is to be asked."""

    known: tuple[Audited, ...]
    from_evidence: int
    questions: tuple[Question, ...]


def plan(lines: Sequence[TaskLine], arms: Sequence[Arm], settings: Settings, engine: Engine, *, again: bool) -> Plan:
    """Look up every task in every arm, all arms of a task together; judge those that need no model.

    Args:
        lines: The tasks.
        arms: The arms.
        settings: Where evidence lies, and what is asked.
        engine: Retrieval, limits of the prompt, and gate.
        again: Ask also what evidence answers.

    Raises:
        CorpusError: As the retriever.
        EvidenceDamaged: A record is not what was written.
    """
    reader = EvidenceReader(settings.evidence_log)
    known: list[Audited] = []
    questions: list[Question] = []
    for line in lines:
        for arm in arms:
            if not arm.asks_model:
                task = _task(line, arm)
                known.append(audited(arm, task, top_line.audit(task, engine.retriever, engine.gate)))
                continue
            question, run = _look(line, arm, settings, engine, reader, again=again)
            if run is None:
                questions.append(question)
            else:
                known.append(audited(arm, question.task, run))
    return Plan(tuple(known), sum(one.arm.asks_model for one in known), tuple(questions))


def _look(
    line: TaskLine, arm: Arm, settings: Settings, engine: Engine, reader: EvidenceReader, *, again: bool
) -> tuple[Question, ReplayRun | None]:
    """The question, named as none in evidence is, and the latest evidence that answers it."""
    draft = _task(line, arm)
    bundle = engine.retriever.retrieve(draft) if draft.options.retrieval else Bundle(retrieval=False)
    prompt = prompting.build(draft, bundle, (), engine.prompt)
    model = model_for(Tier.LOCAL, settings)
    endpoint = route(model, Tier.LOCAL, settings)
    asked = {
        "model": model,
        "endpoint": EMBEDDED if endpoint.name == EMBEDDED else endpoint.base_url,
        "sampling": [settings.temperature, settings.max_tokens, settings.seed],
        "corpus": bundle.corpus_version,
        "gate": engine.gate.version,
        "prompt": prompt.hash,
    }
    answer = None
    for number in count():
        task = _task(line, arm, identity.digest({**asked, "try": number}))
        question = Question(arm, task, model, engine.gate.version, bundle.corpus_version, prompt.hash)
        # What a person said of it afterwards makes it no other answer, nor does its admission to the corpus.
        said = (REVIEW_SCHEMA, ADMISSION_SCHEMA)
        entries = [entry for entry in reader.run(task.run_id) if entry.record["schema"] not in said]
        if not entries:
            return question, answer
        if not again and (run := _readable(entries[-1])) is not None and question.is_answered_by(run):
            answer = run
    raise AssertionError("counting does not end")


def _readable(entry: Entry) -> ReplayRun | None:
    """None for what another version wrote, and for a contradiction: neither is an answer."""
    try:
        return ReplayRun.model_validate(entry.record)
    except ValidationError:
        return None


def _task(line: TaskLine, arm: Arm, nonce: str = "") -> ReplayTask:
    """A task in an arm. One model is compared, so it never escalates."""
    options = line.options.model_copy(update={"allow_escalation": False, "retrieval": arm is not Arm.WITHOUT})
    alone = [line.model_copy(update={"options": options})]
    return manifest.plan(alone, source="replay ab", corpus_version=None, created_at="", nonce=nonce).tasks[0]


def audited(arm: Arm, task: ReplayTask, run: ReplayRun) -> Audited:
    """Join a task and its evidence."""
    result = result_of(task, [run])
    # What asks no model is no evidence, so there is nothing to look up under its id.
    return Audited(arm, run, result if arm.asks_model else replace(result, run_id=""))
