"""`replay top`: the system on one screen of a terminal, for whoever is there by ssh."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import typer
from redis.exceptions import RedisError
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from broker.connection import connect, describe, unavailable
from cli.lane import app as lane
from cli.output import console
from evidence import telling
from evidence.reader import EvidenceReader
from evidence.row import RUN_SCHEMA, Row
from replay.contracts import State
from replay.settings import Settings
from stack.top import Sight, Watch, wire

_COLOURS: dict[str, str] = {State.ACCEPTED: "green", State.REJECTED: "yellow", State.FAILED: "red"}


def top(
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.2, max=3600)] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and end; rates need two looks.")] = False,
    as_json: console.AsJson = False,
) -> None:
    """Watch queues, lanes, workers, rates and the last runs live; q or Ctrl-C ends it.

    Where the output is no terminal it looks once. With --json each look is one line, without end unless --once is
    given. Exit code 3 when the broker does not answer at the start; later it is waited for.

    Example: replay top
    """
    settings = Settings()
    reader = EvidenceReader(settings.evidence_log)
    with connect(settings, patience=0) as broker:
        watch = Watch(broker, settings)
        if as_json:
            _stream(watch, settings, interval, once=once)
        elif once or not console.out.is_terminal:
            console.out.print(_screen(_look(watch, settings), settings, reader))
        else:
            with suppress(KeyboardInterrupt):
                _live(watch, interval, settings, reader)


def _look(watch: Watch, settings: Settings) -> Sight:
    try:
        return watch.look()
    except RedisError as error:
        raise unavailable(settings, error) from error


def _stream(watch: Watch, settings: Settings, interval: float, *, once: bool) -> None:
    while True:
        console.print_json_line(wire(_look(watch, settings)))
        if once:
            return
        time.sleep(interval)


def _live(watch: Watch, interval: float, settings: Settings, reader: EvidenceReader) -> None:
    with _keys() as pressed, Live(console=console.out, screen=True, auto_refresh=False) as shown:
        while True:
            try:
                screen = _screen(watch.look(), settings, reader)
            except RedisError as error:
                screen = Text(f"{unavailable(settings, error).message}\nwaiting for it; q ends", "yellow")
            shown.update(screen, refresh=True)
            if pressed(interval):
                return


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Give a function that waits so many seconds and says whether q was pressed meanwhile."""
    descriptor = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None

    def pressed(seconds: float) -> bool:
        if descriptor is None:
            time.sleep(seconds)
            return False
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([descriptor], [], [], left)[0]:
                # Past Python's own buffer, in which `select` would not see what was typed ahead.
                typed = os.read(descriptor, 64)
                if not typed or b"q" in typed.lower():
                    return True
        return False

    if descriptor is None:
        yield pressed
        return
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _screen(sight: Sight, settings: Settings, reader: EvidenceReader) -> RenderableType:
    return Group(
        _head(sight, settings),
        Text(),
        _queues(sight),
        Text(),
        lane.table([found.status for found in sight.seen.lanes]),
        *(Text(f"not asked: {name}: {why}", "yellow") for name, why in sight.seen.endpoints.items()),
        Text(),
        _workers(sight),
        Text(),
        _recent(sight.recent, reader),
    )


def _head(sight: Sight, settings: Settings) -> RenderableType:
    seen, rates = sight.seen, sight.rates
    at = time.strftime("%H:%M:%S", time.localtime(seen.at))
    limit = f" of {_bytes(seen.server.memory_limit_bytes)}" if seen.server.memory_limit_bytes else ""
    lines = [
        Text.assemble(
            ("replay top", "bold"),
            f"  {at}  {seen.server.version} at {describe(settings)}, {_bytes(seen.server.memory_bytes)}{limit}",
        )
    ]
    if rates is None:
        lines.append(Text("rates after the next look", "dim"))
    else:
        times = [
            f"{tier} p50 {_seconds(rates.generate_p50_s[tier])} p95 {_seconds(rates.generate_p95_s[tier])}"
            for tier in rates.generate_p50_s
            if rates.generate_p50_s[tier] is not None
        ]
        share = "" if rates.escalated is None else f"{rates.escalated:.0%} escalated"
        words = [f"{rates.runs_per_s:.2f} runs/s", f"{rates.tokens_per_s:.1f} tokens/s", share, *times]
        lines.append(Text("  ·  ".join(filter(None, words)) + f"   (last {rates.over_s:.0f} s)"))
    return Group(*lines)


def _queues(sight: Sight) -> Table:
    depths, rates = sight.seen.depths, sight.rates
    table = Table("queue", "waiting", "next waits for", "in flight", "taken in", box=None, header_style="dim")
    for name, waiting in depths.waiting.items():
        left = None if rates is None else rates.ends_in_s[name]
        table.add_row(
            name,
            str(waiting),
            _seconds(depths.oldest_waiting_s.get(name)),
            str(depths.in_flight[name]),
            f"about {_seconds(left)}" if waiting and left is not None else "",
        )
    table.add_row("evidence", str(depths.evidence), _seconds(depths.evidence_lag_s) if depths.evidence else "")
    table.add_row(Text("dead letters"), Text(str(depths.dead), "red" if depths.dead else ""))
    return table


def _workers(sight: Sight) -> RenderableType:
    if not sight.seen.workers:
        return Text("no worker gives a sign of life", "yellow")
    table = Table("worker", "busy", "started", "silent", "hindered by", box=None, header_style="dim")
    for worker in sight.seen.workers:
        silent = max(0.0, sight.seen.at - worker.beat_at)
        busy = f"{worker.in_flight} of {worker.concurrency}"
        table.add_row(worker.worker, busy, str(worker.started), _seconds(silent), Text(worker.state, "yellow"))
    return table


def _recent(rows: tuple[Row, ...], reader: EvidenceReader) -> RenderableType:
    if not rows:
        return Text("no evidence yet", "dim")
    table = Table("at", "run", "task", "state", "by", "time", box=None, header_style="dim")
    for row in rows:
        if row.schema != RUN_SCHEMA:
            # What it is stands in the record alone; the index knows runs.
            told = Text(telling.in_words(reader.read(row).record), "dim", overflow="ellipsis")
            table.add_row((row.recorded_at or "")[11:19], row.run_id or "", told)
            continue
        table.add_row(
            (row.recorded_at or "")[11:19],
            row.run_id or "",
            Text(row.custom_id or "", overflow="ellipsis"),
            Text(row.state or "", _COLOURS.get(row.state or "", "dim")),
            row.tier or "",
            "" if row.generate_ms is None else _seconds(row.generate_ms / 1000),
        )
    return table


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    if value < 10:
        return f"{value:.1f} s"
    if value < 600:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 36_000 else f"{value / 3600:.0f} h"


def _bytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"
