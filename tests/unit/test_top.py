"""What `replay top` makes of two looks."""

from __future__ import annotations

import fakeredis
import pytest

from broker import meters
from broker.meters import Histogram, Meters, Reading
from broker.overview import Overview, Server
from broker.queues import Depths
from stack import top


def _seen(at: float, counted: Reading, waiting: int = 0) -> Overview:
    queues = {"replay.local": waiting, "replay.escalation": 0}
    depths = Depths(queues, dict.fromkeys(queues, 0), dict.fromkeys(queues), 0, 0)
    return Overview(at, depths, (), {}, (), None, counted, Server("Valkey 9", 1, 0))


def _read(counted: Meters) -> Reading:
    client = fakeredis.FakeRedis()
    counted.flush(client)
    return meters.read(client)


def _busy(runs: int, escalated: int, seconds: float) -> Reading:
    counted = Meters()
    counted.count(meters.RUNS, "accepted", by=runs)
    counted.count(meters.ATTEMPTS, "local", "accepted", by=runs)
    counted.count(meters.ATTEMPTS, "local", "escalated", by=escalated)
    counted.count(meters.TOKENS, "local", "completion", by=runs * 10)
    for _ in range(runs):
        counted.observe(meters.GENERATE, seconds, "local")
        counted.observe(meters.WAITED, 1.0, "replay.local")
    return _read(counted)


def test_rates_are_what_rose_between_two_looks() -> None:
    """Runs and tokens a second, the share that escalated, and when the queue will be empty."""
    found = top.rates(_seen(100, Reading()), _seen(110, _busy(20, 5, 0.3), waiting=40))
    assert found is not None
    assert (found.runs_per_s, found.tokens_per_s, found.escalated) == (2.0, 20.0, 0.2)
    assert found.ends_in_s == {"replay.local": 20.0, "replay.escalation": None}
    assert found.generate_p50_s["escalation"] is None
    median = found.generate_p50_s["local"]
    assert median is not None
    assert 0.25 < median <= 0.5


def test_one_look_has_no_rates() -> None:
    """Nothing is made up from a single look."""
    seen = _seen(100, _busy(3, 0, 1.0))
    assert top.rates(seen, seen) is None


def test_a_broker_that_lost_its_data_gives_no_negative_rate() -> None:
    """Counts that fell were begun anew."""
    found = top.rates(_seen(100, _busy(50, 5, 1.0)), _seen(110, _busy(20, 0, 1.0)))
    assert found is not None
    assert (found.runs_per_s, found.escalated) == (2.0, 0.0)
    assert found.generate_p50_s["local"] is not None


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ((4, 0, 0), 0.5, 0.5),
        ((2, 2, 0), 0.5, 1.0),
        ((0, 4, 0), 0.25, 1.25),
        ((1, 0, 9), 0.95, 2.0),
        ((0, 0, 0), 0.5, None),
    ],
)
def test_a_quantile_lies_evenly_in_its_bucket(counts: tuple[float, ...], share: float, expected: float | None) -> None:
    """As PromQL has it; beyond the last bound it is that bound."""
    meter = meters.Meter("test_seconds", "", (), (1.0, 2.0))
    assert top.quantile(meter, Histogram(counts, 0.0), share) == expected
