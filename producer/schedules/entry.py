"""One recurring replay: what is to be run and when, as a person said it, and how far that has come."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints, model_validator

from producer.intake import Overrides
from producer.marks import Priority
from producer.schedules import times
from replay.contracts import Message
from replay.errors import InputError

GRACE_S = 900
MOST = 10

# Names are names of files, also where small and capital letters are the same.
_NAME = r"[a-z0-9][a-z0-9._-]{0,63}"


class CatchUp(StrEnum):
    """What becomes of what was due while nothing ran.

    `SKIP`: nothing, but of the newest one while it is no later than its grace. `LAST`: the newest one runs. `ALL`: the
    newest ones run, so many at most, in their order.
    """

    SKIP = "skip"
    LAST = "last"
    ALL = "all"


class Fired(Message):
    """A run of an entry.

    Attributes:
        due: When it was due, without jitter.
        at: When it was submitted.
        batch_id: What it became.
    """

    due: AwareDatetime
    at: AwareDatetime
    batch_id: str


class Entry(Message):
    """A recurring replay.

    Attributes:
        name: Part of the identity of every batch that comes of it.
        cron: Five fields.
        timezone: In which they are meant.
        source: Name of the file that the tasks came from.
        tasks_sha256: Hash of the copy of that file.
        tasks: How many there are.
        local_only: Never ask the large model.
        retrieval: False is the marked baseline.
        reuse: May answers be used that were given before? A replay is made to be made again, so by default not.
        priority: Where in the queue it is put.
        tags: Put on every task.
        jitter_s: A run begins up to so many seconds after it is due.
        catch_up: What becomes of what was due while nothing ran.
        catch_up_most: With `all`, at most so many of them.
        grace_s: With `skip`, what is later than this is missed.
        paused: Nothing of it runs.
        created_at: When it was made.
        done_until: What was due up to this moment is settled: it ran, or is not to run.
        last: Its last run.
        missed: The newest due time that was left out.
        trouble: Why what is due does not run.
    """

    schema_: Literal["replay_schedule.v1"] = Field("replay_schedule.v1", alias="schema")
    name: Annotated[str, StringConstraints(pattern=f"^{_NAME}$")]
    cron: str
    timezone: str = "UTC"
    source: str
    tasks_sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    tasks: int = Field(ge=1)
    local_only: bool = False
    retrieval: bool = True
    reuse: bool = False
    priority: Priority | None = None
    tags: tuple[str, ...] = ()
    jitter_s: int = Field(0, ge=0, le=86400)
    catch_up: CatchUp = CatchUp.SKIP
    catch_up_most: int = Field(MOST, ge=1, le=1000)
    grace_s: int = Field(GRACE_S, ge=1)
    paused: bool = False
    created_at: AwareDatetime
    done_until: AwareDatetime
    last: Fired | None = None
    missed: AwareDatetime | None = None
    trouble: str | None = None

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="after")
    def _is_ever_due(self) -> Self:
        times.check(self.cron, self.timezone)
        return self

    def runs_at(self, due: datetime) -> datetime:
        """When it is to run that is due at a moment."""
        return due + times.jitter(self.name, due, self.jitter_s)

    def nonce(self, due: datetime) -> str:
        """What makes the batch of this moment another one than that of any other, and the same whoever submits it."""
        return f"{self.name}@{times.written(due)}"

    def overrides(self) -> Overrides:
        """What is decided for all its tasks."""
        return Overrides(
            allow_escalation=False if self.local_only else None,
            retrieval=None if self.retrieval else False,
            reuse=None if self.reuse else False,
            tags=self.tags,
        )


def check_name(name: str) -> str:
    """See to it that a name is one.

    Raises:
        InputError: It is not.
    """
    if not re.fullmatch(_NAME, name):
        raise InputError(
            f"{name[:80]!r} is no name of a schedule.",
            hint="Up to 64 small letters, digits, dots, hyphens and underscores, a letter or digit first: nightly-docs",
        )
    return name


def check_jitter(cron: str, timezone: str, jitter_s: int, now: datetime) -> None:
    """See to it that runs come in the order in which they are due.

    Raises:
        InputError: A jitter is as long as the time between two of them.
    """
    gap = times.shortest_gap(cron, timezone, now)
    if gap is not None and timedelta(seconds=jitter_s) >= gap:
        raise InputError(
            f"A jitter of {jitter_s:,} s is not shorter than the time between two runs, {gap.total_seconds():,.0f} s.",
            hint="Choose a shorter one, or a rarer cron expression.",
        )
