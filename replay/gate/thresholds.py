"""The numbers of the gate: each is a part of its version."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Where the rules draw their lines.

    Attributes:
        subject_coverage: Least share of the subject's weight that the cited spans cover, 0 to 1.
        named_coverage: The same where a cited line gives its value to the very name that the task spells out.
        rival_lead: By how much another line must cover the subject better to be a rival, in the same share.
        foreign_run: Words in a row that a claim adds and nothing backs, from which on the addition is refused.
        task_word: What a word counts in such a run that only the task says.
        replaced_words: Words of a claim that may stand for others of the source without being known synonyms.
        restated_share: Largest share of a claim's words that may come from the task alone.
        repeats: How often a run of words may stand in a claim.
        claim_chars: Longest claim, in characters; `value_chars` is the longest `found` or `expected`.
        answer_chars: Longest answer, all its texts together.
        findings: Most findings of an answer.
    """

    subject_coverage: float = 0.45
    named_coverage: float = 0.25
    rival_lead: float = 0.05
    foreign_run: float = 1.0
    task_word: float = 0.5
    replaced_words: int = 1
    restated_share: float = 0.5
    repeats: int = 2
    claim_chars: int = 2500
    value_chars: int = 160
    answer_chars: int = 24_000
    findings: int = 32
