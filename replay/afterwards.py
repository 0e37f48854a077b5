"""What is said of runs after their end: by people in reviews, and by the admission of their answers to the corpus.

Frozen and versioned as `replay.contracts` is; each is a record of the evidence, ends no run and changes none.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from replay.contracts import Message, NonEmpty, Ruling


class Review(Message):
    """What a person says of an ended run. It ends nothing and changes nothing; of several the latest counts.

    `record_id` and `record_hash` name the line of evidence that the person was shown, so that what was judged is known.
    """

    schema_: Literal["replay_review.v1"] = Field("replay_review.v1", alias="schema")
    id: str
    run_id: str
    batch_id: str
    custom_id: str
    record_id: str
    record_hash: str = Field(description="The hash of that line in the chain.")
    who: str = Field(description="The person, as the command or the dashboard knows them.")
    decision: Literal["accept", "reject"] = Field(description="Does the answer stand, whatever the gate said of it?")
    verdict: Ruling | None = Field(None, description="The right verdict, where the person says it.")
    note: NonEmpty
    admit: bool = Field(False, description="May the answer become an exemplar of the corpus?")
    recorded_at: str

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class UtilityCounts(Message):
    """How tasks went that were shown a record, and comparable ones that were not."""

    uses: int
    passed: int
    baseline_uses: int
    baseline_passed: int
    among: Literal["tasks", "families", "all"] = Field(
        description="What makes them comparable: the same tasks, tasks of the same families, or nothing."
    )


class Admission(Message):
    """A decision that changed what the corpus holds of the evidence. It ends no run; the latest of a record counts."""

    schema_: Literal["replay_admission.v1"] = Field("replay_admission.v1", alias="schema")
    id: str
    decision: Literal["admitted", "credited", "withdrawn", "demoted"]
    reason: str = Field(description="A stable code.")
    why: str = Field(description="The same in words.")
    record_id: str
    run_id: str = Field(description="The run that the record was made of.")
    batch_id: str
    custom_id: str
    claim: str
    basis: Literal["human", "escalation", "local"] = Field(description="Whose word the record is.")
    depth: int = Field(description="How many answers the record is away from the sources and from what people wrote.")
    other_id: str | None = Field(None, description="The record that is credited, or that it contradicts.")
    confirmed_by: str | None = Field(None, description="The run that says the same of the same line.")
    utility: UtilityCounts | None = None
    corpus_version: str = Field(description="The version that was decided upon.")
    policy: dict[str, float | int | bool]
    who: str
    recorded_at: str

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
