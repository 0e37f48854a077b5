"""What a browser takes of a page that it has never seen: bytes over the wire, and the time until something is painted.

Debian's Chromium with an empty cache asks a real `replay dashboard`. The bare page beside it comes from the same
process and has two letters, so what it takes is the browser's own time and that of the connection.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, sync_playwright

BARE = "/healthz"
CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")
_PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
_WAIT_MS = 30_000


@dataclass(frozen=True)
class FirstViews:
    """By name of a page: kilobytes of its first view, and milliseconds until its first paint, median of the rounds."""

    kilobytes: Mapping[str, float]
    painted_ms: Mapping[str, float]
    bare_ms: float


def measure(base: str, addresses: Mapping[str, Callable[[], str]], rounds: int) -> FirstViews:
    """Look at each page so often, in turn with the bare one.

    Args:
        base: Of a dashboard.
        addresses: Of its pages, by name.
        rounds: How often.

    Raises:
        RuntimeError: There is no Chromium here.
    """
    weights: dict[str, list[float]] = {name: [] for name in addresses}
    painted: dict[str, list[float]] = {name: [] for name in (*addresses, BARE)}
    with _chromium() as browser:
        _look(browser, base + BARE)  # the first page of a browser pays for the browser
        for _ in range(rounds):
            for name, address in addresses.items():
                weight, took = _look(browser, base + address())
                weights[name].append(weight / 1000)
                painted[name].append(took)
            painted[BARE].append(_look(browser, base + BARE)[1])
    medians = {name: statistics.median(times) for name, times in painted.items()}
    bare = medians.pop(BARE)
    return FirstViews({name: max(sizes) for name, sizes in weights.items()}, medians, bare)


def _look(browser: Browser, address: str) -> tuple[int, float]:
    """Bytes over the wire with headers, the live stream left out, and milliseconds until the first paint."""
    context = browser.new_context()
    try:
        page = context.new_page()
        wire = context.new_cdp_session(page)
        took = 0

        def loaded(told: dict[str, Any]) -> None:
            nonlocal took
            took += int(told["encodedDataLength"])

        # The stream has no end, so it is never told as loaded.
        wire.on("Network.loadingFinished", loaded)
        wire.send("Network.enable")
        page.goto(address)
        if page.locator("[data-chart]").count():
            page.wait_for_selector("[data-chart] > *", timeout=_WAIT_MS)
        elif page.locator("#pulse").count():
            page.wait_for_selector("#pulse.live", timeout=_WAIT_MS)
        page.wait_for_function(_PAINTED.replace("?? null", "> 0"), timeout=_WAIT_MS)
        return took, float(page.evaluate(_PAINTED))
    finally:
        context.close()


@contextmanager
def _chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        raise RuntimeError("chromium is not installed: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=CHROMIUM)
        yield browser
        browser.close()
