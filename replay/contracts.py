"""The messages that travel between processes and into the evidence: frozen, versioned, strict.

Read in order, they tell the life of a task: `ReplayTask` -> `Bundle` -> `Generation` -> `Answer` -> `Verdict` ->
`Attempt` -> `ReplayRun`. An unknown field is an error, so a message from a newer version is refused, not half-read.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_TASK_BYTES = 32 * 1024


class Message(BaseModel):
    """Base of every contract: immutable, and nothing unknown is let in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def wire(self) -> dict[str, Any]:
        """The JSON form, with aliases, as it is sent and stored."""
        return self.model_dump(mode="json", by_alias=True)


class Tier(StrEnum):
    """Which model lane makes an attempt."""

    LOCAL = "local"
    ESCALATION = "escalation"


class State(StrEnum):
    """Where a run stands after an attempt. All but `ESCALATED` end it."""

    ESCALATED = "escalated"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset(State) - {State.ESCALATED}


class Ruling(StrEnum):
    """What an answer says of the claim."""

    PASS = "pass"  # noqa: S105  a ruling, not a password
    FAIL = "fail"
    UNSURE = "unsure"


# --- what is asked ---------------------------------------------------------------------------------------------------

NonEmpty = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class TaskOptions(Message):
    """How one task is to be run."""

    allow_escalation: bool = Field(
        True, description="May the large model be asked when the gate rejects the local answer?"
    )
    retrieval: bool = Field(
        True, description="False is the marked baseline without any record; it never feeds the corpus."
    )
    repeat: int = Field(0, ge=0, description="Number of a deliberate repetition; part of the attempt's identity.")
    reuse: bool = Field(
        True,
        exclude_if=bool,
        description="May an answer that was given before to the very same question be used again?",
    )


class ReplayTask(Message):
    """One thing to audit, as it waits in a queue."""

    schema_: Literal["replay_task.v1"] = Field("replay_task.v1", alias="schema")
    run_id: str
    batch_id: str
    custom_id: str
    task_hash: str
    text: NonEmpty
    checklist: tuple[NonEmpty, ...] = ()
    tags: tuple[str, ...] = ()
    options: TaskOptions = TaskOptions()

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


# --- what retrieval gives --------------------------------------------------------------------------------------------


class RecordKind(StrEnum):
    """What a corpus record is good for."""

    EXEMPLAR = "exemplar"
    WARNING = "warning"
    NOTE = "note"
    SOURCE = "source"


class Record(Message):
    """One entry of the corpus. `path` is relative to its root; lines count from 1, both ends included."""

    record_id: str
    kind: RecordKind
    text: str
    title: str = ""
    path: str | None = None
    first_line: int | None = None
    last_line: int | None = None
    tags: tuple[str, ...] = ()
    origin: str = ""
    also: tuple[str, ...] = Field(
        (),
        exclude_if=lambda also: not also,
        description="ORIGIN/ID of near-duplicates that were merged into this record, the first 32 by name; of a source "
        "passage, ORIGIN/ID of the other sources that have it, all of them.",
    )


class Hit(Message):
    """A record that retrieval found, with the score that found it and the name of the scorer."""

    record: Record
    score: float
    scorer: str
    ranks: dict[str, int] = Field(
        default_factory=dict,
        exclude_if=lambda ranks: not ranks,
        description="Where rankings were fused: its rank in each that has it, from 1, by scorer or embedder.",
    )


class EvidenceLine(Message):
    """One numbered line shown to the model. `line_no` counts in the file, or in the record where there is no file."""

    line_id: str
    record_id: str
    line_no: int
    text: str
    score: float


class Bundle(Message):
    """Everything that retrieval gave one task, whole, so that an answer can be judged again years later.

    `playbook` and `passages` are in order of score, best first; `lines` is what the prompt shows, best first.
    """

    retrieval: bool = True
    corpus_version: str | None = None
    tokenizer: str = ""
    embedder: str = Field(
        "", exclude_if=lambda embedder: not embedder, description="Whose vectors were fused with the exact rankings."
    )
    playbook: tuple[Hit, ...] = ()
    exemplars: tuple[str, ...] = Field((), description="Record ids of at most 3 accepted exemplars.")
    warnings: tuple[str, ...] = Field((), description="Record ids of at most 2 warnings.")
    validation_steps: tuple[str, ...] = ()
    passages: tuple[Hit, ...] = ()
    lines: tuple[EvidenceLine, ...] = ()

    def records(self) -> dict[str, Record]:
        """Every record of the bundle by its id."""
        return {hit.record.record_id: hit.record for hit in (*self.playbook, *self.passages)}


# --- what a model gives ----------------------------------------------------------------------------------------------


