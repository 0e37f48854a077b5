from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

import pytest

from producer.schedules import times
from replay.errors import InputError


def at(text: str) -> datetime:
    """A moment."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def next_of(cron: str, timezone: str, after: str, count: int = 3) -> list[str]:
    """The next due times, as they are written."""
    return [times.written(due) for due in islice(times.upcoming(cron, timezone, at(after)), count)]


def test_a_time_that_the_clocks_skip_is_due_when_they_have() -> None:
    """Half past two in Berlin on the last Sunday of March is three o'clock, once; the days around it are as ever."""
    assert next_of("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00") == [
        "2026-03-28T01:30:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-30T00:30:00Z",
    ]


def test_a_time_that_comes_twice_is_due_once() -> None:
    """In October it is the first half past two, also where one begins to look between the two."""
    first, following = "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"
    assert next_of("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", 2) == [first, following]
    assert next_of("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10", 1) == [following]


def test_what_is_due_at_every_hour_is_due_at_the_hour_that_comes_twice() -> None:
    """A day of 25 hours has 50 half hours, and one of 23 has 46."""
    for day, count in (("2026-10-24T22:00", 50), ("2026-03-28T23:00", 46)):
        local = at(day).astimezone(times.zone("Europe/Berlin"))
        midnight = (local + timedelta(days=1)).replace(hour=0, minute=0).astimezone(UTC)
        due = times.upcoming("*/30 * * * *", "Europe/Berlin", at(day) - timedelta(seconds=1))
        assert sum(1 for _ in takewhile(midnight.__gt__, due)) == count


@pytest.mark.parametrize(
    ("cron", "timezone"),
    [
        ("* * * * *", "UTC"),
        ("*/7 3-5 * * *", "America/New_York"),
        ("0 0 29 2 *", "UTC"),
        ("15,45 1,2,3 * * SUN", "Europe/Berlin"),
        ("@monthly", "Asia/Kolkata"),
    ],
)
def test_looking_back_finds_what_looking_forward_finds(cron: str, timezone: str) -> None:
    """The newest due times of two years are the last ones of all of them, wherever the look begins."""
    until = at("2026-11-02T12:34:56")
    after = until - timedelta(days=900 if cron.startswith("0 0 29") else 30)
    every = list(takewhile(lambda due: due <= until, times.upcoming(cron, timezone, after)))
    for most in (1, 3, 50):
        assert times.newest(cron, timezone, after, until, most) == every[-most:]


def test_looking_back_over_years_of_minutes_takes_no_years() -> None:
    """Of ten million due times those before the newest are never made."""
    until = at("2026-11-02T12:34:56")
    found = times.newest("* * * * *", "Europe/Berlin", until - timedelta(days=7000), until, 2)
    assert [times.written(due) for due in found] == ["2026-11-02T12:33:00Z", "2026-11-02T12:34:00Z"]


def test_jitter_follows_from_name_and_time() -> None:
    """It is within its bound, the same at each asking, and another one for another name or time."""
    due = [at("2026-01-01T00:00") + timedelta(days=day) for day in range(200)]
    found = [times.jitter("nightly", one, 600) for one in due]
    assert found == [times.jitter("nightly", one, 600) for one in due]
    assert all(timedelta() <= one <= timedelta(seconds=600) for one in found)
    assert len(set(found)) > 100
    assert found != [times.jitter("weekly", one, 600) for one in due]
    assert times.jitter("nightly", due[0], 0) == timedelta()


@pytest.mark.parametrize(
    "cron",
    [
        *("", "* * * *", "0 * * * * *", "61 * * * *", "* * * * FOO", "*/0 * * * *", "0 0 31 2 *", "a\nb", "@reboot"),
        *(f"{'9' * 5000} * * * *", f"{'1,' * 99} * * * *", "* * * * 1L2", "*/" + "9" * 150 + "x * * * *"),
    ],
)
def test_what_is_no_cron_expression_is_refused_with_an_example(cron: str) -> None:
    """Each is an error that names it and shows how one looks."""
    with pytest.raises(InputError) as refused:
        times.check(cron, "UTC")
    assert "30 3 * * MON-FRI" in refused.value.hint


@pytest.mark.parametrize("name", ["Nowhere/City", "Europe", "../../etc/passwd", "", "/etc/localtime", "a\0b"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    """Whatever its name asks of the file system."""
    with pytest.raises(InputError) as refused:
        times.check("@daily", name)
    assert "Europe/Berlin" in refused.value.hint
