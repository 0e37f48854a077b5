"""Small true messages for tests: a task, a bundle with one source record and its lines, a reply."""

from __future__ import annotations

import json
from typing import Any

from replay import identity
from replay.contracts import Bundle, EvidenceLine, Generation, Hit, Record, RecordKind, ReplayTask, TaskOptions

SOURCE = """\
class Channel(virtual.Channel):
    unacked_mutex_expire = 300  # 5 minutes
    visibility_timeout = 3600  # 1 hour
    socket_timeout = None
    priority_cls = 'round_robin'
"""


def make_task(
    text: str = "Verify that the visibility timeout of kombu's Redis channel is 1 hour.", **fields: Any
) -> ReplayTask:
    """A task of its own batch; any field can be given."""
    checklist = tuple(fields.pop("checklist", ()))
    hashed = identity.task_hash(text, checklist)
    batch = fields.pop("batch_id", "batch_test")
    custom_id = fields.pop("custom_id", "one")
    return ReplayTask(
        run_id=identity.run_id(batch, custom_id, hashed),
        batch_id=batch,
        custom_id=custom_id,
        task_hash=hashed,
        text=text,
        checklist=checklist,
        options=TaskOptions(**fields.pop("options", {})),
        **fields,
    )


def make_bundle(
    source: str = SOURCE,
    *,
    path: str = "kombu/transport/redis.py",
    title: str = "kombu.transport.redis.Channel",
    first_line: int = 400,
) -> Bundle:
    """A bundle with one passage, each line of which is shown, in order."""
    lines = source.splitlines()
    record = Record(
        record_id="src_channel",
        kind=RecordKind.SOURCE,
        text=source,
        title=title,
        path=path,
        first_line=first_line,
        last_line=first_line + len(lines) - 1,
        origin="kombu 5.7.0",
    )
    shown = tuple(
        EvidenceLine(
            line_id=f"L{n}", record_id=record.record_id, line_no=first_line + n - 1, text=text.strip(), score=1.0
        )
        for n, text in enumerate(lines, start=1)
    )
    return Bundle(
        corpus_version="corpus_test",
        tokenizer="tokens.v1",
        passages=(Hit(record=record, score=1.0, scorer="containment.v2"),),
        lines=shown,
    )


def make_reply(line: str = "L3", found: str = "3600", expected: str = "1 hour", **extra: Any) -> str:
    """A reply as a model writes it."""
    return json.dumps({"findings": [{"line": line, "found": found, "expected": expected}], **extra})


UNSURE = json.dumps({"findings": [{"line": "none"}]})


def make_generation(content: str | None = None, **fields: Any) -> Generation:
    """A reply as the client hands it over."""
    return Generation(
        **{
            "model": "scripted",
            "endpoint": "http://127.0.0.1",
            "response_format": "json_schema",
            "finish_reason": "stop",
            "content": make_reply() if content is None else content,
            **fields,
        }
    )
