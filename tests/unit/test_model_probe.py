"""What an endpoint can do is asked, not assumed."""

from __future__ import annotations

from typing import Any

import pytest

from replay.contracts import Usage
from replay.errors import ModelUnavailable
from replay.models.faults import Refused
from replay.models.probe import Abilities, probe
from replay.models.replies import Reply


class Endpoint:
    """Answers a probe as one kind of server would."""

    def __init__(self, *, obeys: bool = True, thinks: bool = False, quiet_works: bool = True) -> None:
        self._obeys, self._thinks, self._quiet_works = obeys, thinks, quiet_works
        self.requests: list[dict[str, Any]] = []

    def __call__(self, request: dict[str, Any]) -> Reply:
        """Reply to a request."""
        self.requests.append(request)
        nonce = request["response_format"]["json_schema"]["schema"]["properties"]["token"]["enum"][0]
        content = f'{{ "token": "{nonce}" }}' if self._obeys else '{"token": "abc"}'
        if self._thinks and not (self._quiet_works and request.get("reasoning_effort") == "none"):
            return Reply("", "Hmm, a token", "length", Usage())
        return Reply(content, "", "stop", Usage())


def test_a_reply_that_obeys_the_schema_turns_it_on() -> None:
    """One request is enough."""
    endpoint = Endpoint()
    assert probe(endpoint) == Abilities(json_schema=True)
    assert len(endpoint.requests) == 1


def test_a_server_that_ignores_the_schema_is_seen_through() -> None:
    """It answers 200 with the right shape and a value of its own."""
    assert probe(Endpoint(obeys=False)) == Abilities(json_schema=False)


def test_the_nonce_is_in_the_schema_only_and_new_each_time() -> None:
    """So no free-running model can meet it by chance, by copying or from a cache."""
    endpoint = Endpoint()
    probe(endpoint)
    probe(endpoint)
    nonces = [
        r["response_format"]["json_schema"]["schema"]["properties"]["token"]["enum"][0] for r in endpoint.requests
    ]
    assert nonces[0] != nonces[1]
    assert all(n not in str(r["messages"]) for n, r in zip(nonces, endpoint.requests, strict=True))


def test_thinking_that_eats_the_answer_is_turned_off_where_the_server_can() -> None:
    """A thinking model gives no content within the tokens until it is told to be quiet."""
    assert probe(Endpoint(thinks=True)) == Abilities(json_schema=True, silences_reasoning=True)


def test_thinking_that_cannot_be_turned_off_is_left_on() -> None:
    """Then nothing more than the plain request is sent."""
    assert probe(Endpoint(thinks=True, quiet_works=False)) == Abilities(json_schema=False)


def test_an_endpoint_that_refuses_the_format_gets_text() -> None:
    """400 and 422 say that it knows the field and cannot."""

    def refuses(_: dict[str, Any]) -> Reply:
        raise Refused("response_format is not supported", status=400)

    assert probe(refuses) == Abilities(json_schema=False)


@pytest.mark.parametrize("error", [ModelUnavailable("down"), Refused("bad key", status=401)])
def test_no_answer_and_a_wrong_key_are_no_verdict(error: Exception) -> None:
    """They are passed on, so that the probe is made again later."""

    def fails(_: dict[str, Any]) -> Reply:
        raise error

    with pytest.raises(type(error)):
        probe(fails)
