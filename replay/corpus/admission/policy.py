"""What admission asks of an answer: thresholds as one value, so that each decision can be told with what it was by."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from replay.errors import InputError


@dataclass(frozen=True)
class Policy:
    """The thresholds of admission.

    Attributes:
        max_depth: How many answers a record may be away from the sources: 1 is one that was shown no admitted record.
        per_file: How many admitted records may rest on lines of one source file.
        confirming_closeness: How close the claim of a confirming run must be, 0 to 1; a run about another thing that
            merely cites the same line confirms nothing.
        barred_similarity: The least Jaccard similarity of tokens at which a claim counts as one of the barred texts.
        least_utility: Pass rate with a record, minus that without it, below which it is demoted.
        min_uses: How many tasks must have been shown a record, and as many comparable ones not, until its utility
            counts.
        stray_share: Of the tasks of other families than its own, the share from which on a record that is shown to them
            is demoted; it counts from 40 such tasks on.
        warnings: May what the large model failed at become a warning? Off, since a warning shows a small model a claim
            without its answer.
    """

    max_depth: int = 2
    per_file: int = 24
    confirming_closeness: float = 0.25
    barred_similarity: float = 0.6
    least_utility: float = -0.1
    min_uses: int = 6
    stray_share: float = 0.25
    warnings: bool = False

    def __post_init__(self) -> None:
        """Refuse thresholds that mean nothing.

        Raises:
            InputError: One of them is out of range.
        """
        where = "docs/admission.md tells what it is for."
        for name, least in (("max_depth", 1), ("per_file", 1), ("min_uses", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name.replace('_', '-')} must be {least} or more", hint=where)
        for name, least in (
            ("confirming_closeness", 0),
            ("barred_similarity", 0),
            ("stray_share", 0),
            ("least_utility", -1),
        ):
            if not least <= getattr(self, name) <= 1:
                raise InputError(f"{name.replace('_', '-')} must be from {least} to 1", hint=where)

    def wire(self) -> dict[str, float | int | bool]:
        """For the ledger."""
        return asdict(self)
