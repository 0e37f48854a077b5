"""Rates and budgets, over the fake and the real server; what needs another time than now, over the fake alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry

from broker import lanes
from broker.breaker import SharedBreaker
from broker.lanes import LaneState
from broker.limits import bounds, budget, rates
from broker.limits.admission import SharedLimiter
from broker.limits.bounds import Period
from broker.limits.budget import Part
from broker.limits.rates import PATIENT_S
from broker.limits.recount import recount
from broker.limits.snapshot import LaneSnapshot, snapshot_of
from broker.signing import UNSIGNED
from evidence.log import EvidenceLog
from producer.scheduler import Rounds
from replay.contracts import Attempt, State, Tier, Timings, Usage
from replay.errors import ConfigurationError
from replay.models.breaker import EndpointPaused, Target
from replay.models.faults import Refused, Transient
from replay.models.limits import Estimate, Limited
from replay.models.replies import Reply
from replay.models.routing import Endpoint
from replay.pipeline import end_without_attempt
from replay.settings import Settings
from tests.factories import make_generation, make_task

ESCALATION = Tier.ESCALATION
TARGET = Target("m", Endpoint("http://model.example/v1"))
ESTIMATE = Estimate(100, 300)


@pytest.fixture(params=["fake", "valkey"])
def client(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """A client of either server, empty."""
    if request.param == "valkey":
        yield request.getfixturevalue("valkey")
        return
    yield from _fake()


@pytest.fixture
def fake() -> Iterator[redis.Redis]:
    """A client of the fake server."""
    yield from _fake()


def _fake() -> Iterator[redis.Redis]:
    made = fakeredis.FakeRedis(protocol=2)
    # It knows no read-only scripts.
    made.eval_ro = made.eval  # type: ignore[method-assign]
    yield made
    made.close()


class Clock:
    """The time of the fake server, and of whoever waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_800_000_000.0
        monkeypatch.setattr(time, "time", lambda: self.now)

    def sleep(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds


def _settings(**limits: Any) -> Settings:
    named = {name if name.startswith("escalation") else f"escalation_{name}": value for name, value in limits.items()}
    return Settings(base_url="http://model.example/v1", local_model="s", escalation_model="m", **named)


def _never(_: float) -> None:
    raise AssertionError("nobody waits here")


def _limiter(client: redis.Redis, sleep: Callable[[float], object] = _never, **limits: Any) -> SharedLimiter:
    return SharedLimiter(client, _settings(**limits), sleep=sleep)


def _reply(read: int | None = 90, written: int | None = 10) -> Reply:
    return Reply("", "", "stop", Usage(prompt_tokens=read, completion_tokens=written))


def _ask(limiter: SharedLimiter, answer: Reply | Exception | None = None, size: Estimate = ESTIMATE) -> None:
    def request() -> Reply:
        if isinstance(answer, Exception):
            raise answer
        return answer or _reply()

    with limiter.admitted(ESCALATION, TARGET, size) as call:
        call.make(request)


def _seen(client: redis.Redis, **limits: Any) -> LaneSnapshot:
    return snapshot_of(client, lanes.door(ESCALATION, _settings(**limits)))


def _spent(client: redis.Redis) -> tuple[float, float, float]:
    found = _seen(client, prices="1/2").budget
    return found.calls.used, found.tokens.used, found.money.used


# --- rates ----------------------------------------------------------------------------------------------------------


def test_no_more_requests_in_a_minute_than_may_be(client: redis.Redis) -> None:
    """By whichever worker; the lane says until when it waits, and another model goes on."""
    limits: dict[str, Any] = {"requests_per_minute": 2}
    for _ in range(2):
        _ask(_limiter(client, **limits))
    with pytest.raises(Limited, match="the limit of 2 requests a minute") as limited:
        _ask(_limiter(client, **limits))
    assert limited.value.asked_to_wait
    found = _seen(client, **limits)
    assert (found.status.state, found.status.reason) == (LaneState.LIMITED, "the limit of 2 requests a minute")
    assert str(found.status).startswith(f"limited until {found.status.until}: ")
    assert 0 < (found.status.seconds or 0) <= 61 - PATIENT_S
    assert (found.rates[0].requests.used, found.rates[0].requests.limit) == (2, 2)
    other = Target("n", TARGET.endpoint)
    with _limiter(client, **limits).admitted(ESCALATION, other, ESTIMATE) as call:
        call.make(_reply)
    assert lanes.look(client, lanes.door(ESCALATION, _settings())).state is LaneState.OPEN


def test_tokens_are_estimated_before_and_known_after(client: redis.Redis) -> None:
    """While a call is in work its estimate counts, afterwards what it used; what it did not use is there for others."""
    limiter = _limiter(client, tokens_per_minute=700)
    with limiter.admitted(ESCALATION, TARGET, ESTIMATE) as call:
        with pytest.raises(Limited, match="the limit of 700 tokens a minute; the next request may take 400"):
            _ask(limiter)
        assert _seen(client, tokens_per_minute=700).status.state is LaneState.LIMITED
        call.make(_reply)
    assert _seen(client, tokens_per_minute=700).status.state is LaneState.OPEN
    assert _seen(client).rates[0].tokens.used == 100
    _ask(limiter)


def test_a_request_larger_than_the_limit_goes_alone(client: redis.Redis) -> None:
    """Else it would never go."""
    limiter = _limiter(client, tokens_per_minute=50)
    _ask(limiter, _reply(90, 310))
    with pytest.raises(Limited):
        _ask(limiter)


def test_a_turn_that_is_near_is_waited_for(fake: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the worker, for at most five seconds; who comes later has a later turn."""
    clock = Clock(monkeypatch)
    waited: list[float] = []
    limiter = _limiter(fake, waited.append, requests_per_minute=2)
    for pause in (0, 1, 56, 0):
        clock.now += pause
        _ask(limiter)
    # Nobody's clock goes on while they wait here: the places are given a minute and a second after those before.
    assert waited == [pytest.approx(4), pytest.approx(5)]
    with pytest.raises(Limited):
        _ask(limiter)
    assert _seen(fake, requests_per_minute=2).rates[0].requests.used == 2


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.floats(0, 12), st.integers(1, 200), st.integers(0, 200)), min_size=5, max_size=60),
    per_minute=st.integers(1, 6),
    tokens=st.integers(200, 600),
)
def test_no_minute_has_more_than_its_limit(
    fake: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    steps: list[tuple[float, int, int]],
    per_minute: int,
    tokens: int,
) -> None:
    """Wherever it begins, and whatever requests use of their estimate; a place that is free is given."""
    fake.flushall()
    with monkeypatch.context() as patch:
        clock = Clock(patch)
        limiter = _limiter(fake, clock.sleep, requests_per_minute=per_minute, tokens_per_minute=tokens)
        made: list[tuple[float, int]] = []
        for pause, estimated, used in steps:
            clock.now += pause
            size = min(used, estimated)
            recent = [one for one in made if one[0] > clock.now - 61]
            fits = len(recent) < per_minute and sum(n for _, n in recent) + estimated <= tokens
            try:
                with limiter.admitted(ESCALATION, TARGET, Estimate(estimated, 0)) as call:
                    call.make(lambda size=size: _reply(size, 0))  # type: ignore[misc]  # bound at once
                    made.append((clock.now, size))
            except Limited:
                assert not fits
        for began, _ in made:
            within = [n for at, n in made if began <= at < began + 60]
            assert len(within) <= per_minute
            assert sum(within) <= tokens


# --- budgets --------------------------------------------------------------------------------------------------------


def test_a_budget_lets_through_exactly_what_it_holds(client: redis.Redis) -> None:
    """Then the lane says so, until the day is over; raised, it goes on by itself."""
    limits: dict[str, Any] = {"budget_calls": 3}
    for _ in range(3):
        _ask(_limiter(client, **limits))
    with pytest.raises(Limited, match="out of budget: 3 of 3 calls today"):
        _ask(_limiter(client, **limits))
    found = _seen(client, **limits)
    assert (found.status.state, found.status.reason) == (LaneState.BUDGET, "3 of 3 calls today")
    assert found.status.until.endswith("T00:00:00+00:00")
    assert str(found.status) == f"out of budget until {found.status.until}: 3 of 3 calls today"
    budget.limit(client, ESCALATION, Part.CALLS, 4)
    assert _seen(client, **limits).status.state is LaneState.OPEN
    _ask(_limiter(client, **limits))
    assert _seen(client, **limits).status.state is LaneState.BUDGET
    assert budget.unlimit(client, ESCALATION)
    assert _seen(client, **limits).budget.calls.limit == 3
    assert not budget.unlimit(client, ESCALATION)


def test_a_budget_of_tokens_is_not_passed_by_estimates(client: redis.Redis) -> None:
    """What is in work counts by its estimate; the lane is open again as soon as it turns out that there is room."""
    limits: dict[str, Any] = {"budget_tokens": 500}
    limiter = _limiter(client, **limits)
    with limiter.admitted(ESCALATION, TARGET, ESTIMATE) as call:
        with pytest.raises(Limited, match="400 of 500 tokens today, and the next call may take 400"):
            _ask(limiter)
        assert _seen(client, **limits).status.state is LaneState.BUDGET
        call.make(_reply)
    assert _seen(client, **limits).status.state is LaneState.OPEN
    _ask(limiter)
    assert _spent(client)[:2] == (2, 200)


def test_money_is_counted_to_the_billionth(client: redis.Redis) -> None:
    """A million tokens read cost 1, written 2; each model may have a price of its own."""
    limits: dict[str, Any] = {"prices": "m=1/2, other=5/5", "budget_money": 0.001, "budget_period": "total"}
    limiter = _limiter(client, **limits)
    for times in (1, 2):
        _ask(limiter, _reply(100, 11))
        assert _seen(client, **limits).budget.money.used == pytest.approx(122e-6 * times, abs=1e-12)
    with pytest.raises(Limited, match=r"0\.000244 of 0\.001 in all, and the next call may cost 0\.000758"):
        _ask(limiter, size=Estimate(100, 329))
    found = _seen(client, **limits).status
    assert (found.state, found.until, found.seconds) == (LaneState.BUDGET, "", None)
    _ask(limiter, size=Estimate(100, 328))


def test_what_one_model_may_not_spend_a_cheaper_one_may(client: redis.Redis) -> None:
    """Where neither may be asked, the lane stands, whatever hinders each: else a task would go round without end."""
    limits: dict[str, Any] = {"fallbacks": "cheap", "prices": "m=10/20, cheap=1/2", "budget_money": 0.001}
    limiter, cheap = _limiter(client, **limits), Target("cheap", TARGET.endpoint)
    with pytest.raises(Limited, match=r"the next call may cost 0\.007"):
        _ask(limiter)
    assert _seen(client, **limits).status.state is LaneState.OPEN
    breaker, gone = SharedBreaker(client, failures=1, pause_s=30), Transient("no answer")

    def fails() -> Reply:
        raise gone

    with pytest.raises(EndpointPaused), limiter.admitted(ESCALATION, cheap, ESTIMATE) as call:
        breaker.call(cheap, lambda: call.make(fails))
    assert _seen(client, **limits).status.state is LaneState.BREAKER
    _ask(limiter, _reply(1, 1), Estimate(1, 1))
    assert _seen(client, **limits).status.state is LaneState.OPEN


def test_who_counts_for_another_period_takes_nothing_away(client: redis.Redis, data_dir: Path) -> None:
    """A scheduler or a worker whose settings say `day`, beside workers whose budget is in all."""
    limits: dict[str, Any] = {"budget_calls": 2, "budget_period": "total"}
    elsewhere = _settings().model_copy(update={"data_dir": data_dir})
    for _ in range(2):
        _ask(_limiter(client, **limits))
        recount(client, elsewhere)
    with pytest.raises(Limited, match="2 of 2 calls in all"):
        _ask(_limiter(client, **limits))
    _ask(_limiter(client))
    assert _seen(client, **limits).budget.calls.used == 3
    assert _spent(client)[0] == 3  # today
    budget.reset(client, ESCALATION)
    assert _seen(client, **limits).budget.calls.used == 0


def test_a_clock_that_is_set_back_over_midnight_makes_no_new_budget(
    fake: redis.Redis, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    """The day that comes again is counted from the evidence, as after a loss."""
    clock = Clock(monkeypatch)
    found = _settings(budget_calls=1).model_copy(update={"data_dir": data_dir})
    _attempt(found, "one", at=clock.now)
    clock.now += 86400
    _ask(_limiter(fake))
    clock.now -= 86400 - 60
    assert recount(fake, found)
    with pytest.raises(Limited):
        _ask(_limiter(fake, budget_calls=1))


def test_a_model_without_a_price_spends_no_money(client: redis.Redis) -> None:
    """Where money is limited, it is not asked: it would spend uncounted. Without that limit it is."""
    limits: dict[str, Any] = {"fallbacks": "unpriced", "prices": "m=1/2"}
    _ask(_limiter(client, **limits))
    with pytest.raises(Limited, match="unpriced has no price"):
        _ask(_limiter(client, **limits, budget_money=10))
    budget.limit(client, ESCALATION, Part.MONEY, 10)
    assert "unpriced has no price" in _seen(client, **limits).status.reason


@pytest.mark.parametrize(
    ("answer", "spent"),
    [
        (_reply(90, 10), (1, 100)),
        (_reply(None, None), (1, 400)),
        (_reply(None, 7), (1, 107)),
        (Refused("no", status=400), (1, 0)),
        (Transient("status 503"), (1, 0)),
        (Transient("read timeout", may_have_run=True), (1, 400)),
    ],
)
def test_what_a_call_cost_is_what_is_known_of_it(
    client: redis.Redis, answer: Reply | Exception, spent: tuple[int, int]
) -> None:
    """Each try is a call. What the endpoint does not tell, or may have worked on unseen, costs as much as estimated."""
    limiter = _limiter(client)
    if isinstance(answer, Exception):
        with pytest.raises(type(answer)):
            _ask(limiter, answer)
    else:
        _ask(limiter, answer)
    assert _spent(client)[:2] == spent


def test_a_request_that_was_not_made_costs_nothing(client: redis.Redis) -> None:
    """A breaker stood before it, for example; one whose worker dies leaves its estimate."""
    limiter = _limiter(client)
    with limiter.admitted(ESCALATION, TARGET, ESTIMATE):
        pass
    assert _spent(client)[:2] == (0, 0)
    found = _seen(client).rates[0]
    assert (found.requests.used, found.tokens.used) == (0, 0)
    dies = limiter.admitted(ESCALATION, TARGET, ESTIMATE)
    dies.__enter__().sent = True
    assert _spent(client)[:2] == (1, 400)


def test_a_reset_counts_from_zero(client: redis.Redis) -> None:
    """What was in work at that moment belongs to the count before, and is not taken off the new one."""
    limiter = _limiter(client, budget_calls=2)
    with limiter.admitted(ESCALATION, TARGET, ESTIMATE) as call:
        _ask(limiter)
        budget.reset(client, ESCALATION)
        call.make(_reply)
    assert _seen(client, budget_calls=2).status.state is LaneState.OPEN
    _ask(limiter)
    assert _spent(client)[:2] == (1, 100)


def test_a_day_begins_with_nothing_spent(fake: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """At midnight in UTC, of whatever was spent; in all stays in all."""
    clock = Clock(monkeypatch)
    for period, left in (("day", LaneState.OPEN), ("total", LaneState.BUDGET)):
        fake.flushall()
        limits: dict[str, Any] = {"budget_calls": 1, "budget_period": period}
        _ask(_limiter(fake, **limits))
        assert _seen(fake, **limits).status.state is LaneState.BUDGET
        clock.now += 86400
        assert _seen(fake, **limits).status.state is left
    _ask(_limiter(fake, budget_calls=1))
    clock.now += 86400
    _ask(_limiter(fake, budget_calls=1))
    assert _spent(fake)[0] == 1


def test_the_local_lane_is_counted_only_where_it_is_limited(client: redis.Redis) -> None:
    """A fast model would pay for it; a budget set by command is seen by whoever looks next."""
    limiter = _limiter(client)
    with limiter.admitted(Tier.LOCAL, TARGET, ESTIMATE) as call:
        call.make(_reply)
    assert client.keys("replay.*") == []
    budget.limit(client, Tier.LOCAL, Part.CALLS, 0)
    with pytest.raises(Limited), _limiter(client).admitted(Tier.LOCAL, TARGET, ESTIMATE):
        pass


def test_without_a_broker_only_the_unlimited_is_asked() -> None:
    """A limit that nobody can count lets nothing through, and the task waits."""
    gone = redis.Redis(port=1, retry=Retry(NoBackoff(), 0))
    _ask(SharedLimiter(gone, _settings()))
    with pytest.raises(Limited, match="is gone"):
        _ask(SharedLimiter(gone, _settings(budget_calls=3)))


# --- what a broker has lost -----------------------------------------------------------------------------------------


def _attempt(settings: Settings, name: str, tier: Tier = ESCALATION, ms: float = 5.0, at: float | None = None) -> None:
    task = make_task(custom_id=name)
    run = end_without_attempt(task, State.ACCEPTED, "", record_id=f"att_{name}")
    usage = Usage(prompt_tokens=600, completion_tokens=40)
    made = Attempt(
        attempt_id=f"att_{name}",
        tier=tier,
        repeat=0,
        prompt_hash="",
        generation=make_generation(model="m", usage=usage),
        timings=Timings(generate_ms=ms),
    )
    with EvidenceLog.of(settings) as log:
        when = run.recorded_at if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
        log.append([run.model_copy(update={"attempt": made, "recorded_at": when}).wire()])


def test_what_was_spent_is_found_in_the_evidence(client: redis.Redis, data_dir: Path) -> None:
    """Once for each count, and beside what was spent since; the local model and what was reused cost nothing."""
    found = _settings(prices="m=1/2", budget_calls=4).model_copy(update={"data_dir": data_dir})
    assert not recount(client, found)  # there is no log yet
    _attempt(found, "one")
    _attempt(found, "two")
    _attempt(found, "reused", ms=0)
    _attempt(found, "local", Tier.LOCAL)
    client.delete(*budget.keys(ESCALATION))  # what a broker without its data has
    _ask(SharedLimiter(client, found))
    assert recount(client, found)
    assert not recount(client, found)
    assert list(_spent(client)) == pytest.approx([3, 1380, 2 * 680e-6 + 110e-6])
    budget.reset(client, ESCALATION)
    assert not recount(client, found)
    assert _spent(client)[0] == 0


def test_the_scheduler_counts_before_it_enqueues(valkey: redis.Redis, data_dir: Path) -> None:
    """A broker that came back empty has spent what the evidence says, before it has anything to spend more on."""
    found = _settings(budget_calls=1).model_copy(update={"data_dir": data_dir})
    _attempt(found, "one")
    Rounds(found, valkey, UNSIGNED).make()
    assert _seen(valkey, budget_calls=1).status.state is LaneState.BUDGET


def test_a_reset_stands_over_the_evidence(client: redis.Redis, data_dir: Path) -> None:
    """A count that began while another one was looked up gets nothing of it."""
    found = _settings().model_copy(update={"data_dir": data_dir})
    count = budget.opened(client, ESCALATION, Period.DAY)
    budget.reset(client, ESCALATION)
    assert not budget.add_earlier(client, ESCALATION, Period.DAY, count, budget.Spent(5, 5, 5))
    assert _spent(client) == (0, 0, 0)
    assert not recount(client, found)


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["m=1", "m=1/x", "m=-1/2", "nan/1", "1/inf", "m"])
def test_prices_that_cannot_be_read_are_a_mistake(text: str) -> None:
    """Told where workers start, not met in a task."""
    with pytest.raises(ConfigurationError, match="REPLAY_ESCALATION_PRICES"):
        lanes.door(ESCALATION, _settings(prices=text))


def test_large_tasks_at_once_are_the_slots_unless_told_otherwise() -> None:
    """And the local lane has no such limit by itself; `named` tells which limits are set at all."""
    assert lanes.door(ESCALATION, _settings(slots=3)).bounds.in_flight == 3
    assert lanes.door(ESCALATION, _settings(limit=5, slots=3)).bounds.in_flight == 5
    assert lanes.door(Tier.LOCAL, _settings()).bounds.in_flight is None
    assert list(bounds.named(_settings(slots=3))) == []
    assert list(bounds.named(_settings(limit=5, budget_money=0.5))) == [
        "REPLAY_ESCALATION_LIMIT",
        "REPLAY_ESCALATION_BUDGET_MONEY",
    ]
    assert rates.key(TARGET.name) in lanes.door(ESCALATION, _settings()).keys
