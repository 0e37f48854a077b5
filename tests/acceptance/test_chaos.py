"""The chaos suite, short: the whole system with processes under faults, and the proof from its files."""

from __future__ import annotations

import pytest

from chaos import report, story
from chaos.journal import Journal
from chaos.options import Options

pytestmark = pytest.mark.acceptance

SEED = 20


@pytest.mark.timeout(600)
def test_whatever_is_killed_frozen_or_cut_each_task_ends_once() -> None:
    """Three hundred tasks under a dozen faults of a fixed seed: none lost, none doubled, the chain holds."""
    outcome = story.tell(
        Options(
            seed=SEED, tasks=300, duration_s=16.0, every_s=1.3, visibility_timeout_s=5, escalation=1, stall_s=120.0
        ),
        echo=False,
    )
    journal = Journal(outcome.folder / "journal.txt", echo=False)
    assert outcome.passed, report.failure(outcome, journal.tail(60))
    assert outcome.ledger is not None
    assert sum(outcome.ledger.states.values()) == 300
    assert sum(outcome.faults.values()) >= 8
