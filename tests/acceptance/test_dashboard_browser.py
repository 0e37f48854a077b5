"""Every view in a real browser, at desktop and phone size, over a stack that works: no error, overflow or barrier."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from broker import dead
from replay.topology import Queue
from tests.command_line import REPLAY, replay, write_tasks
from tests.debian import program
from tests.processes import ROOT, Stack, embedded_broker, free_port, wait_for
from tests.scripted_model import ScriptedModel

pytestmark = pytest.mark.acceptance

# Every view of the dashboard; `{run}` and `{batch}` are ids of the stack.
VIEWS = (
    "/", "/batches", "/batches/{batch}", "/runs?q=claim&state=rejected", "/runs/{run}",
    "/runs/{hostile}", "/gate", "/corpus", "/review", "/dead", "/lanes", "/nowhere",
)  # fmt: skip
SIZES = {"desktop": (1360, 900, "light"), "phone": (390, 844, "dark")}
WEIGHT = 150_000
AXE = ROOT / "tests" / "vendor" / "axe-core" / "axe.min.js"
CHROMIUM = (  # noqa: SIM905  a command line reads better
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
EVIL = "<img src=x onerror=alert(1)><script>alert(1)</script>" + "unbroken" * 60


GOOD = "Verify that the visibility timeout of kombu's Redis channel is 3600."
BAD = "Verify that the limit of claim {} is the right one."


@dataclass(frozen=True)
class Site:
    """A dashboard that serves, and ids of what is on it."""

    base: str
    ids: dict[str, str]
    stack: Stack
    folder: Path

    def address(self, view: str) -> str:
        """Of a view."""
        return self.base + view.format(**self.ids)

    def submit(self, texts: list[str], name: str) -> None:
        """Submit tasks, as a user does."""
        lines = [{"custom_id": f"{name}-{number}", "task": text} for number, text in enumerate(texts)]
        ran = replay(self.stack.env, "submit", write_tasks(self.folder / f"{name}.jsonl", lines))
        assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Broker, workers, writer and dashboard as processes, over a scripted model; some runs were accepted, some not."""
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as owned:
        broker = owned.enter_context(embedded_broker(folder / "broker"))
        model = owned.enter_context(ScriptedModel(delay_s=0.05, slots=2))
        url = f"unix://{broker.run_dir.resolve() / 'valkey.sock'}"
        (folder / "data").mkdir()
        settings = {"base_url": model.base_url, "escalation_base_url": model.base_url, "result_cache": False}
        stack = owned.enter_context(Stack(folder / "data", broker_url=url, **settings))
        port = free_port()
        site = Site(f"http://127.0.0.1:{port}", {}, stack, folder)
        texts = [GOOD if number % 3 == 0 else BAD.format(number) for number in range(24)]
        site.submit([*texts, EVIL], "first")
        stack.client.lpush(Queue.DEAD.value, dead.wire(dead.letter(Queue.LOCAL.value, EVIL, EVIL.encode())))
        stack.writer()
        stack.start([REPLAY, "dashboard", "--port", str(port), "--operator"])
        stack.worker("local", 2)
        stack.worker("escalation", 1)
        stack.wait_until_ended(25)
        runs = {record["task"]["text"]: record for record in stack.evidence() if "task" in record}
        site.ids.update(
            run=runs[texts[1]]["run_id"], hostile=runs[EVIL]["run_id"], batch=runs[EVIL]["batch_id"], name="first-1"
        )
        wait_for(lambda: _answers(site.base), "the dashboard to answer")
        yield site


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Debian's Chromium."""
    path = program("chromium", "chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=CHROMIUM)
        yield browser
        browser.close()


@contextmanager
def opened(chromium: Browser, size: str) -> Iterator[Page]:
    """A page of this size; at its end nothing has gone wrong on it and nothing came from elsewhere."""
    width, height, scheme = SIZES[size]
    wrong: list[str] = []
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.on("console", lambda message: wrong.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
    page.on("request", lambda request: wrong.append(request.url) if "//127.0.0.1:" not in request.url else None)
    yield page
    context.close()
    # A page that is not there says so by its status, which the browser notes as an error.
    assert [text for text in wrong if "404" not in text] == []


def live(page: Page) -> None:
    """Wait until the page follows the stream, and for its charts, if it has any."""
    page.wait_for_selector("#pulse.live")
    if page.locator("[data-chart]").count():
        page.wait_for_selector("[data-chart] > *")


class Wire:
    """What a page takes from the network, by address: bytes as they came, headers included; the stream left out."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._addresses: dict[str, str] = {}
        self.took: dict[str, int] = {}
        self._session.on("Network.requestWillBeSent", self._asked)
        # The stream has no end, so it is never told as loaded.
        self._session.on("Network.loadingFinished", self._loaded)
        self._session.send("Network.enable")

    def _asked(self, told: dict[str, Any]) -> None:
        self._addresses[told["requestId"]] = told["request"]["url"]

    def _loaded(self, told: dict[str, Any]) -> None:
        self.took[self._addresses.get(told["requestId"], "?")] = int(told["encodedDataLength"])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_stands(site: Site, chromium: Browser, view: str, size: str) -> None:
    """No error, nothing wider than the screen, no serious barrier by axe, and light for who comes the first time."""
    with opened(chromium, size) as page:
        wire = Wire(page)
        page.goto(site.address(view))
        live(page)
        assert any(address.endswith("/app.css") for address in wire.took), wire.took
        assert sum(wire.took.values()) <= WEIGHT, wire.took
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        barriers = [
            (one["id"], node["target"], node["failureSummary"])
            for one in found["violations"]
            for node in one["nodes"]
            if one["impact"] in {"serious", "critical"}
        ]
        assert barriers == []


def test_the_keyboard_is_enough(site: Site, chromium: Browser) -> None:
    """Past the navigation, to a view, into the search, down the rows, into a run, and to the help."""
    with opened(chromium, "desktop") as page:
        page.goto(site.address("/"))
        live(page)
        keys = page.keyboard
        keys.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        keys.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        keys.press("?")
        page.wait_for_selector("#keys[open]")
        keys.press("Escape")
        page.wait_for_selector("#keys:not([open])", state="attached")
        keys.press("g")
        keys.press("r")
        page.wait_for_url("**/runs")
        live(page)
        keys.press("/")
        assert page.evaluate("document.activeElement.id") == "search"
        keys.type("limit first")
        keys.press("Enter")
        page.wait_for_url(re.compile(r"/runs\?q=limit\+first$"))
        live(page)
        keys.press("j")
        keys.press("j")
        keys.press("k")
        chosen = page.evaluate("document.activeElement.getAttribute('href')")
        assert chosen == page.locator("a.row-link").first.get_attribute("href")
        keys.press("Enter")
        page.wait_for_url(f"**{chosen}")
        assert page.evaluate("getComputedStyle(document.body).colorScheme") == "light dark"
        for scheme in ("light", "dark"):
            keys.press("t")
            assert page.evaluate("getComputedStyle(document.body).colorScheme") == scheme


def test_new_evidence_appears_by_itself(site: Site, chromium: Browser) -> None:
    """The overview counts a run that ends while it is open, and the list of runs shows it; a hidden page rests."""
    with opened(chromium, "desktop") as overview, opened(chromium, "desktop") as listed:
        for page, view in ((overview, "/"), (listed, "/runs")):
            page.goto(site.address(view))
            live(page)
        figure = overview.locator(".figure .value").first
        ended = int(figure.text_content() or "0")
        site.submit([GOOD], "later")
        wait_for(lambda: int(figure.text_content() or "0") > ended, "the overview to count it", timeout_s=60)
        listed.wait_for_selector("text=later-0")
        hide = "Object.defineProperty(document, 'hidden', { value: %s, configurable: true });"
        hide += "document.dispatchEvent(new Event('visibilitychange'))"
        overview.evaluate(hide % "true")
        overview.wait_for_selector("#pulse:not(.live)")
        overview.evaluate(hide % "false")
        live(overview)


def test_the_second_view_takes_its_files_from_the_cache(site: Site, chromium: Browser) -> None:
    """Styles and scripts are not even asked for again, and only the page itself comes over the wire."""
    with opened(chromium, "desktop") as page:
        wire = Wire(page)
        page.goto(site.address("/"))
        live(page)
        first = {address for address in wire.took if "/static/" in address}
        assert {address.rpartition("/")[2] for address in first} >= {"app.css", "app.js", "live.js", "charts.js"}
        wire.took.clear()
        page.goto(site.address("/gate"))
        live(page)
        assert [address for address, size in wire.took.items() if address in first and size] == []


SERIES = {
    "nothing": ("line", [None, None, None], None, "Nothing in this time"),
    "no bar": ("stack", [0, 0, 0], None, "Nothing in this time"),
    "one measurement": ("line", [None, 12.5, None], None, "12.5 %"),
    "one measurement, of nothing": ("line", [None, 0, None], None, "0 %"),
    "one bucket": ("stack", [7], None, "7 %"),
    "one bar of many": ("stack", [0, 7, 0], "drawn", ""),
    "a line at zero": ("line", [0, 0, 0], "drawn", ""),
    "two measurements": ("line", [1, None, 3], "drawn", ""),
}


def test_a_chart_says_what_it_cannot_draw(site: Site, chromium: Browser) -> None:
    """Nothing, and one measurement, of which a dot would say little, in words; and it goes from each state to each."""
    draw = """async ([kind, values]) => {
      const app = document.querySelector('script[type=module]').src;
      const { draw } = await import(app.replace('app.js', 'charts.js'));
      const x = values.map((_, at) => 1760000000 + 60 * at);
      draw({ rejected: { kind, unit: '%', x, lines: [{ label: 'local', colour: 'blue', values }] } });
    }"""
    with opened(chromium, "desktop") as page:
        page.goto(site.address("/gate"))
        live(page)
        page.wait_for_selector("[data-chart=rejected] > *")
        place = page.locator("[data-chart=rejected]")
        for name in (*SERIES, *reversed(SERIES)):
            kind, values, drawn, told = SERIES[name]
            page.evaluate(draw, [kind, values])
            assert (place.locator("canvas").count() == 1) == (drawn is not None), name
            assert told in (place.text_content() or ""), name
            assert page.locator("figure:has([data-chart=rejected]) .legend").count() == (drawn is not None), name
        page.evaluate(draw, ["line", [None, 12.5, None]])
        page.keyboard.press("t")
        assert "12.5 %" in (place.text_content() or "")
        assert "local 12.5 %" in (place.get_attribute("aria-label") or "")


def test_the_dashboard_ends_while_pages_are_open(site: Site, chromium: Browser) -> None:
    """One that is told to stop ends at once, whoever looks."""
    port = free_port()
    process = site.stack.start([REPLAY, "dashboard", "--port", str(port)])
    wait_for(lambda: _answers(f"http://127.0.0.1:{port}"), "the second dashboard")
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{port}/")
    live(page)
    assert process.stop(timeout_s=15) in {0, -signal.SIGTERM}
    context.close()


def _answers(base: str) -> bool:
    try:
        with urlopen(f"{base}/healthz") as answer, urlopen(f"{base}/runs.json") as found:  # noqa: S310  our own
            return bool(answer.status == 200 and len(json.load(found)["rows"]) >= 25)
    except (URLError, ConnectionError):
        return False
