"""Limits and budgets as they are typed and shown, in this process, on the real broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from broker.limits.admission import SharedLimiter
from replay.contracts import Tier, Usage
from replay.models.breaker import chain
from replay.models.limits import Estimate
from replay.models.replies import Reply
from replay.settings import Settings
from tests.command_line import Typed, typing_into
from tests.processes import stream_records


@pytest.fixture
def typed(
    broker_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Typed:
    """Types a command: its exit code, what it prints, and what it tells on stderr."""
    known = {
        "data_dir": data_dir,
        "broker_url": broker_url,
        "base_url": "http://127.0.0.1:9/v1",
        "local_model": "small",
        "escalation_model": "large",
        "escalation_budget_calls": 1,
    }
    return typing_into(monkeypatch, capsys, **known)


def _spend(client: redis.Redis) -> None:
    """One call of the large model."""
    settings = Settings()
    with SharedLimiter(client, settings).admitted(
        Tier.ESCALATION, chain(Tier.ESCALATION, settings)[0], Estimate(9, 9)
    ) as call:
        call.make(lambda: Reply("", "", "stop", Usage(prompt_tokens=7, completion_tokens=5)))


def _lanes(typed: Typed, *words: str) -> Any:
    code, out, err = typed(*words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)["lanes"]


def test_a_budget_is_shown_set_reset_and_taken_back(typed: Typed, valkey: redis.Redis) -> None:
    """Over that of the settings, for all workers; `none` is without one."""
    _spend(valkey)
    shown = _lanes(typed, "lane", "budget", "show")
    assert [(lane["lane"], lane["state"]) for lane in shown] == [("local", "open"), ("escalation", "out of budget")]
    assert shown[1]["budget"]["tokens"] == {"used": 12, "limit": None}
    (lane,) = _lanes(typed, "lane", "budget", "set", "escalation", "--calls", "none", "--tokens", "5000")
    assert (lane["state"], lane["budget"]["calls"]) == ("open", {"used": 1, "limit": None})
    assert lane["budget"]["tokens"]["limit"] == 5000
    (lane,) = _lanes(typed, "lane", "budget", "unset", "escalation")
    assert (lane["state"], lane["budget"]["tokens"]["limit"]) == ("out of budget", None)
    (lane,) = _lanes(typed, "lane", "budget", "reset", "escalation")
    assert (lane["state"], lane["budget"]["calls"]) == ("open", {"used": 0, "limit": 1})
    noted = [json.loads(each) for each in stream_records(valkey)]
    assert [(each["action"], each["lane"], each.get("detail", "")) for each in noted] == [
        ("lane.budget.set", "escalation", "calls none, tokens 5,000"),
        ("lane.budget.unset", "escalation", ""),
        ("lane.budget.reset", "escalation", ""),
    ]
    assert all("@" in each["who"] for each in noted)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--calls", "many"), "'many' is not a whole number"),
        (("--tokens", "1.5"), "'1.5' is not a whole number"),
        (("--calls", "-1"), "'-1' is not a whole number"),
        (("--money", "nan"), "'nan' is not an amount of money"),
        (("--money", "5"), "large has no price"),
        ((), "no budget was given"),
    ],
)
def test_a_budget_that_is_none_is_told_in_words(
    typed: Typed, valkey: redis.Redis, words: tuple[str, ...], said: str
) -> None:
    """And nothing is set or noted."""
    code, out, err = typed("lane", "budget", "set", "escalation", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert [lane["budget"]["calls"]["limit"] for lane in _lanes(typed, "lane", "budget", "show")] == [None, 1]
    assert stream_records(valkey) == []


def test_people_see_what_is_used_of_each_limit(typed: Typed, valkey: redis.Redis) -> None:
    """In the lists of lanes and budgets; a lane that is out of its budget is not let go on by `resume`."""
    _spend(valkey)
    _, listed, _ = typed("lane", "list")
    assert "out of budget" in listed
    assert "1 of 1 calls today" in listed
    assert "0 of 1" in listed  # in work
    assert "today, UTC" in typed("lane", "budget", "show")[1]
    _, resumed, _ = typed("lane", "resume", "escalation", "--json")
    assert json.loads(resumed)["state"] == "out of budget"
    endpoint = json.loads(typed("lane", "list", "--json")[1])["lanes"][1]["rates"][0]
    assert endpoint["requests"] == {"used": 1, "limit": None}
    assert endpoint["target"].startswith("large@")
