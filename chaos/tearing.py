"""A torn end of the log, as a crash leaves it: a line cut in its middle, or a part of a line that was being written."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

from evidence import checkpoints


def is_whole(log: Path) -> bool:
    """Tell whether the active file of a log has lines, the last of them complete."""
    return log.exists() and log.read_bytes().endswith(b"\n")


def tear(log: Path, rng: random.Random) -> str | None:
    """Tear the active file of a log that nobody writes, and say how; None where it has no whole last line.

    A line up to which a checkpoint goes is never cut: the checkpoint came after its fsync, so no crash takes it away,
    and a writer rightly refuses a log that has lost it.

    Args:
        log: Its active file.
        rng: Draws the kind and the place.
    """
    if not is_whole(log):
        return None
    content = log.read_bytes()
    begin = content.rfind(b"\n", 0, -1) + 1
    length = len(content) - begin
    at = rng.randrange(1, length)
    if rng.random() < 0.5 and json.loads(content[begin:])["chain"]["seq"] > _promised(log):
        os.truncate(log, begin + at)
        return f"the last line cut after {at} of {length} bytes"
    with log.open("ab") as file:
        file.write(content[begin : begin + at])
    return f"{at} bytes of a line appended"


def _promised(log: Path) -> int:
    """How many records the last checkpoint says that the log has."""
    noted = checkpoints.last(checkpoints.checkpoints_path(log))
    return 0 if noted is None else noted.checkpoint.size
