"""A TCP link to the broker that can be made slow: what one worker of a run goes through."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Self

_CHUNK = 4096


class Link:
    """A proxy on loopback, in a thread of its own, as a context manager.

    Args:
        port: Where it listens.
        target: The loopback port that it leads to.

    Attributes:
        rate: Bytes a second that it carries, both ways together; None is as fast as it can.
    """

    def __init__(self, port: int, target: int) -> None:
        self.rate: float | None = None
        self._port = port
        self._target = target
        self._free_at = 0.0
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._listening.wait(10):
            raise OSError(f"cannot listen on port {self._port}")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._carry, "127.0.0.1", self._port))
        self._listening.set()
        self._loop.run_forever()
        server.close()
        carried = asyncio.all_tasks(self._loop)
        for task in carried:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*carried, return_exceptions=True))
        self._loop.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:  # the broker is down: so is the link
            writer.close()
            return
        try:
            await asyncio.wait(
                [
                    asyncio.ensure_future(self._pump(reader, there[1])),
                    asyncio.ensure_future(self._pump(there[0], writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            writer.close()
            there[1].close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(_CHUNK):
                await self._wait_for_room(len(piece))
                writer.write(piece)
                await writer.drain()

    async def _wait_for_room(self, size: int) -> None:
        if (rate := self.rate) is None:
            return
        self._free_at = max(self._free_at, self._loop.time()) + size / rate
        await asyncio.sleep(self._free_at - self._loop.time())
