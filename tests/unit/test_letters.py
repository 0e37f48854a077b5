from __future__ import annotations

import base64
import json
import unicodedata
from typing import Any

from fakeredis import FakeRedis
from hypothesis import given, settings
from hypothesis import strategies as st

from broker import dead
from broker.envelope import TASK_OF, Envelope
from producer import letters
from replay.contracts import DeadLetter, EscalationOrder
from replay.topology import Queue
from tests.factories import make_bundle, make_task

TASK = make_task()
LOCAL = Envelope(TASK_OF[Queue.LOCAL], f"{TASK.run_id}:local", TASK.wire())
BATCHED = make_task(batch_id="batch_0123456789abcdef")


def _letter(payload: bytes) -> DeadLetter:
    return dead.letter(Queue.LOCAL, "test", payload)


def test_run_and_batch_are_read_from_every_form_of_a_message() -> None:
    """An envelope of either lane, plain or base64, cut or whole, and the bare payload of a poisoned run."""
    order = EscalationOrder(task=BATCHED, bundle=make_bundle(), reasons=())
    plain = LOCAL.message(Queue.LOCAL, "tag") | {"body": json.dumps([[BATCHED.wire()], {}, {}])}
    plain["headers"]["id"] = None
    for item in (
        Envelope(TASK_OF[Queue.LOCAL], f"{BATCHED.run_id}:local", BATCHED.wire()).sealed(Queue.LOCAL),
        Envelope(TASK_OF[Queue.LOCAL], f"{BATCHED.run_id}:local", BATCHED.wire()).sealed(Queue.LOCAL)[:900],
        Envelope(TASK_OF[Queue.ESCALATION], f"{BATCHED.run_id}:escalation", order.wire()).sealed(Queue.ESCALATION),
        json.dumps(plain).encode(),
        json.dumps(BATCHED.wire()).encode(),
    ):
        letter = _letter(item)
        assert (letters.run_id_of(letter), letters.batch_id_of(letter)) == (BATCHED.run_id, BATCHED.batch_id)


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(["body", "headers", "properties", "content-type"])


def _asked_everything(letter: DeadLetter) -> str:
    letters.run_id_of(letter)
    letters.batch_id_of(letter)
    letters.is_whole(letter)
    letters.bare(letter)
    shown = letters.readable(letter)
    shown.encode()
    assert not [one for one in shown if one != "\n" and unicodedata.category(one).startswith("C")]
    return shown


@given(st.binary(max_size=300))
def test_any_bytes_can_be_asked_about_and_shown(payload: bytes) -> None:
    """Nothing raises, and nothing that is shown steers a terminal."""
    _asked_everything(_letter(payload))


@given(field=fields, value=json_values)
def test_any_json_in_any_field_can_be_asked_about_and_shown(field: str, value: Any) -> None:
    """The same for what is nearly a message."""
    message = LOCAL.message(Queue.LOCAL, "tag") | {field: value}
    _asked_everything(_letter(json.dumps(message).encode()))


@given(st.binary(max_size=60))
def test_any_bytes_as_the_body_can_be_shown(body: bytes) -> None:
    """The same for what hides in base64."""
    message = LOCAL.message(Queue.LOCAL, "tag") | {"body": base64.b64encode(body).decode()}
    _asked_everything(_letter(json.dumps(message).encode()))


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5), st.text(max_size=12))
def test_any_bytes_on_the_dead_queue_are_listed(items: list[bytes], name: str) -> None:
    """Each has an id by which it is found again, unless its very bytes are there twice."""
    with FakeRedis() as client:
        client.flushall()
        client.rpush(Queue.DEAD.value, *items, json.dumps({"schema": "replay_dead.v1", "id": name}))
        chosen = letters.choose(client, [], everything=True)
        assert len(chosen) == len(items) + 1
        for lying in chosen:
            _asked_everything(lying.letter)
            if sum(other.item == lying.item for other in chosen) == 1:
                assert [found.item for found in letters.choose(client, [lying.letter.id])] == [lying.item]


def test_a_letter_whose_base64_is_none_is_shown_as_empty() -> None:
    """A stranger may write a letter, and anything into it."""
    letter = _letter(b"x").model_copy(update={"payload_base64": "%%%"})
    assert (letters.payload(letter), letters.is_whole(letter), letters.readable(letter)) == (b"", False, "")


def test_the_newest_are_listed_without_holding_all() -> None:
    """A page of the newest and the count of the rest."""
    with FakeRedis() as client:
        client.flushall()
        for n in range(120):
            client.lpush(Queue.DEAD.value, dead.wire(dead.letter(Queue.LOCAL, f"cause {n % 2}: {n}", b"x")))
        newest, older = letters.newest(client, 3, cause="cause 1")
        assert [letter.cause for letter in newest] == ["cause 1: 115", "cause 1: 117", "cause 1: 119"]
        assert older == 57
