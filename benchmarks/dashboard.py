"""The dashboard: how long a view takes with a million runs behind it, in a browser too, and what open pages take.

The million is a real log, written by the writer's own code (`benchmarks.many_runs`), read into the views by the
follower. A real `replay dashboard` serves it; one client asks for each view in turn, with other words, filters and
places each time. Open pages are twenty streams of server-sent events, as browsers hold them, while audit tasks go
through the stack.
"""

from __future__ import annotations

import json
import random
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from urllib.parse import quote

import httpx

from benchmarks import corpora, first_view, many_runs, rig
from benchmarks.first_view import FirstViews
from benchmarks.registry import Metric, Run, alternate
from broker import envelope
from evidence.row import RUN_SCHEMA
from evidence.views import runs as runs_view
from evidence.views.follow import catch_up
from evidence.views.schema import reading
from replay.contracts import Tier
from replay.settings import Settings
from replay.topology import Queue, TaskName
from tests.processes import environment, free_port, running, wait_for

LIMIT_MS = 150.0
LIMIT_KB = 150.0
LIMIT_PAINT_MS = 1000.0
OPEN_PAGES = 20
_ROUNDS = 40
_LOOKS = 5
_LANES = {"local": 2, "escalation": 1}
_RANGES = ("1h", "6h", "24h", "7d", "30d")
_REPLAY = str(Path(sys.executable).parent / "replay")


def measure(run: Run) -> Iterator[Metric]:
    """The slowest view, first views in a browser, then the cost of open pages."""
    wanted = run.count(1_000_000, 20_000)
    folder = run.place("million")
    settings = Settings(data_dir=folder)
    many_runs.write(settings.evidence_log, wanted)
    began = time.monotonic()
    while catch_up(settings.evidence_log, budget_s=60).share < 1:
        pass
    read_s = time.monotonic() - began
    with rig.broker(run.place("views")):
        known = Settings(data_dir=folder, broker_url=rig.address(run.folder / "views"))
        slowest, found = views(known, wanted, run.count(_ROUNDS, 10))
        seen = first_views(known, wanted, run.count(_LOOKS, 2))
    told = ", ".join(f"{name} {p95:.0f}" for name, p95 in sorted(found.items(), key=lambda view: -view[1]))
    yield Metric(
        "dashboard.p95_ms_at_1m",
        found[slowest],
        LIMIT_MS,
        "ms",
        f"95th percentile of the slowest view ({slowest}) over HTTP, of {run.count(_ROUNDS, 10)} requests for each "
        f"view with other words, filters and places each time, {wanted:,} runs; all views: {told}. The views of the "
        f"evidence were made from its log in {read_s:.0f} s. Baseline: the bound.",
        "<= 150 ms",
    )
    yield from told_of_first(seen, run.count(_LOOKS, 2), wanted)
    yield cost(run)


def first_views(settings: Settings, wanted: int, rounds: int) -> FirstViews:
    """What a browser with an empty cache takes of each view."""
    asked = addresses(settings, wanted, random.Random(1))  # noqa: S311  no secrets
    with served(settings) as base:
        return first_view.measure(base, asked, rounds)


def told_of_first(seen: FirstViews, rounds: int, wanted: int) -> Iterator[Metric]:
    """The heaviest first view, and the slowest."""
    heaviest = max(seen.kilobytes, key=lambda name: seen.kilobytes[name])
    slowest = max(seen.painted_ms, key=lambda name: seen.painted_ms[name])
    ratio = seen.painted_ms[slowest] / seen.bare_ms
    yield Metric(
        "dashboard.first_view_kb",
        seen.kilobytes[heaviest],
        LIMIT_KB,
        "kB",
        f"All that Chromium with an empty cache takes over the wire of the heaviest view ({heaviest}), headers "
        f"included, the live stream left out, {wanted:,} runs. Baseline: the bound.",
        "<= 150 kB",
    )
    yield Metric(
        "dashboard.first_paint_ms",
        seen.painted_ms[slowest],
        LIMIT_PAINT_MS,
        "ms",
        f"First contentful paint of the slowest view ({slowest}), the median of {rounds} looks with an empty cache: "
        f"{ratio:.1f} times that of a page of two letters from the same process ({seen.bare_ms:.0f} ms), {wanted:,} "
        "runs. Baseline: the bound.",
        "<= 1 s",
    )


def views(settings: Settings, wanted: int, rounds: int) -> tuple[str, dict[str, float]]:
    """The slowest view, and the 95th percentile of each in milliseconds."""
    rng = random.Random(1)  # noqa: S311  no secrets
    asked = addresses(settings, wanted, rng)
    taken: dict[str, list[float]] = {name: [] for name in asked}
    with served(settings) as base, httpx.Client(base_url=base, timeout=60) as client:
        for number in range(-1, rounds):
            for name, address in asked.items():
                path = address()
                start = time.perf_counter()
                answer = client.get(path)
                took = (time.perf_counter() - start) * 1000
                assert answer.status_code == 200, (path, answer.status_code)
                if number >= 0:  # the first round compiles templates
                    taken[name].append(took)
    found = {name: statistics.quantiles(times, n=20)[-1] for name, times in taken.items()}
    return max(found, key=lambda name: found[name]), found


