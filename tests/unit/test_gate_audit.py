"""The auditor: a score and the unsupported spans of every finding, whatever the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import pytest

from replay.contracts import Answer, Bundle, Cite, Finding, Hit, Record, RecordKind, Ruling
from replay.errors import ConfigurationError
from replay.gate import judge, judge_answer, semantic
from tests.factories import make_bundle, make_generation, make_task

QUOTE = "The pool opens at most 8 sockets."
RECORD = Record(record_id="r0", kind=RecordKind.NOTE, text=f"net.Pool: {QUOTE}")
BUNDLE = Bundle(playbook=(Hit(record=RECORD, score=1.0, scorer="jaccard.v1"),))
TASK = make_task("Audit what is said of net.Pool")


def answered(*claims: str) -> Answer:
    """Findings on the one record."""
    cite = Cite(record_id="r0", quote=QUOTE)
    return Answer(findings=tuple(Finding(claim=claim, cites=(cite,)) for claim in claims), verdict=Ruling.PASS)


def test_a_backed_claim_scores_one_and_an_invented_span_is_named_as_it_stands() -> None:
    """Unsupported spans are substrings of the claim, so that a page can mark them."""
    backed, invented = judge_answer(
        TASK, BUNDLE, answered(QUOTE, "The pool opens at most 8 sockets with quadratic cost and Locks.")
    ).audit
    assert (backed.finding, backed.score, backed.unsupported, backed.backed_by) == (0, 1.0, (), ("r0",))
    assert invented.unsupported == ("quadratic cost and Locks",)
    assert invented.unsupported[0] in invented.claim
    assert 0 < invented.score < 1


def test_values_without_prose_are_audited_by_the_sentence_that_code_makes_of_them() -> None:
    """A finding of values claims that what was found stands in the cited line."""
    _, verdict = judge(make_task(), make_bundle(), make_generation())
    assert [(entry.claim, entry.score, entry.unsupported) for entry in verdict.audit] == [
        ("expected 1 hour; found 3600", 1.0, ())
    ]
    assert verdict.score == 1.0


def test_an_answer_that_could_not_be_read_has_no_audit() -> None:
    """There is nothing to audit in a reply that did not arrive."""
    assert judge(make_task(), make_bundle(), make_generation("{"))[1].audit == ()


class StandInScorer:
    """Stands in for a model: the share of the claim's words that the source holds, so that nothing is loaded."""

    name = "stand-in.v1"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def score(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        """Out of range on purpose for a claim that is all there."""
        self.asked += pairs
        return [2 * sum(word in source for word in claim.split()) / len(claim.split()) - 1 for source, claim in pairs]


def test_a_semantic_scorer_stands_beside_the_gate_and_under_its_own_name() -> None:
    """It sees source and claim, its number is kept between 0 and 1, and no verdict changes."""
    scorer = StandInScorer()
    entries = semantic.audit(TASK, BUNDLE, answered(QUOTE, "Nonsense altogether"), scorer)
    assert scorer.asked[0] == (QUOTE, QUOTE)
    assert [(entry.score, entry.scorer) for entry in entries] == [(1.0, "stand-in.v1"), (0.0, "stand-in.v1")]


def test_a_scorer_that_miscounts_is_refused() -> None:
    """Scores that cannot be told apart are not written into the evidence."""

    class Short(StandInScorer):
        def score(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
            return []

    with pytest.raises(ValueError, match="0 scores for 1 claims"):
        semantic.audit(TASK, BUNDLE, answered(QUOTE), Short())


@pytest.mark.skipif(find_spec("sentence_transformers") is not None, reason="the optional package is installed")
def test_the_loader_says_what_it_needs() -> None:
    """Without its optional package the loader ends as a mistake of configuration, with the way out."""
    with pytest.raises(ConfigurationError, match="sentence-transformers") as caught:
        semantic.load("/models/factcg")
    assert "pip install" in caught.value.hint
