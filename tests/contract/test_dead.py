"""Dead letters dealt with, on the real server: what goes back, as what, and what is told in the evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from broker import cancelled, dead, envelope, evidence_stream, exhume, queues, starts
from broker.claims import MOVED_BACK
from broker.envelope import TASK_OF, Envelope
from broker.signing import UNSIGNED, Keyring
from evidence.log import EvidenceLog
from evidence.reader import EvidenceReader
from producer import letters, manifest
from producer.cancel import cancel
from producer.manifest import Batch
from producer.progress import snapshot as progress
from producer.requeue import Dealt, Desk, Fate
from producer.results import results
from producer.submit import submit
from replay import identity
from replay.contracts import DeadLetter, ReplayTask, State, Tier
from replay.corpus import snapshot
from replay.errors import InputError
from replay.settings import Settings
from replay.topology import Queue
from tests.batches import make_lines, make_run, record
from tests.factories import make_bundle, make_task
from tests.processes import stream_records

KEY = "a key that is long enough"


@pytest.fixture
def settings(data_dir: Path, broker_url: str) -> Settings:
    """Settings with a corpus, on the real server."""
    made = Settings(data_dir=data_dir, broker_url=broker_url)
    snapshot.write([hit.record for hit in make_bundle().passages], made.corpus_dir)
    return made


@pytest.fixture
def batch(settings: Settings, valkey: redis.Redis) -> Batch:
    """A batch of two, whose messages are gone from the queue."""
    made = submit(make_lines(2), settings, source="tasks.jsonl", client=valkey).batch
    valkey.delete(Queue.LOCAL.value)
    return made


def sealed(task: ReplayTask, keyring: Keyring = UNSIGNED) -> bytes:
    """Its message on the local queue."""
    return Envelope(TASK_OF[Queue.LOCAL], f"{task.run_id}:local", task.wire()).sealed(Queue.LOCAL, keyring)


def bury(client: redis.Redis, item: bytes, cause: str = "unforeseen: Bug", queue: str = Queue.LOCAL) -> DeadLetter:
    """Put a letter on the dead queue."""
    letter = dead.letter(queue, cause, item)
    client.lpush(Queue.DEAD.value, dead.wire(letter))
    return letter


def poison(client: redis.Redis, settings: Settings, task: ReplayTask) -> DeadLetter:
    """A poisoned run: the letter keeps the bare payload, and the run has ended as failed, as a commit leaves it."""
    cause = "poison: started 3 times without an end"
    record(settings, make_run(task, State.FAILED, None, reason=cause))
    client.hset(starts.key(identity.attempt_id(task.run_id, Tier.LOCAL, task.options.repeat)), "made", "1")
    return bury(client, identity.canonical_json(task.wire()), cause)


def dealt(client: redis.Redis, settings: Settings, name: str, how: str = "requeue") -> Dealt:
    """Deal with the letter of this id."""
    desk = Desk(settings, client)
    [lying] = letters.choose(client, [name])
    return desk.requeue(lying) if how == "requeue" else desk.discard(lying)


def waiting(client: redis.Redis, keyring: Keyring = UNSIGNED) -> list[ReplayTask]:
    """The tasks on the local queue, oldest first."""
    items: Any = client.lrange(Queue.LOCAL.value, 0, -1)
    return [ReplayTask.model_validate(envelope.opened(item, Queue.LOCAL, keyring).payload) for item in items][::-1]


def actions(client: redis.Redis) -> list[dict[str, Any]]:
    """The records of what was done."""
    return [value for item in stream_records(client) if (value := json.loads(item))["schema"] == "replay_action.v1"]


def write_stream(client: redis.Redis, settings: Settings) -> None:
    """What the writer does with what is on the stream."""
    with EvidenceLog.open(settings.evidence_log) as log:
        log.append([json.loads(item) for item in stream_records(client)])
    client.delete("replay.evidence")


# --- requeue ---------------------------------------------------------------------------------------------------------


def test_a_run_that_has_not_ended_goes_back_as_it_is(settings: Settings, valkey: redis.Redis, batch: Batch) -> None:
    """The message is on its queue, its starts are forgotten, the letter is gone, and the evidence says who did it."""
    task = batch.tasks[0]
    letter = bury(valkey, sealed(task))
    attempt = identity.attempt_id(task.run_id, Tier.LOCAL, 0)
    valkey.hset(starts.key(attempt), "starts", "3")
    moved = valkey.get(MOVED_BACK)
    found = dealt(valkey, settings, letter.id)
    assert found == Dealt(letter.id, Fate.REQUEUED, run_id=task.run_id, queue=Queue.LOCAL)
    assert waiting(valkey) == [task]
    assert valkey.exists(starts.key(attempt), Queue.DEAD.value) == 0
    assert valkey.get(MOVED_BACK) != moved, "a look that goes on meanwhile is made again"
    [done] = actions(valkey)
    assert (done["action"], done["letter_id"], done["cause"]) == ("dead.requeue", letter.id, letter.cause)
    assert (done["run_id"], done["batch_id"], done["new_run_id"]) == (task.run_id, batch.batch_id, None)
    assert "@" in done["who"]
    with EvidenceLog.open(settings.evidence_log) as log:
        assert log.append([done])[0].written


def test_without_a_manifest_the_broker_is_looked_at_first(settings: Settings, valkey: redis.Redis) -> None:
    """The run ended as poison, its end is still on the way to the log: its message does not run a second time."""
    task = make_task(batch_id="batch_elsewhere")
    end = make_run(task, State.FAILED, None, reason="poison: started 3 times without an end")
    letter = bury(valkey, identity.canonical_json(task.wire()), "poison: started 3 times without an end")
    evidence_stream.append(valkey, identity.canonical_json(end.wire()), UNSIGNED)
    found = dealt(valkey, settings, letter.id)
    assert (found.fate, waiting(valkey)) == (Fate.LEFT, [])
    assert "on the way to the log" in found.why


def test_a_message_of_which_a_part_was_kept_is_made_anew(settings: Settings, valkey: redis.Redis) -> None:
    """Its run is known from the beginning of its bytes, and its task stands in the manifest."""
    [line] = make_lines(1)
    long = line.model_copy(update={"checklist": tuple("x" * 8000 + str(n) for n in range(9))})
    batch = submit([long], settings, source="tasks.jsonl", client=valkey).batch
    item = valkey.rpop(Queue.LOCAL.value)
    assert isinstance(item, bytes)
    letter = bury(valkey, item)
    assert not letters.is_whole(letter)
    assert dealt(valkey, settings, letter.id).fate is Fate.REQUEUED
    assert waiting(valkey) == [batch.tasks[0]]


def test_a_poisoned_run_is_made_again_as_a_new_one(settings: Settings, valkey: redis.Redis, batch: Batch) -> None:
    """The first end stays in the evidence, the new run stands for the task, and results show the new end."""
    task = batch.tasks[0]
    letter = poison(valkey, settings, task)
    found = dealt(valkey, settings, letter.id)
    assert (found.fate, found.run_id) == (Fate.REPEATED, task.run_id)
    [new] = waiting(valkey)
    assert (new.run_id, new.options.repeat, new.custom_id) == (found.new_run_id, 1, task.custom_id)
    assert new.run_id != task.run_id
    again = manifest.load(settings.batches_dir, batch.batch_id)
    assert again.tasks == (new, batch.tasks[1])
    assert [row.state for row in results(again, EvidenceReader(settings.evidence_log))] == ["waiting", "waiting"]

    record(settings, make_run(new, State.ACCEPTED))
    write_stream(valkey, settings)
    reader = EvidenceReader(settings.evidence_log)
    assert next((row.state, row.run_id) for row in results(again, reader)) == ("accepted", new.run_id)
    assert progress(again, reader, valkey).done == 1
    schemas = [entry.record["schema"] for entry in reader.run(task.run_id)]
    assert schemas == ["replay_run.v1", "replay_action.v1"]
    assert not any(entry.record["schema"] == "replay_conflict.v1" for entry in reader.iterate())


def test_a_repetition_that_is_poisoned_too_is_repeated_again(
    settings: Settings, valkey: redis.Redis, batch: Batch
) -> None:
    """Each repetition has the next number, and the last one stands."""
    task = batch.tasks[0]
    for number in (1, 2):
        dealt(valkey, settings, poison(valkey, settings, task).id)
        task = manifest.load(settings.batches_dir, batch.batch_id).tasks[0]
        assert task.options.repeat == number
        valkey.delete("replay.evidence", Queue.LOCAL.value)


def test_a_requeue_that_died_in_the_middle_is_finished_by_the_next(
    settings: Settings, valkey: redis.Redis, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repetition was durable and the letter still lies there: asking again makes no second repetition."""
    letter = poison(valkey, settings, batch.tasks[0])

    class Died(Exception):
        """Stands for kill -9."""

    def die(*args: object, **options: object) -> bool:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(exhume, "take", die)
        with pytest.raises(Died):
            dealt(valkey, settings, letter.id)
    owed = manifest.load(settings.batches_dir, batch.batch_id).tasks[0]
    found = dealt(valkey, settings, letter.id)
    assert (found.fate, found.new_run_id) == (Fate.REPEATED, owed.run_id)
    assert waiting(valkey) == [owed]


