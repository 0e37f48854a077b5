"""What open pages are told: one poller for all of them, which looks while somebody watches and rests otherwise.

A topic is a name and a function that takes a look and gives what is to be shown, as JSON. Each look is taken and
encoded once, however many pages show it. A page that reads slowly misses looks and costs no memory: it gets the newest
when it is ready for one.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
# A comment now and then, so that proxies keep the connection and a page that went away is noticed.
_KEEP_ALIVE_S = 15.0


class Live:
    """The stream of server-sent events.

    Args:
        interval_s: Seconds between two looks.
    """

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._makers: dict[str, Callable[[], Any]] = {}
        self._watched: Counter[str] = Counter()
        self._latest: dict[str, bytes] = {}
        self._news = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self.looks = 0
        # Asked after each look: a server that is ending waits for its streams to end.
        self.ending: Callable[[], bool] = lambda: False

    def topic(self, name: str, look: Callable[[], Any]) -> None:
        """Register what is pushed under a name. `look` runs in a thread and gives a JSON object.

        Its members: `html`, fragments by the name in `data-live` of the element whose content they become; `charts`,
        series by the name in `data-chart`; anything else a page's own script understands.
        """
        self._makers[name] = look

    @property
    def topics(self) -> tuple[str, ...]:
        """The names that can be watched."""
        return tuple(self._makers)

    @property
    def watching(self) -> int:
        """How many pages watch."""
        return max(self._watched.values(), default=0)

    async def events(self, names: tuple[str, ...]) -> AsyncGenerator[bytes, None]:
        """The events of these topics for one page, until it goes away: each look that differs from the one before."""
        sent: dict[str, bytes] = {}
        self._watched.update(names)
        if self._poller is None or self._poller.done():
            self._news = asyncio.Event()
            self._latest.clear()
            self._poller = asyncio.create_task(self._poll())
        try:
            yield b"retry: 2000\n\n"
            while not self.ending():
                news = self._news
                for name in names:
                    data = self._latest.get(name)
                    if data is not None and sent.get(name) is not data:
                        sent[name] = data
                        yield b"event: %b\ndata: %b\n\n" % (name.encode(), data)
                try:
                    await asyncio.wait_for(news.wait(), _KEEP_ALIVE_S)
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            self._watched.subtract(names)

    async def _poll(self) -> None:
        while any(self._watched.values()):
            for name in [name for name, count in self._watched.items() if count > 0]:
                try:
                    found = await run_in_threadpool(self._makers[name])
                    data = json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
                except Exception:
                    # A look that fails is no reason to leave the others without news.
                    logger.exception("the look at %s failed", name)
                    continue
                self.looks += 1
                if data != self._latest.get(name):
                    self._latest[name] = data
            self._news.set()
            self._news = asyncio.Event()
            await asyncio.sleep(self._interval_s)
