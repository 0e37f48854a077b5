"""The mutation suite: right answers, the same with one fault, and the same in other words.

    for case in cases(list(splits.records("dev")), seed=1, per_class=60):
        print(json.dumps(case.wire()))

The gate is measured by it. Each line holds a task, a bundle, an answer, and whether the answer is right. The faults are
made without knowledge of the rules of the gate. `splits` says which text rules may be developed on, and which not.
"""

from replay.study.mutations.case import Gold, MutationCase
from replay.study.mutations.generate import cases
from replay.study.mutations.registry import FAULTS, PARAPHRASES
from replay.study.mutations.value_faults import VALUE_FAULTS, VALUE_PARAPHRASES
from replay.study.mutations.value_generate import value_cases
from replay.study.mutations.value_gold import Claim, claim_of

__all__ = [
    "FAULTS",
    "PARAPHRASES",
    "VALUE_FAULTS",
    "VALUE_PARAPHRASES",
    "Claim",
    "Gold",
    "MutationCase",
    "cases",
    "claim_of",
    "value_cases",
]
