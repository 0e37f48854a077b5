"""The scripted model server of a chaos run: it answers within 2 to 50 ms, and a share of its answers escalates.

A share of them takes seconds, so that whoever is killed or frozen has something in hand, leases have to be renewed, and
the work lasts as long as the faults.

`python -m chaos.model --port 8500 --seed 1`. It is random for each request, as a real model is: an attempt that is made
twice may well end in two ways, and the evidence has to stand that.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.scripted_model import Reply, ScriptedModel

SLOWEST_S = 0.050
FASTEST_S = 0.002
SLOW_S = (0.5, 2.5)
REJECTED = 0.3
_NOWHERE = "4711"


class MoodyModel(ScriptedModel):
    """A scripted model with moods.

    Args:
        seed: Of the moods.
        slow: Share of answers that take seconds.
        port: 0 takes a free one.
    """

    def __init__(self, seed: int, slow: float, port: int = 0) -> None:
        super().__init__(port=port)
        self._slow = slow
        self._rng = random.Random(seed)  # noqa: S311  dice, no secret

    @contextmanager
    def generation(self, request: dict[str, Any], authorization: str | None) -> Iterator[tuple[Reply, str]]:
        """Answer as the script does, later, or so that the gate rejects it."""
        span = SLOW_S if self._rng.random() < self._slow else (FASTEST_S, SLOWEST_S)
        delay_s, is_rejected = self._rng.uniform(*span), self._rng.random() < REJECTED
        time.sleep(delay_s)
        with super().generation(request, authorization) as (reply, content):
            yield reply, _wrong(content) if is_rejected else content


def _wrong(content: str) -> str:
    """The same answer with a value that stands nowhere in the evidence."""
    answer = json.loads(content)
    for finding in answer.get("findings", ()):
        finding.update(found=_NOWHERE, expected=_NOWHERE)
    return json.dumps(answer)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m chaos.model", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slow", type=float, default=0.05, help="share of answers that take seconds")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with MoodyModel(options.seed, options.slow, options.port):
        stop.wait()


if __name__ == "__main__":
    main()
