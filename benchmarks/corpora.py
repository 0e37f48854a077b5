"""The corpora that are measured on, and the audit tasks that are asked of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from producer import intake
from producer.line import TaskLine
from replay.contracts import Record, ReplayTask
from replay.corpus import playbooks, sources
from tests.factories import make_task

ROOT = Path(__file__).parents[1]
PACKAGES = ("celery", "kombu", "redis")
SMALL = "the playbook and package:vine"
FULL = "the playbook and package:celery, kombu, redis"


def small() -> list[Record]:
    """About a hundred records: retrieval is real and takes little."""
    return _records("vine")


def full() -> list[Record]:
    """About 11,000 records: what the quickstart builds."""
    return _records(*PACKAGES)


def audit_lines() -> tuple[TaskLine, ...]:
    """The 40 audit tasks."""
    return intake.read(ROOT / "data/tasks/celery-audit.jsonl").lines


def audit_tasks(count: int, batch_id: str, **options: bool) -> Iterator[ReplayTask]:
    """So many tasks of one batch, the audit tasks over and over, each a run of its own."""
    for number, line in enumerate(islice(cycle(audit_lines()), count)):
        yield make_task(
            line.task,
            custom_id=f"{line.custom_id}-{number}",
            batch_id=batch_id,
            checklist=line.checklist,
            options=options,
        )


def _records(*packages: str) -> list[Record]:
    found = [record for package in packages for record in sources.read(f"package:{package}")[0]]
    return [*found, *playbooks.read(ROOT / "data/playbooks/celery-playbook.jsonl").records]
