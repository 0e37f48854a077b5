"""A batch of one task, for `replay run`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence

import redis

from producer.line import LineError, TaskLine, parse
from producer.submit import Submission, submit
from replay.contracts import TaskOptions
from replay.errors import InputError
from replay.settings import Settings

CUSTOM_ID = "run"


def line_of(
    text: str, checklist: Sequence[str] = (), options: TaskOptions | None = None, tags: Sequence[str] = ()
) -> TaskLine:
    """A task from the command line, held to the same rules as a line of a file.

    Raises:
        InputError: It is empty, too long, or otherwise no task.
    """
    raw = {
        "custom_id": CUSTOM_ID,
        "task": text,
        "checklist": list(checklist),
        "tags": list(tags),
        "options": (options or TaskOptions()).wire(),
    }
    # Through bytes, so that an argument that is not UTF-8 is refused by the same rule as a file's line.
    item = parse(json.dumps(raw, ensure_ascii=False).encode("utf-8", errors="surrogateescape"), 1)
    if isinstance(item, LineError):
        raise InputError(f"{item.field or 'task'}: {item.error}.", hint='Example: replay run --task "Verify that …"')
    return item


def submit_one(line: TaskLine, settings: Settings, *, client: redis.Redis | None = None) -> Submission:
    """Submit one task as a new batch, however often the same task was run before.

    Raises:
        CorpusError: There is no corpus and the task wants retrieval.
        BrokerUnavailable: It does not answer.
        AppendFailed: The manifest could not be made durable.
    """
    return submit([line], settings, source="replay run", nonce=uuid.uuid4().hex, client=client)
