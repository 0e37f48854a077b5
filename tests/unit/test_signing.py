from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.envelope import Envelope, EnvelopeFault, SignatureFault, opened
from broker.signing import HEADER, UNSIGNED, Keyring
from replay.errors import ConfigurationError
from replay.settings import Settings
from replay.topology import Queue, TaskName

OLD, NEW = b"the old key of messages", b"the new key of messages"
KEYS = Keyring([NEW, OLD])
GOOD = Envelope(TaskName.AUDIT_LOCAL, "run_1:local", {"text": "größer"})


def _message(keyring: Keyring = KEYS) -> dict[str, Any]:
    return GOOD.message(Queue.LOCAL, "tag", keyring)


def _opened(message: dict[str, Any], keyring: Keyring = KEYS, queue: Queue = Queue.LOCAL) -> Envelope:
    return opened(json.dumps(message).encode(), queue, keyring)


def test_the_first_key_signs_and_every_key_verifies() -> None:
    """So a key is changed in three steps, each with a restart, and no message is refused in between."""
    steps = [Keyring([OLD]), Keyring([OLD, NEW]), Keyring([NEW, OLD]), Keyring([NEW])]
    for before, after in pairwise(steps):
        assert opened(GOOD.sealed(Queue.LOCAL, before), Queue.LOCAL, after) == GOOD
        assert opened(GOOD.sealed(Queue.LOCAL, after), Queue.LOCAL, before) == GOOD
    with pytest.raises(SignatureFault, match="of no key of ours"):
        opened(GOOD.sealed(Queue.LOCAL, Keyring([OLD])), Queue.LOCAL, Keyring([NEW]))


def test_without_keys_nothing_is_signed_and_signatures_are_ignored() -> None:
    """An unsigned stack reads what a signed one wrote, and writes what any Celery producer writes."""
    assert HEADER not in _message(UNSIGNED)["headers"]
    assert _opened(_message(KEYS), UNSIGNED) == GOOD
    with pytest.raises(SignatureFault, match="missing"):
        _opened(_message(UNSIGNED))


def _changed(**change: Any) -> dict[str, Any]:
    message = _message()
    return message | {"headers": message["headers"] | change.pop("headers", {})} | change


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(_changed(headers={"id": "run_2:local"}), id="another run in the header"),
        pytest.param(_changed(body=json.dumps([[{"text": "other"}], {}, {}]), properties={}), id="another body"),
        pytest.param(_changed(body=_message()["body"].rstrip("=") + "IA=="), id="a byte more"),
        pytest.param(_changed(headers={HEADER: ""}), id="an empty signature"),
        pytest.param(_changed(headers={HEADER: "hmac-sha256:" + "0" * 64}), id="a made-up one"),
        pytest.param(_changed(headers={HEADER: _message()["headers"][HEADER][len("hmac-sha256:") :]}), id="no scheme"),
        pytest.param(_changed(headers={HEADER: _message()["headers"][HEADER].upper()}), id="capitals"),
        pytest.param(_changed(headers={HEADER: 7}), id="a number"),
        pytest.param(_changed(headers={HEADER: ["a"]}), id="a list"),
        pytest.param(_changed(headers={HEADER: "größer"}), id="no ASCII"),
        pytest.param(_changed(headers={HEADER: "\ud800"}), id="a lone surrogate"),
        pytest.param(_changed(headers={HEADER: "x" * 1_000_000}), id="a huge one"),
    ],
)
def test_what_is_not_exactly_what_was_signed_is_refused(message: dict[str, Any]) -> None:
    """The body's bytes and the id are covered, and nothing but the right text is a signature."""
    with pytest.raises(EnvelopeFault):
        _opened(message)


def test_a_signature_is_of_one_queue() -> None:
    """A message of one lane is worth nothing on the other."""
    on_local, on_other = (KEYS.sign(queue, "run_1:local", b"body") for queue in Queue if queue is not Queue.DEAD)
    assert on_local != on_other
    assert KEYS.fault(Queue.ESCALATION, "run_1:local", b"body", on_local) == "of no key of ours"


def test_parts_do_not_run_into_each_other() -> None:
    """Where one part ends and the next begins is signed as well."""
    assert KEYS.sign("a", "b1", b"c") != KEYS.sign("a", "b", b"1c")
    assert KEYS.sign("a", "", b"bc") != KEYS.sign("ab", "", b"c")


def test_a_plain_json_body_is_signed_as_its_bytes() -> None:
    """A producer that leaves out the base64 signs the text's UTF-8."""
    body = json.dumps([[{"a": 1}], {}, {}])
    signature = KEYS.sign(Queue.LOCAL, "run_1:local", body.encode())
    assert _opened(_changed(body=body, properties={}, headers={HEADER: signature})).payload == {"a": 1}


@pytest.mark.parametrize("keys", ["", " ", "short", "long enough to be one,", "long enough to be one,short"])
def test_what_is_no_key_is_refused_without_repeating_it(keys: str) -> None:
    """An empty or short key is told in words, with how to make one."""
    with pytest.raises(ConfigurationError, match="REPLAY_MESSAGE_KEY") as refused:
        Keyring.of(Settings(message_key=keys))
    assert "openssl rand" in refused.value.hint
    assert "short" not in refused.value.message + refused.value.hint


def test_keys_are_never_shown() -> None:
    """Neither in what a configuration prints nor in what a fault says."""
    keyring = Keyring.of(Settings(message_key=" the-first-canary-key , the-other-canary-key "))
    shown = [repr(keyring), str(keyring), f"{vars(Settings(message_key='the-first-canary-key'))}"]
    shown.append(str(keyring.fault("queue", "id", b"body", "hmac-sha256:00")))
    assert not [text for text in shown if "canary" in text]
    assert bool(keyring)
    assert not UNSIGNED


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
paths = st.sampled_from(
    [
        *[(name,) for name in ("body", "headers", "properties", "content-type", "content-encoding")],
        *[("headers", name) for name in (HEADER, "id", "task", "lang")],
        ("properties", "body_encoding"),
    ]
)


@given(path=paths, value=json_values | st.just(...))
def test_any_json_in_any_field_of_a_signed_message_is_opened_or_refused(path: tuple[str, ...], value: Any) -> None:
    """No value of a field, and no missing one, raises anything but a fault or lets another payload through."""
    message = _message()
    place = message
    for name in path[:-1]:
        place = place[name]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    try:
        found = _opened(message)
    except EnvelopeFault:
        return
    assert found == GOOD


@given(st.binary(max_size=200))
def test_any_signed_bytes_as_a_body_are_opened_or_refused(body: bytes) -> None:
    """Also a body that bears our signature may be no call: it is a fault of the envelope then."""
    message = _changed(
        body=base64.b64encode(body).decode(), headers={HEADER: KEYS.sign(Queue.LOCAL, GOOD.message_id, body)}
    )
    with pytest.raises(EnvelopeFault) as refused:
        _opened(message)
    assert refused.value.cause == "envelope"


@given(place=st.text(max_size=8), message_id=st.text(max_size=8), body=st.binary(max_size=30), claim=json_values)
def test_any_claim_is_judged_in_words(place: str, message_id: str, body: bytes, claim: Any) -> None:
    """Nothing that a stranger puts in the place of a signature raises, or holds."""
    assert KEYS.fault(place, message_id, body, claim) is not None
    assert KEYS.fault(place, message_id, body, KEYS.sign(place, message_id, body)) is None
