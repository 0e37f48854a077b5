"""The order in which tasks are enqueued, so that prompts with the same beginning meet at the model server.

A server that keeps the beginning of a prompt computes only what differs, and it keeps few of them. The bundle, of which
most of a prompt is made, is not known before a worker retrieves; so the words of a task stand in for it, twice:

- Tasks whose three rarest subject words are the same are variants of one another: asked again, in other words, or with
  another value. Retrieval gives them the same records. They stand together.
- These groups follow each other by their common words, the most common first: worked examples are found by the words
  that many claims share ("defaults to", "is a subclass of"), so neighbours share examples.

Tasks with and without a checklist, or without retrieval, have different instructions at the very beginning, and are
kept apart before anything else. What is rare is counted within a window; a window is put in order as a whole and never
mixed with the next one, so a task is at most a window late, and memory holds one window, whatever a batch's length.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple, TypeVar

from replay.contracts import ReplayTask

Item = TypeVar("Item")

WINDOW = 2048
WINDOW_CHARACTERS = 4 * 1024 * 1024
"""A window ends at the one or the other: tasks may be long."""

_RAREST = 3
# Of a text, in characters or bytes: what a claim is about is said at its beginning.
_READ = 1000
# A quoted value is one word, and so is a number with its unit; they vary between the variants of one task.
_UNIT = r"(?:[ -](?:ms|[kmg]i?b|(?:milli)?seconds?|minutes?|hours?|days?|bytes?|times)\b)?"
_WORD = re.compile(rf"`[^`]*`|\"[^\"]*\"|\d\w*{_UNIT}|\w+")
_ASKING_WORDS = """
a an and are as audit be been by check claim confirm default defaults does ensure every exactly find for from has
have if in is it its make more no not of on once one only or out per s say says state states sure that the their there
this to true until verify was were when where whether which who will with without
"""
# What claims are made of, whatever they are about.
_ASKING = frozenset(_ASKING_WORDS.split())


class Asked(NamedTuple):
    """What of a task shows in its prompt before anything is retrieved.

    Attributes:
        text: The claim, or its beginning; JSON's escapes may stand in it.
        size: Characters or bytes of all that is held of the task.
        is_baseline: Without retrieval it has rules of its own.
        has_checklist: With one there is a line more in the rules.
    """

    text: str
    size: int
    is_baseline: bool
    has_checklist: bool


def in_task(task: ReplayTask) -> Asked:
    """What a task asks."""
    size = len(task.text) + sum(map(len, task.checklist)) + sum(map(len, task.tags))
    return Asked(task.text[:_READ], size, not task.options.retrieval, bool(task.checklist))


def in_line(owed: tuple[str, bytes]) -> Asked:
    """What a task asks that is canonical JSON, as it lies in a manifest, behind its run's id.

    The line is searched and not parsed, which would take as long as all else here: within a JSON text no quote stands
    without a backslash, so these marks are found where they belong and nowhere else.
    """
    before, _, text = owed[1].rpartition(b'"text":"')
    return Asked(
        text[:_READ].decode("utf-8", "replace"),
        len(owed[1]),
        b'"retrieval":false' in before,
        b'"checklist":[]' not in before,
    )


def arranged(runs: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Owed runs in the order in which they are enqueued."""
    return ordered(runs, in_line)


def ordered(
    items: Iterable[Item],
    asked: Callable[[Item], Asked],
    *,
    window: int = WINDOW,
    characters: int = WINDOW_CHARACTERS,
) -> Iterator[Item]:
    """Give the same items, each window of them in an order in which beginnings of prompts meet.

    The order follows from the tasks alone: the same tasks come in the same order again.

    Args:
        items: Tasks in any form, in the order in which they were submitted.
        asked: Reads one.
        window: Items that are put in order together; one is at most so many places late. 1 changes nothing.
        characters: Or fewer, where they are larger than this together.
    """
    held: list[Item] = []
    read: list[Asked] = []
    size = 0
    for item in items:
        held.append(item)
        read.append(asked(item))
        size += read[-1].size
        if len(held) >= window or size >= characters:
            yield from (held[place] for place in _order(read))
            held, read, size = [], [], 0
    yield from (held[place] for place in _order(read))


def _order(tasks: list[Asked]) -> Iterator[int]:
    """The places of one window, group by group."""
    words = [frozenset(_WORD.findall(task.text.lower())) for task in tasks]
    count = Counter(chain.from_iterable(words))
    # Numbers instead of words from here on, the most common word has the least.
    known = sorted(count, key=lambda word: (-count[word], word))
    number = {word: place for place, word in enumerate(known)}.__getitem__
    # A word that no other task of the window has brings it together with none.
    is_subject = [count[word] > 1 and word[0].isalpha() and word not in _ASKING for word in known]

    groups: dict[tuple[bool, bool, tuple[int, ...]], list[int]] = {}
    numbers = [sorted(map(number, each)) for each in words]
    for place, (task, its) in enumerate(zip(tasks, numbers, strict=True)):
        rarest = [one for one in its if is_subject[one]] or its
        groups.setdefault((task.is_baseline, task.has_checklist, tuple(rarest[-_RAREST:])), []).append(place)

    for group in sorted(groups, key=lambda group: (*group[:2], numbers[groups[group][0]])):
        # Within it the same texts stand together; sorting keeps the order of equal ones.
        yield from sorted(groups[group], key=lambda place: tasks[place].text)
