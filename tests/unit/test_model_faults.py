"""What a response that is no reply means."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from replay.errors import ModelRefused, ModelUnavailable
from replay.models.faults import LONGEST_WAIT_S, Refused, Transient, fault, retry_after_s


def judge(status: int, body: Any, **headers: str) -> ModelUnavailable | ModelRefused | None:
    """The fault of a response; `_` in a header's name stands for `-`."""
    lower = {name.replace("_", "-"): value for name, value in headers.items()}
    return fault(status, lower, body, model="m", where="http://h/v1")


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_transport_statuses_are_worth_a_retry(status: int) -> None:
    """Whatever the body is."""
    assert isinstance(judge(status, "<html>"), Transient)


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 413, 422])
def test_other_statuses_are_refusals(status: int) -> None:
    """The status stays with the error, for those who ask why."""
    refusal = judge(status, {"error": {"message": "no"}})
    assert isinstance(refusal, Refused)
    assert refusal.status == status
    assert "no" in refusal.message


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 502, "message": "x"}, Transient),
        ({"code": "429", "message": "x"}, Transient),
        ({"code": "server_error", "message": "x"}, Transient),
        ("overloaded", Transient),
        ({"code": 402, "message": "x"}, Refused),
        ({"code": "403", "message": "x"}, Refused),
    ],
)
def test_an_error_in_a_body_with_status_200_counts_by_its_own_code(error: Any, kind: type[Exception]) -> None:
    """OpenRouter reports so once the model has started; without a code it is taken for a transport fault."""
    assert type(judge(200, {"error": error})) is kind


@pytest.mark.parametrize("body", [{"choices": []}, {"error": None, "choices": []}, "text", []])
def test_a_good_status_without_an_error_is_no_fault(body: Any) -> None:
    """Whether it is a reply is judged elsewhere."""
    assert judge(200, body) is None


@pytest.mark.parametrize(
    "error",
    [
        {
            "type": "exceed_context_size_error",
            "message": "request (5030 tokens) exceeds the available context size (4096 tokens), try increasing it",
        },
        {"code": "context_length_exceeded", "message": "This model's maximum context length is 8192 tokens."},
    ],
)
def test_a_prompt_that_is_too_long_is_called_so(error: dict[str, str]) -> None:
    """The hint names the settings that make it shorter; the server's numbers stay in the message."""
    refusal = judge(400, {"error": error})
    assert isinstance(refusal, Refused)
    assert refusal.message.startswith("The prompt does not fit")
    assert error["message"] in refusal.message
    assert "REPLAY_LINES_SHOWN" in refusal.hint


def test_the_endpoint_can_forbid_and_ask_for_a_retry() -> None:
    """`x-should-retry` wins over the status."""
    forbidden = judge(503, "", x_should_retry="false")
    assert isinstance(forbidden, ModelUnavailable)
    assert not isinstance(forbidden, Transient)
    assert isinstance(judge(400, "", x_should_retry="true"), Transient)


def test_a_wait_beyond_the_bound_ends_the_tries() -> None:
    """A worker does not sleep for an hour; the asked wait is kept with the error."""
    given_up = judge(429, "", retry_after=str(LONGEST_WAIT_S + 1))
    assert isinstance(given_up, ModelUnavailable)
    assert not isinstance(given_up, Transient)
    assert given_up.retry_after_s == LONGEST_WAIT_S + 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Wed, 01 Jan 2025 00:00:30 GMT"}, 30.0),
        ({"retry-after": "Tue, 31 Dec 2024 23:00:00 GMT"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "tomorrow"}, None),
    ],
)
def test_reads_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds first, then seconds or a date; nonsense is no wait."""
    assert retry_after_s(headers, datetime(2025, 1, 1, tzinfo=UTC)) == seconds


def test_what_an_endpoint_says_is_cut_to_one_short_line() -> None:
    """A page of HTML makes no readable message."""
    error = judge(500, "<html>\n" + "x" * 5000)
    assert error is not None
    assert len(error.message) < 400
    assert "\n" not in error.message