class Usage(Message):
    """Tokens of one generation, as the server counted them; None where it does not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None


class Generation(Message):
    """One reply of a model, verbatim. `endpoint` carries no credentials."""

    model: str
    endpoint: str
    response_format: Literal["json_schema", "text"]
    content: str
    finish_reason: str | None
    reasoning: str = ""
    usage: Usage = Usage()
    tries: int = Field(1, description="HTTP requests that it took; transport faults are retried within bounds.")
    generate_ms: float = 0.0


class Cite(Message):
    """A pointer into the bundle. `quote` is resolved by code from the chosen line; None cites the whole record."""

    record_id: str
    quote: str | None = None
    line_id: str | None = None


class Finding(Message):
    """One thing that the answer says, and where it points."""

    claim: str = ""
    expected: str | None = None
    found: str | None = None
    cites: tuple[Cite, ...] = ()


class Check(Message):
    """The answer to one checklist item or validation step."""

    item: str
    result: Literal["pass", "fail", "unknown"]


class Answer(Message):
    """A model's reply in its stored form (`answer.v1`): parsed, line ids resolved to records and verbatim quotes."""

    format: Literal["answer.v1"] = "answer.v1"
    findings: tuple[Finding, ...] = ()
    checks: tuple[Check, ...] = ()
    verdict: Ruling
    proposals: tuple[str, ...] = Field((), description="Suggestions; exempt from the literal checks.")


# --- what code decides -----------------------------------------------------------------------------------------------


class Reason(Message):
    """Why a rule of the gate objects: a stable code, a sentence, the span that it is about and what was expected."""

    rule: str
    message: str
    span: str | None = None
    expectation: str | None = None


class ClaimAudit(Message):
    """How far one finding is backed by what it cites; measured on every answer, accepted or not. It decides nothing."""

    finding: int = Field(description="Place of the finding in the answer, from 0.")
    claim: str
    score: float = Field(description="Share of the claim that its cited spans back, 0 to 1.")
    backed_by: tuple[str, ...] = Field((), description="Ids of the cited records that back some of it.")
    unsupported: tuple[str, ...] = Field((), description="Spans of the claim that nothing cited backs.")
    scorer: str = Field(description="Name and version of what measured it.")


class Verdict(Message):
    """The gate's decision. `score` is the support of the findings in their cited spans, 0 to 1; it decides nothing."""

    gate_version: str
    accepted: bool
    score: float
    reasons: tuple[Reason, ...] = ()
    audit: tuple[ClaimAudit, ...] = Field((), description="One entry for each finding of the answer.")


class Timings(Message):
    """Where the time of an attempt went, in milliseconds."""

    retrieve_ms: float = 0.0
    generate_ms: float = 0.0
    gate_ms: float = 0.0


class Reused(Message):
    """The attempt whose generation an attempt has, because it asks the very same question; `replay.reuse`."""

    run_id: str
    attempt_id: str


class Attempt(Message):
    """One generation and its verdict. A fault instead of a generation is a transport failure, never a hard task.

    Where `reused` names another attempt, no model was asked: the generation is that one's, verbatim, but for its usage,
    tries and time, which are none here. It was judged anew.
    """

    attempt_id: str
    tier: Tier
    repeat: int
    prompt_hash: str
    generation: Generation | None = None
    answer: Answer | None = None
    verdict: Verdict | None = None
    fault: str | None = None
    timings: Timings = Timings()
    reused: Reused | None = Field(None, exclude_if=lambda reused: reused is None)


# --- what is kept ----------------------------------------------------------------------------------------------------


class ReplayRun(Message):
    """One line of evidence: an attempt with its whole context, or the end of a run that got no attempt."""

    schema_: Literal["replay_run.v1"] = Field("replay_run.v1", alias="schema")
    id: str = Field(description="Idempotency key: the attempt's id, or the run's id where there was no attempt.")
    run_id: str
    batch_id: str
    custom_id: str
    task_hash: str
    task: ReplayTask
    corpus_version: str | None
    bundle: Bundle
    attempt: Attempt | None
    state: State
    reason: str | None = Field(
        None, description="Why a run failed or was cancelled; rejections carry theirs in the verdict."
    )
    recorded_at: str = Field(description="UTC, ISO 8601; the clock of the worker, informative only.")

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class EscalationOrder(Message):
    """What the large model's lane needs: the task, the same bundle, and what the gate held against the local answer."""

    schema_: Literal["replay_escalation.v1"] = Field("replay_escalation.v1", alias="schema")
    task: ReplayTask
    bundle: Bundle
    reasons: tuple[Reason, ...]

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class DeadLetter(Message):
    """A message that could not be run: its bytes (base64, at most 64 KiB of them), where it lay and why."""

    schema_: Literal["replay_dead.v1"] = Field("replay_dead.v1", alias="schema")
    id: str
    queue: str
    cause: str
    payload_base64: str
    payload_bytes: int
    recorded_at: str

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
