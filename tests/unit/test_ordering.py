"""The order of enqueuing: variants together, nothing lost, nothing later than a window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, cast

import fakeredis
import pytest

from broker import envelope
from producer.line import TaskLine
from producer.ordering import WINDOW_CHARACTERS, arranged, in_task
from producer.ordering import ordered as in_order
from producer.submit import submit
from replay.contracts import ReplayTask
from replay.corpus import snapshot
from replay.identity import canonical_json
from replay.settings import Settings
from replay.topology import Queue
from tests.factories import make_bundle, make_task

SUBJECTS = (
    "broker connection timeout",
    "worker prefetch multiplier",
    "beat scheduler interval",
    "result backend expiry",
)
FORMS = (
    "Verify that Celery's {} defaults to 4.",
    "Check once more whether Celery's {} defaults to 4.",
    "Verify that Celery's {} defaults to 12 seconds.",
    "Verify that Celery's {} defaults to `None`.",
)


def _tasks(texts: Sequence[str], **fields: object) -> list[ReplayTask]:
    return [make_task(text, custom_id=str(number), **fields) for number, text in enumerate(texts)]


def _ordered(tasks: Iterable[ReplayTask], **bounds: int) -> Iterator[ReplayTask]:
    return in_order(tasks, in_task, **bounds)


def _names(tasks: Sequence[ReplayTask]) -> list[str]:
    return [task.custom_id for task in tasks]


def test_variants_of_one_task_stand_together() -> None:
    """Asked again, in other words or with another value: the subject keeps them together."""
    texts = [form.format(subject) for form in FORMS for subject in SUBJECTS]
    found = [next(s for s in SUBJECTS if s in task.text) for task in _ordered(_tasks(texts))]
    changes = sum(1 for one, next_one in pairwise(found) if one != next_one)
    assert changes == len(SUBJECTS) - 1


def test_the_same_text_stands_in_one_row_in_its_order() -> None:
    """Repeats of one task follow each other as they were submitted."""
    tasks = _tasks(["Verify that a is 1.", "Verify that b is 2."] * 3)
    names = _names(list(_ordered(tasks)))
    assert sorted([names[:3], names[3:]]) == [["0", "2", "4"], ["1", "3", "5"]]


def test_other_instructions_stand_apart() -> None:
    """A checklist, or no retrieval, changes the very beginning of a prompt: nothing is shared across them."""
    texts = [form.format(subject) for form in FORMS for subject in SUBJECTS]
    mixed = [
        make_task(task.text, custom_id=task.custom_id, checklist=["it"] if number % 2 else [])
        for number, task in enumerate(_tasks(texts))
    ]
    has_list = [bool(task.checklist) for task in _ordered(mixed)]
    assert has_list == sorted(has_list)


@pytest.mark.parametrize("window", [1, 7, 64])
def test_every_task_comes_once_and_at_most_a_window_late(window: int) -> None:
    """Age stays bounded: what was submitted earlier than a whole window before comes before."""
    texts = [f"Verify that {'abcdef'[n * 7 % 6]} of {'uvw'[n * 5 // 3 % 3]} is {n * 37 % 100}." for n in range(200)]
    places = [int(name) for name in _names(list(_ordered(_tasks(texts), window=window)))]
    assert sorted(places) == list(range(200))
    assert all(abs(place - now) < window for now, place in enumerate(places))


def test_long_tasks_end_a_window_early() -> None:
    """Memory is bounded by what is held, not by how many it is."""
    tasks = _tasks([f"Verify that {'x' * 1000} is {number}." for number in range(10)])
    taken = []

    def told() -> Iterator[ReplayTask]:
        for task in tasks:
            taken.append(task)
            yield task

    next(iter(_ordered(told(), characters=3000)))
    assert len(taken) == 3


@pytest.mark.parametrize("field", ["text", "checklist", "tags"])
def test_what_is_held_of_a_task_counts_whole(field: str) -> None:
    """Of a long text only the beginning is read, but all of it is held; so are checklists and tags."""
    long = "Verify that it is so. " + "x" * 20_000
    fields: dict[str, Any] = {field: long if field == "text" else [long]}
    task = make_task(**fields)
    taken = 0

    def told() -> Iterator[tuple[str, bytes]]:
        nonlocal taken
        while taken < 2000:
            taken += 1
            yield task.run_id, canonical_json(task.wire())

    next(iter(arranged(told())))
    assert taken == 1 + WINDOW_CHARACTERS // len(canonical_json(task.wire()))


def test_a_stream_without_end_is_ordered_as_it_comes() -> None:
    """Nothing is read beyond the window that is needed."""

    def endless() -> Iterator[ReplayTask]:
        number = 0
        while True:
            yield make_task(f"Verify that {number % 5} is so.", custom_id=str(number))
            number += 1

    assert len(list(islice(_ordered(endless(), window=10), 25))) == 25


def test_the_order_follows_from_the_tasks_alone() -> None:
    """Texts without a word, and in any script, have a place too; the same tasks have the same order."""
    texts = [
        "???",
        "验证 超时 为 3600",
        "Überprüfe, ob das Zeitlimit 60 s ist.",
        "`a` `b`",
        "42",
        "Verify that it is.",
    ] * 2
    once, again = (_names(list(_ordered(_tasks(texts)))) for _ in range(2))
    assert once == again
    assert len(once) == len(texts)


def test_lines_of_a_manifest_come_in_the_order_of_their_tasks() -> None:
    """What is enqueued is JSON already; it is read for the order and passed on as it is."""
    texts = [form.format(subject) for form in FORMS for subject in SUBJECTS]
    tasks = _tasks(texts, checklist=["it"]) + _tasks(texts, batch_id="batch_other", options={"retrieval": False})
    lines = [(task.run_id, canonical_json(task.wire())) for task in tasks]
    assert list(arranged(iter(lines))) == [(task.run_id, canonical_json(task.wire())) for task in _ordered(tasks)]


def test_a_batch_is_enqueued_in_this_order(tmp_path: Path) -> None:
    """The manifest keeps the order of the file; the queue has the variants together."""
    settings = Settings(data_dir=tmp_path)
    snapshot.write([hit.record for hit in make_bundle().passages], settings.corpus_dir)
    texts = [form.format(subject) for form in FORMS for subject in SUBJECTS]
    lines = [TaskLine(custom_id=str(number), task=text) for number, text in enumerate(texts)]
    with fakeredis.FakeRedis(server=fakeredis.FakeServer()) as client:
        batch = submit(lines, settings, source="tasks.jsonl", client=client).batch
        waiting = cast("list[bytes]", client.lrange(Queue.LOCAL.value, 0, -1))[::-1]
    tasks = [ReplayTask.model_validate(envelope.opened(item, Queue.LOCAL).payload) for item in waiting]
    assert [task.text for task in batch.tasks] == texts
    assert tasks == list(_ordered(batch.tasks))
    assert tasks != list(batch.tasks)