@pytest.mark.parametrize(
    ("state", "why"), [(State.ACCEPTED, "ended as accepted"), (State.REJECTED, "ended as rejected")]
)
def test_a_run_with_an_answer_is_left_alone(
    settings: Settings, valkey: redis.Redis, batch: Batch, state: State, why: str
) -> None:
    """It ended meanwhile, from another message: nothing is made again, and the letter stays."""
    letter = bury(valkey, sealed(batch.tasks[0]))
    record(settings, make_run(batch.tasks[0], state))
    found = dealt(valkey, settings, letter.id)
    assert (found.fate, why in found.why) == (Fate.LEFT, True)
    assert (waiting(valkey), valkey.llen(Queue.DEAD.value), actions(valkey)) == ([], 1, [])


def test_a_run_that_is_on_its_way_is_left_alone(settings: Settings, valkey: redis.Redis, batch: Batch) -> None:
    """Its message waits, or its end is on the stream: two ends would contradict each other."""
    letter = bury(valkey, sealed(batch.tasks[0]))
    other = bury(valkey, sealed(batch.tasks[1]))
    valkey.lpush(Queue.LOCAL.value, sealed(batch.tasks[0]))
    valkey.xadd("replay.evidence", {"record": identity.canonical_json(make_run(batch.tasks[1]).wire())})
    for name in (letter.id, other.id):
        assert "on the way" in dealt(valkey, settings, name).why
    assert len(waiting(valkey)) == 1


