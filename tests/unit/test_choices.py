"""Whether a bundle can be decided: what is offered, judged before anybody is asked."""

from __future__ import annotations

import json

import pytest

from replay import choices
from replay.gate import DEFAULT_GATE, judge
from tests.factories import make_task
from tests.pointing import shown, source

POOL = source("class Pool:\n    retries = 8\n    label = 'pool'", "net.pool.Pool")


@pytest.mark.parametrize(
    ("text", "decidable"),
    [
        ("Verify that the retries of Pool in net are 8.", True),
        ("Verify that the retries of Pool in net are 9.", True),
        ("Verify that the linger of Ring in hub is 9.", False),
        ("Verify that Pool is thread-safe.", False),
    ],
    ids=["confirmed", "refuted", "about another thing", "names no value"],
)
def test_a_bundle_is_decidable_where_the_gate_accepts_a_choice(text: str, decidable: bool) -> None:
    """Right or wrong: what counts is whether any answer could pass."""
    assert choices.is_decidable(make_task(text), shown(POOL), DEFAULT_GATE) is decidable


def test_where_no_line_is_offered_a_record_may_be_named() -> None:
    """The schema is free text then, and the gate accepts a citation of a whole record."""
    task, bundle = make_task("Verify that the retries of Pool in net are 8."), shown(POOL)
    assert choices.is_decidable(task, bundle.model_copy(update={"lines": ()}), DEFAULT_GATE)
    assert not choices.is_decidable(task, bundle.model_copy(update={"lines": (), "passages": ()}), DEFAULT_GATE)


def test_what_is_offered_is_what_the_schema_allows() -> None:
    """Each choice is a reply that the gate can read; no line but a shown one is among them."""
    task, bundle = make_task("Verify that the retries of Pool in net are 9."), shown(POOL)
    found = list(choices.offered(task, bundle))
    assert {finding["line"] for finding in found} <= {line.line_id for line in bundle.lines}
    for finding in found:
        reply = choices.chosen(task, finding)
        assert json.loads(reply.content)["findings"] == [finding]
        assert judge(task, bundle, reply, DEFAULT_GATE)[0] is not None


def test_a_checklist_does_not_make_a_bundle_undecidable() -> None:
    """The items are taken as passed: a model may answer them so."""
    task = make_task("Verify that the retries of Pool in net are 8.", checklist=("The class is named.",))
    assert choices.is_decidable(task, shown(POOL), DEFAULT_GATE)
