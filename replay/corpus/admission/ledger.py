"""The ledger: each decision that changes the corpus is a record of the evidence, once."""

from __future__ import annotations

from collections.abc import Iterator

from replay import identity
from replay.afterwards import Admission
from replay.corpus.admission.decision import CHANGING, Plan
from replay.corpus.admission.gathering import Gathered
from replay.corpus.admission.policy import Policy


def entries(plan: Plan, known: Gathered, policy: Policy, *, version: str, who: str, at: str) -> Iterator[Admission]:
    """What the evidence does not know yet of a plan.

    An entry's id follows from the record, the decision and how many entries the record has, so a decision that is made
    again, because the command was killed before it published, is not written again.

    Args:
        plan: What was decided.
        known: The evidence that it was decided by.
        policy: The thresholds that it was decided by.
        version: The corpus version that it was decided upon.
        who: Who ran the command.
        at: When, UTC in ISO 8601.
    """
    for decision in plan.decisions:
        if decision.outcome not in CHANGING:
            continue
        before = known.ledger.get(decision.record_id, [])
        if before and before[-1].decision == decision.outcome:
            continue
        found = decision.candidate
        key = {"record": decision.record_id, "decision": decision.outcome.value, "before": len(before)}
        yield Admission.model_validate(
            {
                "id": "adm_" + identity.digest(key)[7:31],
                "decision": decision.outcome.value,
                "reason": decision.reason.value,
                "why": decision.why,
                "record_id": decision.record_id,
                "run_id": found.run_id,
                "batch_id": found.batch_id,
                "custom_id": found.custom_id,
                "claim": found.claim,
                "basis": decision.basis,
                "depth": found.depth,
                "other_id": decision.other_id,
                "confirmed_by": decision.confirmed_by,
                "utility": decision.utility,
                "corpus_version": version,
                "policy": policy.wire(),
                "who": who,
                "recorded_at": at,
            }
        )