def test_a_cancelled_batch_gets_nothing_back(settings: Settings, valkey: redis.Redis, batch: Batch) -> None:
    """The run would end as cancelled; it is said so."""
    letter = bury(valkey, sealed(batch.tasks[0]))
    cancel(batch, settings, valkey)
    assert "was cancelled" in dealt(valkey, settings, letter.id).why
    assert cancelled.is_cancelled(valkey, batch.batch_id)


def test_a_strangers_message_goes_back_byte_for_byte(settings: Settings, valkey: redis.Redis) -> None:
    """Without a manifest here its own bytes are what there is, if they are whole and may run."""
    task = make_task()
    item = sealed(task)
    letter = bury(valkey, item)
    assert dealt(valkey, settings, letter.id).fate is Fate.REQUEUED
    assert valkey.lrange(Queue.LOCAL.value, 0, -1) == [item]


@pytest.mark.parametrize(
    ("item", "why"),
    [
        pytest.param(b"\xff junk", "would die again (envelope", id="no message"),
        pytest.param(sealed(make_task())[:200] + b" " * 70_000, "only a part", id="cut"),
        pytest.param(
            Envelope(TASK_OF[Queue.LOCAL], "run_1:local", {"schema": "replay_task.v9"}).sealed(Queue.LOCAL),
            "no message of this version",
            id="another version",
        ),
    ],
)
def test_what_would_die_again_is_left(settings: Settings, valkey: redis.Redis, item: bytes, why: str) -> None:
    """Nothing that cannot run is put on a queue; the letter says why it stays."""
    found = dealt(valkey, settings, bury(valkey, item).id)
    assert (found.fate, why in found.why) == (Fate.LEFT, True), found.why
    assert valkey.exists(Queue.LOCAL.value) == 0


def test_a_letter_of_the_evidence_stream_is_left(settings: Settings, valkey: redis.Redis) -> None:
    """It never was a task."""
    letter = bury(valkey, sealed(make_task()), queue="replay.evidence")
    assert "not lie on a queue of tasks" in dealt(valkey, settings, letter.id).why


def test_with_keys_a_strangers_unsigned_message_stays_dead(settings: Settings, valkey: redis.Redis) -> None:
    """Requeueing signs nothing that it cannot prove: neither an envelope nor a bare payload."""
    signed = settings.model_copy(update={"message_key": Settings(message_key=KEY).message_key})
    task = make_task()
    for item in (sealed(task), identity.canonical_json(task.wire())):
        found = dealt(valkey, signed, bury(valkey, item, "signature: missing").id)
        assert (found.fate, "would die again" in found.why) == (Fate.LEFT, True)
    item = sealed(task, Keyring([KEY.encode()]))
    assert dealt(valkey, signed, bury(valkey, item).id).fate is Fate.REQUEUED


def test_with_keys_a_run_of_a_manifest_comes_back_signed(settings: Settings, valkey: redis.Redis, batch: Batch) -> None:
    """What died unsigned, since the key came later, is made anew from the manifest and signed; so is the record."""
    signed = settings.model_copy(update={"message_key": Settings(message_key=KEY).message_key})
    letter = bury(valkey, sealed(batch.tasks[0]), "signature: missing")
    assert dealt(valkey, signed, letter.id).fate is Fate.REQUEUED
    assert waiting(valkey, Keyring([KEY.encode()])) == [batch.tasks[0]]
    entries: Any = valkey.xrange("replay.evidence")
    [(_, fields)] = entries
    assert KEY.encode() not in b"".join(fields.values())
    assert fields[b"signature"].startswith(b"hmac-sha256:")


