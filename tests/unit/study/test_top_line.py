"""The arm without a model: the first choice of the schema, through the same pipeline and gate."""

from __future__ import annotations

import json

from replay.contracts import Bundle, ReplayTask, State
from replay.study import top_line
from tests.factories import make_bundle, make_task

FIRST = "visibility_timeout = 3600  # 1 hour\n"


class Fixed:
    """A retriever of one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        """Hold it."""
        self.bundle = bundle

    def retrieve(self, task: ReplayTask) -> Bundle:
        """Return it."""
        return self.bundle


def test_the_first_line_that_can_decide_is_taken_and_judged() -> None:
    """The reply points to it, and the gate accepts what it says; no model is named, and no token counted."""
    run = top_line.audit(make_task(checklist=["the visibility timeout"]), Fixed(make_bundle(FIRST)))
    attempt = run.attempt
    assert attempt is not None
    assert attempt.generation is not None
    assert (run.state, attempt.generation.model) == (State.ACCEPTED, top_line.NO_MODEL)
    assert json.loads(attempt.generation.content) == {
        "findings": [{"line": "L1", "found": "3600", "expected": "1 hour"}],
        "checks": {"C1": "pass"},
    }
    assert attempt.generation.usage.prompt_tokens is None


def test_without_a_line_that_can_decide_it_is_undecided() -> None:
    """Then the schema's only choice is none, which the gate does not accept; and nothing escalates."""
    run = top_line.audit(make_task(), Fixed(make_bundle("priority_cls = 'round_robin'\n")))
    assert run.state is State.REJECTED


def test_a_task_marked_as_baseline_is_retrieved_for_all_the_same() -> None:
    """Without retrieval this arm would be nothing."""
    run = top_line.audit(make_task(options={"retrieval": False}), Fixed(make_bundle(FIRST)))
    assert (run.bundle.retrieval, run.state) == (True, State.ACCEPTED)
