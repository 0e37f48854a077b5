"""Prompt tokens that a model server need not compute, with and without our order of tasks.

The real small server, the prompts that the pipeline makes of real tasks, as many in flight as the server has slots, and
no answer but its first token: only the prompts matter here. What is counted is what the server says that it took from
its cache. Tokens, not seconds: they are the same on a busy machine.

A server keeps the last prompt of each slot, and the embedded one besides what fits into 512 MiB: about 70 of these
prompts. A few dozen tasks would all stay in that, in whatever order they come; 100,000 would not. So here it keeps the
slots' prompts alone, which stands for a batch that is larger than any cache.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count

import httpx

from benchmarks import corpora, rig
from benchmarks.registry import Metric, Run
from producer.ordering import in_task, ordered
from replay import prompting
from replay.contracts import ReplayTask
from replay.corpus import snapshot
from replay.corpus.retrieval import SnapshotRetriever
from replay.models.catalogue import find
from replay.models.files import is_ready
from replay.settings import EMBEDDED_LOCAL, Settings
from tests.factories import make_task

BATCH = "batch_bench"
_ASKS = re.compile(r"^(?:Verify|Audit|Confirm|Check)(?: that| whether)?")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Counted:
    """What the prompts of some tasks took."""

    tokens: int
    computed: int

    @property
    def saving(self) -> float:
        """Prompt tokens for each one that was computed; 1 where nothing is cached."""
        return self.tokens / self.computed


def measure(run: Run) -> Iterator[Metric]:
    """Diverse tasks and variants, each as submitted and in our order."""
    if not is_ready(find(EMBEDDED_LOCAL), Settings().cache_dir):
        print("prefix: left out, the model file is missing (replay models pull)")
        return
    bench = _Bench(run)
    asked = list(corpora.audit_lines())[: run.count(40, 8)]
    diverse = [make_task(line.task, custom_id=line.custom_id, checklist=line.checklist) for line in asked]
    # The file has tasks of one subject next to each other; people's files are not so kind.
    random.Random(1).shuffle(diverse)  # noqa: S311  an order, no secret
    few = diverse[: run.count(12, 4)]
    grouped = [variant for number in range(4) for variant in (_variant(task, number) for task in few)]
    what = f"{EMBEDDED_LOCAL}, {bench.slots} slots and as many requests in flight, corpus: {corpora.FULL}"
    counts = (
        "Prompt tokens for each one that the server computed, in the order of `producer.ordering`. Baseline: as "
        "submitted. 1 is a server without a prefix cache."
    )
    alone = "the slots' own prompts are all that it keeps"
    yield bench.metric(
        "prefix.prefill_saving",
        diverse,
        f"{len(diverse)} diverse audit tasks, shuffled; {what}; {alone}. {counts}",
        "value >= 1.3",
    )
    yield bench.metric(
        "prefix.prefill_saving_variants",
        grouped,
        f"{len(few)} audit tasks, each four times: as it is, in other words, with another value, and again, one "
        f"round after the other; {what}; {alone}. {counts}",
        "ratio >= 1.8",
    )


class _Bench:
    def __init__(self, run: Run) -> None:
        settings = Settings(data_dir=run.place("corpus"))
        self.slots = settings.local_slots
        self._run = run
        self._limits = prompting.PromptLimits(exemplars=settings.exemplars_shown)
        self._retriever = SnapshotRetriever(snapshot.write(corpora.full(), settings.corpus_dir), settings)
        self._numbers = count()

    def metric(self, name: str, tasks: Sequence[ReplayTask], how: str, reach: str) -> Metric:
        """Count both orders, each with a server of its own."""
        ours, submitted = self._count(list(ordered(tasks, in_task))), self._count(tasks)
        unit = "prompt tokens per computed one"
        return Metric(name, ours.saving, submitted.saving, unit, f"{how} {submitted.tokens} tokens.", reach)

    def _count(self, tasks: Sequence[ReplayTask]) -> Counted:
        folder = self._run.place(f"server-{next(self._numbers)}")
        with (
            rig.embedded_model(folder, EMBEDDED_LOCAL, slots=self.slots, cache_mib=0) as url,
            httpx.Client(timeout=rig.LIMIT_S, trust_env=False) as http,
            ThreadPoolExecutor(self.slots) as pool,
        ):
            usages = list(pool.map(lambda task: self._ask(http, url, task), tasks))
        return Counted(sum(tokens for tokens, _ in usages), sum(tokens - cached for tokens, cached in usages))

    def _ask(self, http: httpx.Client, url: str, task: ReplayTask) -> tuple[int, int]:
        prompt = prompting.build(task, self._retriever.retrieve(task), (), self._limits)
        reply = http.post(f"{url}/chat/completions", json={"messages": prompt.messages, "max_tokens": 1})
        usage = json.loads(reply.raise_for_status().content)["usage"]
        return usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]


def _variant(task: ReplayTask, number: int) -> ReplayTask:
    """As it is, in other words, with another value, and as it is once more."""
    text = task.text
    if number == 1:
        text = _ASKS.sub("Check once more whether", text)
    elif number == 2:
        doubled = _NUMBER.sub(lambda found: str(int(found.group()) * 2), text)
        text = doubled if doubled != text else f"{text.rstrip('.')}, as documented."
    return make_task(text, custom_id=f"{task.custom_id}-{number}", checklist=task.checklist, batch_id=BATCH)
