"""One pass over the evidence: candidates, trials, reviews and the ledger of earlier admissions, without the bundles."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from replay.afterwards import Admission, Review
from replay.contracts import TERMINAL, ReplayRun
from replay.corpus.admission.candidates import Basis, Candidate, Unfit, candidate
from replay.corpus.admission.utility import Trial, trial


class Gathered:
    """What admission knows of the evidence. Of a run the first end counts, of several reviews the last.

    Args:
        chosen: Which runs are to be decided; the others only confirm, contradict and count.

    Attributes:
        candidates: By run, in the order of the log.
        by_record: The same by the ids of the records that they would be.
        chosen: The runs that are to be decided.
        trials: First attempts of the local model.
        reviews: By run.
        ledger: Earlier decisions about a record, oldest first.
        unfit: How many chosen ends of runs are no candidates, and why.
        unreadable: Records of a form that this version does not read.
    """

    def __init__(self, chosen: Callable[[ReplayRun], bool] = lambda _: True) -> None:
        self.candidates: dict[str, Candidate] = {}
        self.by_record: dict[str, Candidate] = {}
        self.chosen: set[str] = set()
        self.trials: list[Trial] = []
        self.reviews: dict[str, Review] = {}
        self.ledger: defaultdict[str, list[Admission]] = defaultdict(list)
        self.unfit: Counter[str] = Counter()
        self.unreadable = 0
        self._is_chosen = chosen
        self._ended: set[str] = set()

    def add(self, record: Mapping[str, Any]) -> None:
        """Take one record of the evidence, in the order of the log; what is none of these is left aside."""
        take = {"replay_run.v1": self._run, "replay_review.v1": self._review, "replay_admission.v1": self._admission}
        schema = record.get("schema")
        if schema in take:
            try:
                take[schema](record)
            except ValidationError:
                self.unreadable += 1

    def basis(self, found: Candidate) -> Basis:
        """Whose word a candidate is: a person's, where one accepted it; of a refused answer only if for the corpus."""
        said = self.reviews.get(found.run_id)
        if said is not None and said.decision == "accept" and (found.accepted or said.admit):
            return Basis.HUMAN
        return Basis(found.tier.value)

    def rejected(self, found: Candidate) -> bool:
        """Has a person said that the answer does not stand?"""
        said = self.reviews.get(found.run_id)
        return said is not None and said.decision == "reject"

    def _run(self, record: Mapping[str, Any]) -> None:
        run = ReplayRun.model_validate(record)
        if (tried := trial(run)) is not None:
            self.trials.append(tried)
        if run.state not in TERMINAL or run.run_id in self._ended:
            return
        self._ended.add(run.run_id)
        found = candidate(run)
        if self._is_chosen(run):
            self.chosen.add(run.run_id)
        if isinstance(found, Unfit):
            self.unfit[found.why] += run.run_id in self.chosen
        else:
            self.candidates[run.run_id] = found
            self.by_record[found.record_id] = found

    def _review(self, record: Mapping[str, Any]) -> None:
        said = Review.model_validate(record)
        self.reviews[said.run_id] = said

    def _admission(self, record: Mapping[str, Any]) -> None:
        decided = Admission.model_validate(record)
        self.ledger[decided.record_id].append(decided)
