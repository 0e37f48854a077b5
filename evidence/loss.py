"""Going on with a log that lost what a checkpoint promises: an explicit act of a person, recorded in the log itself.

A writer never goes on by itself from a log that does not extend its last checkpoint: a restored backup looks like a
sound log. Whoever knows that the rest is gone for good says so here, with a reason. Nothing is deleted: the checkpoints
that tell of what was lost get another name beside the new ones, and the last of them stands in the record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field

from replay.contracts import Message
from replay.errors import InputError
from replay.identity import digest
from replay.settings import Settings

from . import checkpoints
from .checkpoints import Noted, Policy
from .log import EvidenceLog
from .reader import EvidenceReader


class Loss(Message):
    """What was lost, who accepted that, and why."""

    schema_: Literal["replay_loss.v1"] = Field("replay_loss.v1", alias="schema")
    id: str = Field(description="Derived from the checkpoints.")
    had: int = Field(description="Records that the log had by its last checkpoint.")
    head: str = Field(description="Hash of the last of them.")
    has: int = Field(description="Records that it had when the loss was accepted, one of a recovery included.")
    checkpoints: tuple[str, ...] = Field(description="The last checkpoint of each file, whole, with its signature.")
    who: str = Field(description="User and host, as that machine says.")
    reason: str
    recorded_at: str

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


@dataclass(frozen=True)
class Accepted:
    """What was done: the record, and where the old checkpoints lie now."""

    loss: Loss
    kept: tuple[Path, ...]


def unmet(settings: Settings) -> list[Noted]:
    """The last checkpoints that the log does not extend; none where all is well.

    Raises:
        EvidenceDamaged: A line of the log is not what was written: that is no loss that could be accepted.
    """
    log = settings.evidence_log.absolute()
    standing = [noted for path in checkpoints.paths_of(log, Policy.of(settings)) if (noted := checkpoints.last(path))]
    missed = [noted for noted in standing if not checkpoints.extends(log, noted.checkpoint)]
    if missed:
        checkpoints.refuse_damage(log)
    return missed


def accept(settings: Settings, *, who: str, reason: str, permit: Callable[[], None] = lambda: None) -> Accepted:
    """Go on from the log as it is.

    Killed on the way, the same command finishes what was begun: the record is found by its id.

    Args:
        settings: Which log, and how it is written.
        who: Accepts it.
        reason: Why; not empty.
        permit: See `EvidenceLog.open`.

    Raises:
        InputError: Nothing was lost.
        EvidenceLocked: A writer has the log.
        EvidenceDamaged: The log is damaged besides.
        AppendFailed: The disk said no.
    """
    missed = unmet(settings)
    if not missed:
        raise InputError(
            f"{settings.evidence_log} extends its last checkpoint: nothing was lost",
            hint="`replay evidence verify` proves the rest.",
        )
    notes = tuple(noted.note for noted in missed)
    furthest = max((noted.checkpoint for noted in missed), key=lambda checkpoint: checkpoint.size)
    with EvidenceLog.of(settings, permit, forgiven=notes) as log:
        loss = Loss(
            id="loss_" + digest(list(notes))[7:31],
            had=furthest.size,
            head=furthest.head,
            has=log.head.seq,
            checkpoints=notes,
            who=who,
            reason=reason,
            recorded_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        told = EvidenceReader(settings.evidence_log).get(loss.id)
        if told is not None:
            # An earlier try died between these two steps.
            loss = Loss.model_validate(told.record)
        else:
            log.append([loss.wire()])
        # Dies before this: the old checkpoints still refuse the log, and the record is found when it is accepted again.
        kept = log.set_checkpoints_aside(notes)
    return Accepted(loss, tuple(kept))
