"""How fast something gets done, from looks at how much is done: nothing is asked or kept besides."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable

WINDOW_S = 120.0
_KNOWN = 500


class Pace:
    """Remembers how much was done when, by name.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looks: OrderedDict[str, deque[tuple[float, int]]] = OrderedDict()

    def per_s(self, name: str, done: int, since_s: float | None) -> float | None:
        """The rate over the last two minutes of looks.

        Args:
            name: Of what is done.
            done: How much of it, now.
            since_s: Seconds since it was begun; the rate of the first look is that since then. None: unknown.
        """
        now = self._clock()
        looks = self._looks.setdefault(name, deque())
        self._looks.move_to_end(name)
        if looks and done < looks[-1][1]:
            looks.clear()  # made again, or another one of that name
        looks.append((now, done))
        while len(looks) > 2 and now - looks[1][0] > WINDOW_S:
            looks.popleft()
        while len(self._looks) > _KNOWN:
            self._looks.popitem(last=False)
        then, done_then = looks[0]
        if now - then >= 5:
            return (done - done_then) / (now - then)
        return done / since_s if since_s else None
