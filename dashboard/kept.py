"""What was computed for one page, kept for the next one while it is as good as new."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")

_UNCHANGED_S = 20.0


class Kept(Generic[Value]):
    """Values by key. One is used again while the evidence is the same, and, however fast that grows, for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Hashable, tuple[float, int, Value]] = {}

    def get(self, key: Hashable, seq: int, good_for_s: float, make: Callable[[], Value]) -> Value:
        """The value of a key.

        Args:
            key: Of a small set: none is ever forgotten.
            seq: The last record that the views have.
            good_for_s: How long the value does, although there is newer evidence.
            make: Makes it anew.
        """
        now = time.monotonic()
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and now - kept[0] < (_UNCHANGED_S if kept[1] == seq else good_for_s):
                return kept[2]
            value = make()
            self._kept[key] = (now, seq, value)
            return value
