"""Envelopes: what is written is read, and nothing else passes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import envelope
from broker.envelope import Envelope, EnvelopeFault, opened, run_id_of
from replay.topology import Queue, TaskName

GOOD = Envelope(TaskName.AUDIT_LOCAL, "run_1:local", {"text": "größer"})


def _message() -> dict[str, Any]:
    return GOOD.message(Queue.LOCAL, "tag")


def _sealed(message: Any) -> bytes:
    return json.dumps(message).encode()


def test_what_is_sealed_is_opened() -> None:
    """The payload and the id survive the way through a queue."""
    item = GOOD.sealed(Queue.LOCAL)
    assert opened(item, Queue.LOCAL) == GOOD
    assert run_id_of(item) == "run_1"


def test_a_plain_json_body_is_read_too() -> None:
    """A producer may leave out the base64, as kombu allows."""
    message = _message() | {"body": json.dumps([[{"a": 1}], {}, {}]), "properties": {}}
    assert opened(_sealed(message), Queue.LOCAL).payload == {"a": 1}


def test_links_and_callbacks_of_a_message_do_not_reach_celery() -> None:
    """Only the argument is taken over; a message cannot make a worker start other tasks."""
    hostile = {"callbacks": [{"task": "evil"}], "chain": [{"task": "evil"}]}
    message = _message() | {"body": json.dumps([[{"a": 1}], {}, hostile]), "properties": {"reply_to": "evil"}}
    message["headers"] |= {"eta": "evil", "expires": 7, "timelimit": "evil"}
    rebuilt = json.dumps(opened(_sealed(message), Queue.LOCAL).message(Queue.LOCAL, "tag"))
    assert "evil" not in rebuilt


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"headers": None}, "headers"),
        ({"headers": {"task": "replay.audit_local"}}, "headers.id"),
        ({"headers": {"task": "replay.audit_local", "id": 7}}, "headers.id"),
        ({"headers": {"id": "run:local"}}, "headers.task"),
        ({"headers": {"id": "run:local", "task": "replay.audit_escalation"}}, "headers.task"),
        ({"headers": {"id": "run:local", "task": ["replay.audit_local"]}}, "headers.task"),
        (
            {"headers": {"id": "run:local", "task": "replay.audit_local", "compression": "application/x-gzip"}},
            "compres",
        ),
        ({"content-type": None}, "content-type"),
        ({"content-type": "application/x-python-serialize"}, "content-type"),
        ({"body": None}, "body"),
        ({"body": 7}, "body"),
        ({"body": "%%%"}, "body"),
        ({"body": "bm8ganNvbg=="}, "body"),
        ({"body": "[]", "properties": {}}, "body"),
        ({"body": "[[],{},{}]", "properties": {}}, "body"),
        ({"body": "[[{},{}],{},{}]", "properties": {}}, "body"),
        ({"body": '[["text"],{},{}]', "properties": {}}, "body"),
        ({"body": '[[{}],{"a":1},{}]', "properties": {}}, "body"),
        ({"body": "[" * 100_000, "properties": {}}, "body"),
    ],
)
def test_a_message_that_may_not_run_is_refused_with_its_cause(change: dict[str, Any], cause: str) -> None:
    """Each needed field, missing or wrong, is named in the fault."""
    message = {key: value for key, value in (_message() | change).items() if value is not None}
    with pytest.raises(EnvelopeFault, match=cause):
        opened(_sealed(message), Queue.LOCAL)


@pytest.mark.parametrize("item", [b"", b"\xff\xfe", b"null", b"[]", b'"text"', b"{", b"[" * 100_000, b"1e999", b"{}"])
def test_bytes_that_are_no_envelope_are_refused(item: bytes) -> None:
    """Any bytes give a fault and never another error; no run is read from them."""
    with pytest.raises(EnvelopeFault):
        opened(item, Queue.LOCAL)
    assert run_id_of(item) is None


def test_a_huge_message_is_refused_unread() -> None:
    """The bound is on the bytes, before they are parsed."""
    with pytest.raises(EnvelopeFault, match="bytes"):
        opened(b"x" * (envelope.MAX_ENVELOPE_BYTES + 1), Queue.LOCAL)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(field=st.sampled_from(["body", "headers", "properties", "content-type", "content-encoding"]), value=json_values)
def test_any_json_in_any_field_is_opened_or_refused(field: str, value: Any) -> None:
    """No value of a field raises anything else than a fault."""
    try:
        found = opened(_sealed(_message() | {field: value}), Queue.LOCAL)
    except EnvelopeFault:
        return
    assert found == GOOD


@given(st.binary(max_size=200))
def test_any_bytes_are_opened_or_refused(item: bytes) -> None:
    """Random bytes never raise anything else than a fault."""
    with pytest.raises(EnvelopeFault):
        opened(item, Queue.ESCALATION)