@pytest.mark.parametrize("signed", [False, True])
def test_no_mangled_message_raises_or_comes_back_mangled(
    settings: Settings, valkey: redis.Redis, batch: Batch, signed: bool
) -> None:
    """Each field missing, of a wrong type or huge: the letter is left, or what goes back is what a worker accepts."""
    if signed:
        settings = settings.model_copy(update={"message_key": Settings(message_key=KEY).message_key})
    keyring = Keyring.of(settings)
    values: list[Any] = [None, 7, [], {}, "", "x" * 100_000, {"a": ["b"]}, "\ud800", "run_1:local", [[[]]]]
    fates = set()
    for task in (batch.tasks[0], make_task()):
        whole = Envelope(TASK_OF[Queue.LOCAL], f"{task.run_id}:local", task.wire()).message(Queue.LOCAL, "tag", keyring)
        for place in ("body", "headers", "properties", "content-type", "id", "task", "replay-signature"):
            for value in values:
                message = json.loads(json.dumps(whole))
                target = message if place in message else message["headers"]
                if value is None:
                    target.pop(place, None)
                else:
                    target[place] = value
                found = dealt(valkey, settings, bury(valkey, json.dumps(message).encode(), "envelope: test").id)
                fates.add(found.fate)
                assert all(one in (batch.tasks[0], task) for one in waiting(valkey, keyring))
                valkey.delete(Queue.LOCAL.value, Queue.DEAD.value, "replay.evidence")
    assert fates == {Fate.LEFT, Fate.REQUEUED}


# --- discard, choice, showing ----------------------------------------------------------------------------------------


def test_discarding_removes_and_records(settings: Settings, valkey: redis.Redis, batch: Batch) -> None:
    """The letter is gone and nothing is enqueued; what was done is in the evidence."""
    letter = bury(valkey, sealed(batch.tasks[0]))
    assert dealt(valkey, settings, letter.id, "discard") == Dealt(
        letter.id, Fate.DISCARDED, run_id=batch.tasks[0].run_id
    )
    assert valkey.exists(Queue.DEAD.value, Queue.LOCAL.value) == 0
    assert [(done["action"], done["queue"]) for done in actions(valkey)] == [("dead.discard", "")]


def test_of_two_who_deal_with_one_letter_one_does(settings: Settings, valkey: redis.Redis, batch: Batch) -> None:
    """The move is one step on the server: the second one finds nothing and publishes nothing."""
    letter = bury(valkey, sealed(batch.tasks[0]))
    [lying] = letters.choose(valkey, [letter.id])
    desk = Desk(settings, valkey)
    assert [desk.discard(lying).fate, desk.discard(lying).fate] == [Fate.DISCARDED, Fate.LEFT]
    assert desk.requeue(lying).fate is Fate.LEFT
    assert len(actions(valkey)) == 1
    assert queues.depths(valkey).waiting[Queue.LOCAL] == 0


def test_letters_are_chosen_by_beginnings_and_causes(valkey: redis.Redis) -> None:
    """An id by an unambiguous beginning, a cause by its beginning, all by saying so; nothing by saying nothing."""
    one, two = bury(valkey, b"1", "poison: a"), bury(valkey, b"2", "payload: b")
    valkey.lpush(Queue.DEAD.value, b"junk")

    def ids(*names: str, **options: Any) -> list[str]:
        return [lying.letter.id for lying in letters.choose(valkey, names, **options)]

    assert ids(one.id[:12]) == ids(one.id.removeprefix("dead_")[:7]) == [one.id]
    assert ids(cause="p") == [one.id, two.id]
    assert ids(cause="poison:") == ids(one.id, one.id) == [one.id]
    assert ids(two.id, cause="poison:") == []
    junk = ids(everything=True)[-1]
    assert ids(junk) == [junk], "a stranger's bytes have a name that stays"
    for wrong, words in ((("dead_",), "3 letters begin"), (("dead_zz",), "no letter"), ((), "no letter is chosen")):
        with pytest.raises(InputError, match=words):
            ids(*wrong)


def test_what_is_shown_cannot_steer_a_terminal() -> None:
    """Controls, also those that hide in JSON or turn the direction of text, are shown as escapes."""
    task = make_task("Verify \x1b]0;title\x07 and \u202e and \x9b that é holds.")
    shown = letters.readable(dead.letter(Queue.LOCAL, "test", sealed(task)))
    assert "\\u001b]0;title\\u0007 and \\u202e and \\x9b that é holds." in shown
    for item in (b"\x1b[2J\xff\xfe", json.dumps({"body": "\ud800\x1b"}).encode(), b"[" * 100_000):
        text = letters.readable(dead.letter(Queue.LOCAL, "test", item))
        text.encode()
        assert "\x1b" not in text
