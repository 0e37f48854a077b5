"""An answer that was given before to the very same question, used again instead of asked for again.

The very same: task, checklist, corpus version, prompt to the last byte, gate, tier; whoever keeps the answers adds the
model, its endpoint and the sampling. Retrieval comes first and the gate comes after it, as always: only the generation
is saved. What a memory returns is not believed: it is judged by the gate like any reply, and where the verdict is not
the one that it had, the model is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import ConfigDict, Field

from replay import identity
from replay.contracts import Generation, Message, ReplayTask, Reused, Tier, Usage, Verdict


@dataclass(frozen=True)
class Question:
    """What is asked, as far as code can tell before it asks.

    Attributes:
        tier: Which lane asks.
        task_hash: Text and checklist.
        corpus_version: What was retrieved from.
        prompt_hash: Messages, schema and the version of their form.
        gate_version: Who will judge.
    """

    tier: Tier
    task_hash: str
    corpus_version: str | None
    prompt_hash: str
    gate_version: str


class Remembered(Message):
    """A generation and where it came from. `verdict_hash` is of the verdict that it had."""

    schema_: Literal["replay_reuse.v1"] = Field("replay_reuse.v1", alias="schema")
    source: Reused
    generation: Generation
    verdict_hash: str

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def again(self) -> Generation:
        """The same words, which cost nothing this time."""
        nothing = Usage(prompt_tokens=0, completion_tokens=0, cached_tokens=0)
        return self.generation.model_copy(update={"usage": nothing, "tries": 0, "generate_ms": 0.0})


class Memory(Protocol):
    """Keeps answers by their questions. It may forget at any time, and it never raises."""

    def recall(self, question: Question) -> Remembered | None:
        """The answer that was given to this question, if it is known."""
        ...

    def keep(self, question: Question, remembered: Remembered) -> None:
        """Remember an answer whose evidence is on its way."""
        ...


class NoMemory:
    """Asks every time: for studies, comparisons, and wherever there is no broker."""

    def recall(self, question: Question) -> None:  # noqa: ARG002  the interface's
        """Nothing is known."""
        return

    def keep(self, question: Question, remembered: Remembered) -> None:
        """Forget it."""


def may_reuse(task: ReplayTask) -> bool:
    """Is another answer than a new one any use? Not for a repetition, and not for the baseline, which measures."""
    return task.options.reuse and task.options.retrieval and task.options.repeat == 0


def remembered(source: Reused, generation: Generation, verdict: Verdict) -> Remembered | None:
    """What is worth remembering of an attempt; None where its reply did not arrive whole, which may pass."""
    if any(reason.rule.startswith("transport.") for reason in verdict.reasons):
        return None
    return Remembered(source=source, generation=generation, verdict_hash=hash_of(verdict))


def hash_of(verdict: Verdict) -> str:
    """Digest of a verdict: the gate is a pure function, so the same answer to the same question has the same one."""
    return identity.digest(verdict.wire())
