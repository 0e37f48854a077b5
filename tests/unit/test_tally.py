"""What the records of a batch count as."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import meters
from broker.meters import Meters, Reading
from evidence.commit import Appended, Outcome
from evidence.format import prepare
from replay.contracts import ReplayRun, State, Tier
from replay.gate.registry import CODES
from tests.batches import make_run
from tests.factories import make_task
from workers import tally

RULE = min(CODES)


def _count(*records: dict[str, Any], outcome: Outcome = Outcome.APPENDED) -> Reading:
    counted = Meters()
    bodies = [prepare(record) for record in records]
    placed = [Appended(body.id, outcome, outcome is not Outcome.DUPLICATE, n, 0, 1) for n, body in enumerate(bodies)]
    tally.count(counted, bodies, placed, took_s=0.02, sync_s=0.01)
    client = fakeredis.FakeRedis()
    counted.flush(client)
    return meters.read(client)


def _wire(run: ReplayRun) -> dict[str, Any]:
    return run.wire()


def test_an_attempt_is_counted_by_tier_and_outcome() -> None:
    """Attempts, ends of runs, tokens, objections and times, each once."""
    read = _count(
        _wire(make_run(make_task(custom_id="a"), State.ESCALATED, rules=[RULE, RULE], seconds=2.0)),
        _wire(make_run(make_task(custom_id="a"), State.ACCEPTED, Tier.ESCALATION, seconds=40.0)),
        _wire(make_run(make_task(custom_id="b"), State.CANCELLED, None)),
    )
    assert read.counters[meters.ATTEMPTS] == {("local", "escalated"): 1, ("escalation", "accepted"): 1}
    assert read.counters[meters.RUNS] == {("accepted",): 1, ("cancelled",): 1}
    assert read.counters[meters.OBJECTIONS] == {("local", RULE): 1}
    assert read.value(meters.TOKENS, kind="prompt") == 200
    assert read.value(meters.TOKENS, kind="cached") == 80
    assert read.value(meters.REQUESTS) == 2
    assert read.histograms[meters.GENERATE][("escalation",)].total == pytest.approx(40)
    assert read.histograms[meters.BATCH][()].total == 3
    assert read.histograms[meters.SYNC][()].total == pytest.approx(0.01)


@pytest.mark.parametrize("outcome", [Outcome.DUPLICATE, Outcome.CONFLICT])
def test_what_the_log_had_already_is_no_attempt(outcome: Outcome) -> None:
    """A record that came twice counts as that, and as nothing else."""
    read = _count(_wire(make_run(make_task())), outcome=outcome)
    assert read.counters == {meters.RECORDS: {(outcome.value,): 1}}


def test_an_attempt_without_a_reply_is_a_fault() -> None:
    """The endpoint's failure is counted beside the attempt's end."""
    run = make_run(make_task(), State.FAILED)
    assert run.attempt is not None
    fault = run.attempt.model_copy(update={"generation": None, "answer": None, "verdict": None, "fault": "gone"})
    read = _count(_wire(run.model_copy(update={"attempt": fault})))
    assert read.counters[meters.FAULTS] == {("local",): 1}
    assert meters.GENERATE not in read.histograms


def test_an_attempt_that_asked_nobody_has_no_generation_time() -> None:
    """A reply that was used again is no request, and its time of nothing would hide that of the others."""
    record = _wire(make_run(make_task()))
    record["attempt"]["reused"] = {"run_id": "run_1", "attempt_id": "attempt_1"}
    read = _count(record)
    assert read.counters[meters.REUSED] == {("local",): 1}
    assert read.value(meters.ATTEMPTS) == 1
    assert read.value(meters.REQUESTS) == 0
    assert meters.GENERATE not in read.histograms


def test_made_up_names_are_no_new_time_series() -> None:
    """A tier, a state or a rule that is none of ours counts as `other`."""
    record = _wire(make_run(make_task(), rules=["invented.rule"]))
    record["attempt"]["tier"] = "invented"
    record["state"] = "invented"
    read = _count(record)
    assert read.counters[meters.ATTEMPTS] == {("other", "other"): 1}
    assert read.counters[meters.OBJECTIONS] == {("other", "other"): 1}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
places = st.sampled_from(
    ["state", "attempt", "attempt.tier", "attempt.generation", "attempt.generation.usage", "attempt.generation.tries",
     "attempt.generation.usage.prompt_tokens", "attempt.timings", "attempt.timings.generate_ms", "attempt.verdict",
     "attempt.verdict.reasons", "run_id"]
)  # fmt: skip


@given(place=places, value=json_values)
def test_whatever_stands_in_a_record_the_writer_goes_on(place: str, value: object) -> None:
    """Counting never fails: who can write to the stream could stop the evidence otherwise."""
    record = _wire(make_run(make_task(), rules=[RULE]))
    *path, last = place.split(".")
    inner = record
    for name in path:
        inner = inner[name]
    inner[last] = value
    body = prepare(make_run(make_task()).wire())._replace(record=record)
    placed = [Appended(record["id"], Outcome.APPENDED, True, 1, 0, 1)]
    tally.count(Meters(), [body], placed, took_s=0.0, sync_s=0.0)