def addresses(settings: Settings, wanted: int, rng: random.Random) -> dict[str, Callable[[], str]]:
    """For each view something that gives another address of it each time."""
    with reading(settings.evidence_log) as db:
        assert db is not None
        ids = [
            row.run_id for _ in range(40) for row in runs_view.page(db, before=rng.randrange(50, wanted), limit=1).rows
        ]
        named = runs_view.choices(db)

    def picked(**parts: str) -> str:
        return "/runs?" + "&".join(f"{name}={quote(part)}" for name, part in parts.items() if part)

    def words() -> str:
        return rng.choice(
            (
                "timeout",
                "retry limit",
                "bal",
                "pool socket",
                '"default queue"',
                "verify",
                f"claim-{rng.randrange(wanted)}",
            )
        )

    return {
        "overview": lambda: f"/?range={rng.choice(_RANGES)}",
        "runs": lambda: picked(before=str(rng.randrange(60, wanted))),
        "runs, filtered": lambda: picked(
            state=rng.choice(("accepted", "rejected", "failed", "escalated", "")),
            tier=rng.choice(("local", "escalation", "")),
            rule=rng.choice((*named.rules, "")),
            model=rng.choice((*named.models, "")),
            before=str(rng.randrange(60, wanted)),
        ),
        "runs, searched": lambda: picked(q=words(), state=rng.choice(("accepted", "failed", ""))),
        "runs, by time": lambda: picked(within=rng.choice(_RANGES), state="rejected"),
        "a run": lambda: f"/runs/{rng.choice(ids)}",
        "gate": lambda: f"/gate?range={rng.choice(_RANGES)}",
        "batches": lambda: "/batches",
        "corpus": lambda: "/corpus",
        "review": lambda: "/review",
        "dead letters": lambda: "/dead",
    }


def cost(run: Run) -> Metric:
    """What twenty open pages take from the stack's throughput, in per cent of it."""
    tasks = run.count(1000, 120)
    number = count()
    with rig.broker(run.folder) as client, rig.scripted_model(run.place("scripted")) as model_url:

        def through(pages: int) -> float:
            client.flushall()
            system = rig.System(
                run.place(f"open-{next(number)}"),
                corpora.small(),
                broker_url=rig.address(run.folder),
                base_url=model_url,
                local_model="scripted",
                escalation_model="scripted",
                result_cache=False,
            )
            entries = (
                (TaskName.AUDIT_LOCAL, f"{task.run_id}:{Tier.LOCAL}", task.wire())
                for task in corpora.audit_tasks(tasks, "batch_bench")
            )
            with served(system.settings) as base, watched(base, pages):
                envelope.publish(client, Queue.LOCAL, entries)
                with system.working(client, _LANES):
                    ended_at = system.wait_for_ends(tasks)
            records = map(json.loads, system.settings.evidence_log.read_bytes().splitlines())
            began_at = min(
                datetime.fromisoformat(record["recorded_at"]).timestamp()
                for record in records
                if record["schema"] == RUN_SCHEMA
            )
            return tasks / (ended_at - began_at)

        alone, open_pages = alternate(run.count(3, 1), partial(through, 0), partial(through, OPEN_PAGES))
    return Metric(
        "dashboard.cost_percent",
        100 * (1 - open_pages / alone),
        3.0,
        "%",
        f"What {OPEN_PAGES} open pages (streams of the overview and the strip) take from {alone:.0f} tasks/s with the "
        f"dashboard running and nobody looking, {tasks} audit tasks from first to last evidence record, scripted model "
        "server without delay; what reads the streams runs on the same machine. Baseline: the bound.",
        "<= 3 %",
    )


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """A dashboard over these settings; its address."""
    port = free_port()
    given = {
        name: value
        for name in ("broker_url", "base_url", "local_model", "escalation_model")
        if (value := getattr(settings, name)) is not None
    }
    env = environment(settings.data_dir, **given)
    with running(
        [_REPLAY, "dashboard", "--port", str(port)], env, settings.data_dir / f"dashboard-{port}.log"
    ) as process:
        wait_for(lambda: _listens(port) or process.exit_code is not None, "the dashboard", timeout_s=60)
        assert process.exit_code is None, process.output
        yield f"http://127.0.0.1:{port}"


@contextmanager
def watched(base: str, pages: int) -> Iterator[None]:
    """So many open pages, each reading its stream; every one got something."""
    got = [0] * pages
    stop = threading.Event()

    def watch(number: int) -> None:
        # The dashboard ends first, and a stream has no other end.
        address = f"{base}/live?topic=status&topic=overview:1h"
        with suppress(httpx.HTTPError), httpx.stream("GET", address, timeout=rig.LIMIT_S) as answer:
            for piece in answer.iter_raw():
                got[number] += len(piece)
                if stop.is_set():
                    return

    with ExitStack() as owned:
        threads = [threading.Thread(target=watch, args=(number,), daemon=True) for number in range(pages)]
        for thread in threads:
            thread.start()
        owned.callback(stop.set)
        yield
    assert all(got), f"{got.count(0)} of {pages} pages were told nothing"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    # Again over a log that was kept: its data directory, how many runs it has, rounds, a broker's URL.
    _settings = Settings(data_dir=Path(sys.argv[1]), broker_url=sys.argv[4])
    print(json.dumps(views(_settings, int(sys.argv[2]), int(sys.argv[3])), indent=1))
