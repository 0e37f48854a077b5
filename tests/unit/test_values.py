"""Values in text: the same value in another spelling is the same, and nothing else is."""

from __future__ import annotations

import time

import pytest

from replay import assertion, values


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("5 minutes", "expire = 300"),
        ("300", "expire = 5 * 60"),
        ("3 minutes", "default_retry_delay = 3 * 60"),
        ("1 hour", "visibility_timeout = 3600   # 1 hour"),
        ("100 milliseconds", "sleep: float = 0.1"),
        ("3600000 ms", "minimum = 3600000"),
        ("30 seconds", "timeout=30.0"),
        ("1000", "size = 1_000"),
        ("four", "Option(4, type='int')"),
        ("enabled", "auto_delete = True"),
        ("None", "socket_timeout = None"),
        ("'round-robin'", "strategy='round-robin'"),
        ("`SystemExit`", "class WorkerShutdown(SystemExit):"),
        ("json", 'serializer="json"'),
    ],
)
def test_a_value_is_found_in_another_spelling(written: str, text: str) -> None:
    """Units, products, separators, number words, switches and quotes do not part a value from itself."""
    assert values.occurs(values.parse(written), text)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("1000", "max_size = 10000"),
        ("60", "delay = 3 * 60"),
        ("5 minutes", "timeout = 5"),
        ("4", "version 2.4"),
        ("json", "jsonify()"),
        ("enabled", "auto_delete = False"),
        ("1", "retry1"),
        ("3", "L3x"),
    ],
)
def test_another_value_is_not_taken_for_it(written: str, text: str) -> None:
    """Substrings, factors, bare numbers for durations and parts of names do not count."""
    assert not values.occurs(values.parse(written), text)


def test_a_claim_commits_itself_to_its_numbers_quotes_and_identifiers() -> None:
    """Plain English words are not literals; numbers, quoted words, booleans and identifiers are."""
    claim = "Verify that task_create_missing_queues of a Celery app is False and `threads` waits 30 seconds."
    assert [value.text for value in values.asserted(claim)] == [
        "30 seconds",
        "threads",
        "task_create_missing_queues",
        "False",
    ]


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("Verify that the `format` option of the command line is `simple`.", ["simple"]),
        ("Verify that `autostart` in supervisor defaults to 'unexpected'.", ["unexpected"]),
        ("Verify that `task_default_queue` is celery unless something else is given.", ["celery"]),
        ("Verify that `_DISCARDALL` of redis-py is VSIM.", ["VSIM"]),
        ("Verify that 'strict' is the value of the errors of a stream.", ["strict"]),
        ("Verify that a pool uses the `shuffle` strategy.", ["shuffle"]),
        ("Verify that late acknowledgement is on by default.", ["on"]),
        ("Verify that hmset was deprecated in 4.0.0.", ["4.0.0"]),
    ],
)
def test_the_name_of_a_subject_is_not_the_value_that_is_claimed(claim: str, expected: list[str]) -> None:
    """Of several quoted words the one that the claim says of the other is its value; versions are values."""
    assert [value.text for value in assertion.claimed(claim)] == expected


def test_a_part_of_a_longer_word_does_not_stand_in_a_text() -> None:
    """Neither in front nor behind, and a text of one character is no trap."""
    assert values.stands_whole("360", "timeout = 360,")
    assert not values.stands_whole("360", "timeout = 3600")
    assert not values.stands_whole("_" * 50, "_" * 5000)


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("The http error of redis-py inherits from LockError.", "LockError"),
        ("Celery's CeleryError inherits from Exception.", "Exception"),
        ("Verify that kombu's LockError is a Exception.", "Exception"),
        ("The parent of kombu's NotEquivalentError is Exception.", "Exception"),
        ("An except clause for KeyError takes in redis-py's NoScriptError.", "KeyError"),
        ("Someone who touches nothing gets the rpc cache as on.", "on"),
        ("The code fixes series of Celery at collider.", "collider"),
        ("The serializer option is meant to be json as long as nobody chooses another.", "json"),
        ("Verify that reply.%s.pidbox is the value of the `fmt` of kombu's Mailbox.", "reply.%s.pidbox"),
        ("Callers of Pool.run meet AuthorizationError as soon as no handler is registered.", "AuthorizationError"),
        ("Check that the `collection` of the backend is set to `iso-86091`.", "iso-86091"),
        ("The `when` of Pydantic's field_serializer is meant to be always.", "always"),
    ],
)
def test_what_a_claim_asserts_is_read_in_many_wordings(claim: str, value: str) -> None:
    """Derivation, except clauses, "at", "as on", formats and quoted names with figures; nothing else is claimed."""
    assert [one.text for one in assertion.claimed(claim)] == [value]


def test_a_redis_client_is_no_class_that_something_derives_from() -> None:
    """Where the sentence goes on behind "is a Name", the name tells what kind of thing is meant."""
    assert assertion.base("Verify that the default of the pool is a Redis client with 4 sockets.") is None


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("The retry limit of Pool, derived from Settings, is 3.", "3"),
        ("The limit of Pool is 3, as a String.", "3"),
        ("Pool is a subclass of Base, and has a limit of 5.", "5"),
        ("The url is read from the value of REDIS_URL at startup.", "REDIS_URL"),
        ("The zone is read from the value of TIME_ZONE as it stands.", "TIME_ZONE"),
        ("The default justify of the column is left.", "left"),
        ("The keep option is set to last by default.", "last"),
    ],
)
def test_what_stands_beside_a_value_does_not_take_its_place(claim: str, value: str) -> None:
    """A class that is mentioned, a moment, and words that are idle elsewhere."""
    assert [one.text for one in assertion.claimed(claim)] == [value]


def test_a_moment_is_no_value() -> None:
    """When something is set is not what it is set to."""
    assert assertion.claimed("The loop policy is set at startup.") == ()


@pytest.mark.parametrize("piece", ["-", ".-", "a-", "`", "`a", "at ", "of ", "is a A"])
def test_a_claim_of_signs_is_read_in_linear_time(piece: str) -> None:
    """Ten times the text takes about ten times as long, and not a hundred times."""
    took = []
    for size in (5_000, 50_000):
        text = piece * (size // len(piece))
        started = time.process_time()
        assertion.claimed(text)
        took.append(time.process_time() - started)
    assert took[1] < 40 * max(took[0], 0.001)
