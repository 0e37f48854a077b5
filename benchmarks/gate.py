"""The gate: what it catches and what it refuses wrongly on text that nobody tuned it on, and how long it takes."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator

from benchmarks import corpora
from benchmarks.registry import Metric, Run
from replay import answers, gate, identity, prompting
from replay.contracts import Bundle, Generation, ReplayTask
from replay.corpus import snapshot
from replay.corpus.retrieval import SnapshotRetriever
from replay.prompting import PromptLimits
from replay.settings import Settings
from replay.study.mutations import MutationCase, cases, splits
from replay.study.scoring import Label, Scoring
from tests.factories import make_generation
from tests.scripted_model import instance_of

SEED = 20261124
LONG_WORDS = 250
"""Answers of at least so many words count as long; they have about 350."""


def measure(run: Run) -> Iterator[Metric]:
    """Recall, false rejects and time on the held-out suite; time on answers that point at lines."""
    yield from _suite(run)
    yield from _pointing(run)


def _suite(run: Run) -> Iterator[Metric]:
    per_class = run.count(100, 10)
    scoring = Scoring()
    long: list[float] = []
    short: list[float] = []
    for case in cases(list(splits.records("heldout")), seed=SEED, per_class=per_class):
        task = _task(case)
        began = time.perf_counter()
        verdict = gate.judge_answer(task, case.bundle, case.output)
        took = (time.perf_counter() - began) * 1000
        (long if _words(case) >= LONG_WORDS else short).append(took)
        scoring.add(Label(case.accept, case.mutation or case.paraphrase), accepted=verdict.accepted)
    scores = scoring.scores()
    worst, share = min(scores.recall.items(), key=lambda named: named[1].value)
    low, high = share.interval
    what = f"{gate.GATE_VERSION}, the held-out mutation suite, seed {SEED}, {per_class} cases of each class"
    yield Metric(
        "gate.min_recall",
        share.value,
        scores.bad.value,
        "share",
        f"Share of faults refused in the class where it is least ({worst}; 95 %: {low:.3f} to {high:.3f}). {what}. "
        "Baseline: all classes together.",
        ">= 0.95",
    )
    low, high = scores.false_rejects.interval
    named = ", ".join(f"{name} {part.hits}/{part.of}" for name, part in scores.harmless.items())
    yield Metric(
        "gate.false_reject",
        scores.false_rejects.value,
        0.02,
        "share",
        f"Share of right answers refused (95 %: {low:.3f} to {high:.3f}; {named}). {what}. Baseline: the bound.",
        "<= 0.02",
    )
    yield Metric(
        "gate.p50_ms",
        statistics.median(long),
        statistics.median(short),
        "ms",
        f"Median of {len(long)} judgements of prose answers of {LONG_WORDS} words or more over 8 records. "
        f"Baseline: the {len(short)} shorter answers of the suite.",
        "<= 2 ms",
    )
    yield Metric(
        "gate.p99_ms",
        statistics.quantiles(long, n=100)[98],
        statistics.quantiles(short, n=100)[98],
        "ms",
        "The same, 99th percentile.",
        "<= 10 ms",
    )


def _pointing(run: Run) -> Iterator[Metric]:
    settings = Settings()
    retriever = SnapshotRetriever(snapshot.write(corpora.full(), run.place("corpus")), settings)
    limits = PromptLimits(exemplars=settings.exemplars_shown)
    judging, prompting_ = [], []
    for task in corpora.audit_tasks(len(corpora.audit_lines()), "batch_bench"):
        bundle = retriever.retrieve(task)
        began = time.perf_counter()
        prompting.build(task, bundle, (), limits)
        prompting_.append(time.perf_counter() - began)
        reply = _reply(task, bundle)
        began = time.perf_counter()
        gate.judge(task, bundle, reply)
        judging.append(time.perf_counter() - began)
    yield Metric(
        "gate.pointing.p50_ms",
        statistics.median(judging) * 1000,
        statistics.median(prompting_) * 1000,
        "ms",
        f"Median of {len(judging)} judgements of {gate.GATE_VERSION}: the audit tasks, each once and in order, with "
        f"the first choice that the schema offers as the answer; corpus: {corpora.FULL}. "
        "Baseline: making the prompt of the same task.",
        "",
    )


def _task(case: MutationCase) -> ReplayTask:
    hashed = identity.task_hash(case.task, case.checklist)
    return ReplayTask(
        run_id="run_bench",
        batch_id="batch_bench",
        custom_id=case.case_id,
        task_hash=hashed,
        text=case.task,
        checklist=case.checklist,
    )


def _words(case: MutationCase) -> int:
    return sum(len(finding.claim.split()) for finding in case.output.findings)


def _reply(task: ReplayTask, bundle: Bundle) -> Generation:
    return make_generation(json.dumps(instance_of(answers.schema(task, bundle))))
