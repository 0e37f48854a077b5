"""A bound on guesses: so many wrong tokens from one address in a minute, then none is looked at for a while."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable

WRONG = 5
WINDOW_S = 60.0
_ADDRESSES = 4096


class Throttle:
    """Counts wrong tokens by address.

    A right token does not clear the count: whoever has a viewer's token could otherwise go on guessing the operator's.

    Args:
        wrong: How many in a window are let pass.
        window_s: Its length in seconds.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, *, wrong: int = WRONG, window_s: float = WINDOW_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wrong = wrong
        self._window_s = window_s
        self._clock = clock
        # The one that was wrong least recently is forgotten first: memory is bounded whoever comes from wherever.
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Seconds until a token from there is looked at again; 0: at once."""
        failures = self._failures.get(_source(address))
        if failures is None or len(failures) < self._wrong:
            return 0.0
        return max(0.0, failures[0] + self._window_s - self._clock())

    def failed(self, address: str) -> None:
        """Note a wrong token."""
        source = _source(address)
        failures = self._failures.setdefault(source, deque(maxlen=self._wrong))
        failures.append(self._clock())
        self._failures.move_to_end(source)
        while len(self._failures) > _ADDRESSES:
            self._failures.popitem(last=False)


def _source(address: str) -> str:
    """Whom an address belongs to: of IPv6 a person has a whole /64."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
