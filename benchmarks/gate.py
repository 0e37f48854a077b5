"""The gate on real bundles: each audit task once, in order, as a worker meets them."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator

from benchmarks import corpora
from benchmarks.registry import Metric, Run
from replay import answers, gate, prompting
from replay.contracts import Bundle, Generation, ReplayTask
from replay.corpus import snapshot
from replay.corpus.retrieval import SnapshotRetriever
from replay.prompting import PromptLimits
from replay.settings import Settings
from tests.factories import make_generation
from tests.scripted_model import instance_of


def measure(run: Run) -> Iterator[Metric]:
    """Time of a judgement, and of making the prompt that it judges the answer to."""
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
        "gate.p50_ms",
        statistics.median(judging) * 1000,
        statistics.median(prompting_) * 1000,
        "ms",
        f"Median of {len(judging)} judgements of {gate.GATE_VERSION}: the audit tasks, each once and in order, with "
        f"the first choice that the schema offers as the answer; corpus: {corpora.FULL}. "
        "Baseline: making the prompt of the same task.",
        "<= 2 ms",
    )


def _reply(task: ReplayTask, bundle: Bundle) -> Generation:
    return make_generation(json.dumps(instance_of(answers.schema(task, bundle))))
