"""What a line states: the values it gives to what is asked about, and not what it only mentions."""

from __future__ import annotations

import pytest

from replay import values
from replay.corpus.tokens import query_tokens
from replay.statements import stated


def said(line: str, like: str, claim: str = "") -> list[str]:
    """The texts of the values that a line states."""
    return [value.text for value in stated(line, values.parse(like), query_tokens(claim))]


@pytest.mark.parametrize(
    ("line", "like", "expected"),
    [
        ("visibility_timeout = 3600  # 1 hour", "5", ["3600"]),
        ("prefetch_multiplier=Option(4, type='int'),", "5", ["4"]),
        ("default_retry_delay = 3 * 60", "5", ["3 * 60"]),
        ("size = 1_000", "5", ["1_000"]),
        (":default: 5 seconds", "1", ["5 seconds"]),
        ("socket_timeout = None", "5", ["None"]),
        ("'auto_delete': True,", "enabled", ["True"]),
        ("strategy='round-robin'", "`shuffle`", ["round-robin"]),
        ("class WorkerShutdown(SystemExit):", "BaseException", ["WorkerShutdown", "SystemExit"]),
        ("#: The default is 10 connections.", "5", ["10"]),
    ],
)
def test_a_line_states_the_values_it_gives(line: str, like: str, expected: list[str]) -> None:
    """Assignments, defaults, products, switches, quoted words, bases and prose are read."""
    assert said(line, like) == expected


@pytest.mark.parametrize(
    ("line", "like"),
    [
        pytest.param("if visibility_timeout < 10:", "10", id="comparison"),
        pytest.param("if protocol == 3:", "3", id="equality test"),
        pytest.param("size = 1024 ** 2", "2", id="power"),
        pytest.param("size = 1 << 20", "20", id="shift"),
        pytest.param("window = 60 + 5", "5", id="sum"),
        pytest.param("half = total / 2", "2", id="quotient"),
        pytest.param("length = width - 2", "2", id="difference"),
        pytest.param("expires = timedelta(days=1)", "1", id="timedelta"),
        pytest.param("mask = 0xff  # 1 byte", "1", id="hex, and a comment behind code"),
        pytest.param("x = load()  # see issue #5", "5", id="issue number"),
        pytest.param("# visibility_timeout = 60", "60", id="commented out"),
        pytest.param(">>> Channel(visibility_timeout=60)", "60", id="doctest"),
        pytest.param("def __init__(self, timeout: int | None = DEFAULT):", "5", id="none in an annotation"),
        pytest.param("if timeout is None:", "5", id="none in a test"),
    ],
)
def test_a_line_does_not_state_what_it_only_mentions(line: str, like: str) -> None:
    """What is compared, calculated further, commented out, or typed is no value of anything."""
    assert said(line, like) == []


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("Verify that the socket timeout defaults to 3.", ["5"]),
        ("Verify that max_retries defaults to 5.", ["3"]),
        ("Verify that the poll interval is 5.", ["3", "5"]),
    ],
)
def test_of_several_names_on_a_line_the_asked_one_counts(claim: str, expected: list[str]) -> None:
    """A signature gives each parameter its own value; only where none is asked about do all count."""
    assert said("def __init__(self, max_retries=3, socket_timeout=5):", "1", claim) == expected


def test_the_value_of_a_name_may_hold_commas_in_brackets() -> None:
    """The value ends at the comma that ends it, not at the first one."""
    line = "lost_wait=Option(10.0, type='float', old={'worker_lost_wait'}), retries=7"
    assert said(line, "5", "Verify that lost wait is 30 seconds.") == ["10.0"]


@pytest.mark.parametrize(
    ("line", "like", "expected"),
    [
        pytest.param("from kombu.exceptions import EncodeError, OperationalError", "EncodeError", [], id="import"),
        pytest.param("count = max(w.concurrency, 1) * w.multiplier", "1", [], id="argument of max"),
        pytest.param("'shuffle': shufflecycle,", "shuffle", ["shufflecycle"], id="key of a mapping"),
        pytest.param("threads = conf.get('threads', 'solo')", "solo", ["solo"], id="key that is asked for"),
        pytest.param("queue_durable = queue_durable", "durable", [], id="name given to itself"),
        pytest.param("table = Option(type='dict', old={'tables'})", "json", [], id="what an option says of itself"),
        pytest.param("path: dict[str, FieldInfo] = {}", "SettingsError", [], id="type"),
        pytest.param("table_names = Option({}, type='dict')", "None", [], id="nothing against a none"),
        pytest.param("table_limit = 5", "None", ["5"], id="a value against a none"),
    ],
)
def test_names_keys_and_types_are_no_values(line: str, like: str, expected: list[str]) -> None:
    """What names a value, holds it or describes it is not the value."""
    assert said(line, like) == expected


def test_a_text_that_is_filled_in_is_not_stated() -> None:
    """`'%s/%s' % (host, port)` gives what comes of it, and `.format(…)` does too."""
    for line in ("address = '%s/%s' % (host, port)", "address = '{}/{}'.format(host, port)"):
        assert [value.text for value in stated(line, values.parse("'tcp/80'"))] == [], line
