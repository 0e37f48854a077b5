"""Tallies over labelled cases."""

from __future__ import annotations

import pytest

from replay.study.scoring import OTHERS, Label, Scores, Scoring, Share, wilson


def scored(*cases: tuple[Label | None, bool]) -> Scores:
    """The scores of these labels and verdicts."""
    scoring = Scoring()
    for label, accepted in cases:
        scoring.add(label, accepted=accepted)
    return scoring.scores()


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(0, 44, 0.0, 0.0803), (44, 44, 0.9197, 1.0), (86, 86, 0.9572, 1.0), (0, 0, 0.0, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson(hits: int, count: int, low: float, high: float) -> None:
    """Others use this interval; 81 of 263 is the example of Newcombe's review (Statistics in Medicine 17, 1998)."""
    assert wilson(hits, count) == pytest.approx((low, high), abs=1e-4)


def test_each_class_has_its_recall_and_right_answers_their_false_rejects() -> None:
    """A case counts once: under what ought to become of it."""
    scores = scored(
        (Label(accept=False, mutation="number"), False),
        (Label(accept=False, mutation="number"), True),
        (Label(accept=False), False),
        (Label(accept=True), True),
        (Label(accept=True, mutation="reworded"), False),
        (None, True),
    )
    assert scores.recall == {"number": Share(1, 2), "unnamed": Share(1, 1)}
    assert scores.bad == Share(2, 3)
    assert (scores.false_rejects, scores.harmless) == (Share(1, 2), {"reworded": Share(1, 1)})
    assert (scores.cases, scores.accepted, scores.labelled, scores.wrong) == (6, 3, 5, 2)


def test_a_wrong_verdict_is_told_at_once() -> None:
    """So that a stream can name it; without a label nothing is wrong."""
    scoring = Scoring()
    assert scoring.add(Label(accept=True), accepted=False)
    assert scoring.add(Label(accept=False), accepted=True)
    assert not scoring.add(Label(accept=False), accepted=False)
    assert not scoring.add(None, accepted=False)


def test_endless_names_of_classes_share_one_tally() -> None:
    """Memory does not grow with a stream that names each case anew."""
    scores = scored(*((Label(accept=False, mutation=f"m{number}"), True) for number in range(300)))
    assert len(scores.recall) <= 257
    assert scores.recall[OTHERS] == Share(0, 300 - 256)
    assert scores.bad.of == 300


def test_nothing_counted_is_no_share() -> None:
    """Zero of zero is not zero per cent."""
    assert scored().wire()["false_rejects"] == {"hits": 0, "of": 0, "low": 0.0, "high": 1.0, "share": None}
