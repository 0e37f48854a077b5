"""The pages that read: what they show without a broker and with evidence, what they escape, and what they may load."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import redis

from dashboard import formats
from dashboard.assets import Assets
from dashboard.desk import ASSETS, HERE, NAVIGATION, STATIC
from dashboard.pages.gate import RULES
from evidence.log import EvidenceLog
from replay import prompting
from replay.contracts import (
    Answer,
    Check,
    Cite,
    Finding,
    Hit,
    Reason,
    ReplayRun,
    Ruling,
    State,
    Tier,
    Verdict,
)
from replay.gate import CODES
from replay.prompting import PromptLimits
from replay.settings import Settings
from replay.topology import Queue
from tests.batches import make_run, record
from tests.factories import make_bundle, make_task
from tests.web import Browser, dashboard

PAGES = ("/", "/runs", "/gate")
EVIL = (
    "</title></textarea><script>alert(1)</script><img src=x onerror=alert(1)>\"'{{ 7*7 }}{% raw %}\u202e\x1b[2J"
    + "x" * 500
)
WEIGHT = 150_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A data directory whose embedded broker does not run."""
    return Settings(data_dir=tmp_path / "data")


def browser(settings: Settings) -> Browser:
    """Somebody who looks."""
    return Browser(dashboard(settings))


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        """Note it."""
        self.texts.append(data)


def hostile() -> ReplayRun:
    """A rejected run in which whatever is text is hostile."""
    bundle = make_bundle()
    evil = bundle.passages[0].record.model_copy(
        update={"record_id": EVIL, "title": EVIL, "path": EVIL, "origin": EVIL, "text": EVIL}
    )
    line = bundle.lines[0].model_copy(update={"record_id": EVIL, "text": EVIL, "line_id": EVIL})
    bundle = bundle.model_copy(
        update={
            "passages": (Hit(record=evil, score=1.0, scorer=EVIL, ranks={EVIL: 1}),),
            "lines": (line,),
            "tokenizer": EVIL,
            "corpus_version": EVIL,
        }
    )
    run = make_run(make_task(EVIL, custom_id=EVIL, batch_id=EVIL, checklist=[EVIL], tags=(EVIL,)), State.REJECTED)
    assert run.attempt is not None
    assert run.attempt.generation is not None
    attempt = run.attempt.model_copy(
        update={
            "prompt_hash": EVIL,
            "generation": run.attempt.generation.model_copy(
                update={"model": EVIL, "endpoint": EVIL, "content": EVIL, "reasoning": EVIL}
            ),
            "answer": Answer(
                verdict=Ruling.UNSURE,
                findings=(
                    Finding(claim=EVIL, cites=(Cite(record_id=EVIL, quote="no " + EVIL), Cite(record_id="?" + EVIL))),
                ),
                checks=(Check(item=EVIL, result="unknown"),),
                proposals=(EVIL,),
            ),
            "verdict": Verdict(
                gate_version=EVIL,
                accepted=False,
                score=0,
                reasons=(Reason(rule=EVIL, message=EVIL, span=EVIL, expectation=EVIL),),
            ),
        }
    )
    return run.model_copy(update={"attempt": attempt, "bundle": bundle, "reason": EVIL, "corpus_version": EVIL})


# --- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_an_empty_system_is_explained(settings: Settings, path: str) -> None:
    """Without broker, workers and evidence each page still comes, and says what to do next."""
    page = browser(settings).get(path)
    assert page.status_code == 200
    assert "replay up" in page.text
    assert re.search(r"No (evidence yet|run yet|answer was judged)", page.text)


@pytest.mark.parametrize("path", ["/overview.json", "/runs.json", "/gate.json"])
def test_the_same_is_there_for_programs(settings: Settings, path: str) -> None:
    """Each page has a twin in JSON."""
    assert browser(settings).get(path).headers["content-type"] == "application/json"


def test_what_the_overview_says_of_runs(settings: Settings) -> None:
    """Figures are of the evidence, and the latest runs lead to their pages."""
    runs = [make_run(make_task(custom_id=f"t{number}"), State.ACCEPTED) for number in range(3)]
    runs.append(make_run(make_task(custom_id="t3"), State.ESCALATED, rules=["support.low"]))
    record(settings, *runs)
    view = browser(settings).get("/overview.json").json()
    assert view["figures"]["ended"] == 3
    assert view["figures"]["escalated"] == 0.25
    assert view["figures"]["accepted"] == 1.0
    assert [line["label"] for line in view["charts"]["reasons"]["lines"]] == ["support.low"]
    page = browser(settings).get("/").text
    assert all(f'href="/runs/{run.run_id}"' in page for run in runs)


@pytest.mark.parametrize("name", ["1h", "6h", "24h", "7d", "30d"])
def test_charts_have_a_value_for_each_step(settings: Settings, name: str) -> None:
    """Whatever the range, no series is longer or shorter than its times."""
    record(settings, make_run(make_task(), State.REJECTED, rules=["form.hedge"]))
    for path in (f"/overview.json?range={name}", f"/gate.json?range={name}"):
        charts = browser(settings).get(path).json()["charts"]
        for chart in charts.values():
            assert all(len(line["values"]) == len(chart["x"]) for line in chart["lines"])
        assert sum(charts["reasons"]["lines"][0]["values"]) == 1


def test_a_wrong_broker_is_shown_and_breaks_nothing(tmp_path: Path) -> None:
    """A URL that is none, or that nobody answers, is told on the page; evidence is shown all the same."""
    for broker_url in ("redis://[bad", "http://x", "redis://127.0.0.1:1"):
        settings = Settings(data_dir=tmp_path / "data", broker_url=broker_url)
        page = browser(settings).get("/")
        assert page.status_code == 200
        assert "REPLAY_BROKER_URL" in page.text
        assert browser(settings).get("/overview.json").json()["system"] is None


def test_a_broker_that_answers_with_an_error_is_shown(broker_settings: Settings, valkey: redis.Redis) -> None:
    """Something else under one of our names is the broker's problem, not the page's."""
    valkey.set(Queue.LOCAL.value, "not a list")
    (alert,) = [
        alert for alert in browser(broker_settings).get("/overview.json").json()["alerts"] if alert["level"] == "bad"
    ]
    assert "WRONGTYPE" in alert["what"]


def test_lanes_and_queues_are_told(broker_settings: Settings, valkey: redis.Redis) -> None:
    """What waits, and that nobody serves it, stands on the overview and in the strip above every page."""
    valkey.lpush(Queue.LOCAL.value, b"{}")
    view = browser(broker_settings).get("/overview.json").json()
    local = next(lane for lane in view["system"]["lanes"] if lane["lane"] == "local")
    assert (local["waiting"], local["state"]) == (1, "no worker")
    assert "1 task waits for the local lane, and no worker serves it." in browser(broker_settings).get("/runs").text


# --- runs ------------------------------------------------------------------------------------------------------------


def test_an_address_holds_the_filter(settings: Settings) -> None:
    """What an address asks for is found, and stands in the form again."""
    record(
        settings,
        make_run(make_task("Verify the blue limit.", custom_id="a"), State.ACCEPTED),
        make_run(make_task("Verify the red limit.", custom_id="b"), State.REJECTED, rules=["form.hedge"]),
    )
    someone = browser(settings)
    for query, names in (
        ("q=limit", {"a", "b"}),
        ("q=red&state=rejected", {"b"}),
        ("rule=form.hedge", {"b"}),
        ("state=accepted&rule=form.hedge", set()),
        ("within=1h", {"a", "b"}),
        ("until=2020-01-01", set()),
    ):
        assert {row["custom_id"] for row in someone.get(f"/runs.json?{query}").json()["rows"]} == names
    page = someone.get("/runs?q=red&state=rejected").text
    assert 'value="red"' in page
    assert '<option value="rejected" selected>' in page
    assert "No run fits all of that." in someone.get("/runs?q=nowhere").text


def test_pages_lead_to_each_other(settings: Settings) -> None:
    """Older and newer keep the filter and end at both ends."""
    record(settings, *(make_run(make_task(custom_id=f"t{number}")) for number in range(120)))
    someone = browser(settings)
    first = someone.get("/runs.json?state=accepted").json()
    second = someone.get(first["older"].replace("/runs?", "/runs.json?")).json()
    third = someone.get(second["older"].replace("/runs?", "/runs.json?")).json()
    shown = [row["custom_id"] for view in (first, second, third) for row in view["rows"]]
    assert shown == [f"t{number}" for number in reversed(range(120))]
    assert (first["newer"], third["older"]) == ("", "")
    assert "state=accepted" in third["newer"]
    assert someone.get(second["newer"].replace("/runs?", "/runs.json?")).json()["rows"] == first["rows"]


def test_a_run_id_in_the_search_box_finds_the_run(settings: Settings) -> None:
    """Ids are not words of the task, and still what people paste."""
    run = make_run(make_task())
    record(settings, run)
    (row,) = browser(settings).get(f"/runs.json?q={run.run_id}").json()["rows"]
    assert row["run_id"] == run.run_id


@pytest.mark.parametrize("query", ["before=x", "after=-1", "since=monday", "within=2h", "before=" + "9" * 400])
def test_a_wrong_address_is_a_mistake_in_words(settings: Settings, query: str) -> None:
    """Nothing that somebody types into the address is an error of ours."""
    record(settings, make_run(make_task()))
    page = browser(settings).get(f"/runs?{query}")
    assert page.status_code == 400
    assert "That did not work" in page.text
    assert browser(settings).get(f"/runs.json?{query}").json()["error"]


# --- a run -----------------------------------------------------------------------------------------------------------


def escalated(settings: Settings) -> tuple[ReplayRun, ReplayRun]:
    """A run that went to the large model, with the prompts that it had."""
    task = make_task()
    bundle = make_bundle()
    first = make_run(task, State.ESCALATED, rules=["support.low"])
    last = make_run(task, State.ACCEPTED, Tier.ESCALATION)
    assert first.attempt is not None
    assert first.attempt.verdict is not None
    runs = []
    for run, reasons in ((first, ()), (last, first.attempt.verdict.reasons)):
        prompt = prompting.build(task, bundle, reasons, PromptLimits(exemplars=settings.exemplars_shown))
        assert run.attempt is not None
        attempt = run.attempt.model_copy(update={"prompt_hash": prompt.hash})
        runs.append(run.model_copy(update={"attempt": attempt, "bundle": bundle}))
    record(settings, *runs)
    return runs[0], runs[1]


def test_a_run_is_told_whole(settings: Settings) -> None:
    """Each attempt with its prompt proved by its hash, what it cites linked, and its place in the chain."""
    first, last = escalated(settings)
    told = browser(settings).get(f"/runs/{last.run_id}.json").json()
    assert [one["prompt_holds"] for one in told["records"]] == [True, True]
    assert [one["record"]["id"] for one in told["records"]] == [first.id, last.id]
    page = browser(settings).get(f"/runs/{last.run_id}").text
    elements = Elements(page)
    anchors = {attributes["id"] for _, attributes in elements.found if "id" in attributes}
    links = {attributes["href"] for tag, attributes in elements.found if tag == "a"}
    assert {link[1:] for link in links if link.startswith("#")} <= anchors
    assert "#record-1" in links
    assert all(one["chain"]["hash"] in page for one in told["records"])
    assert "rebuilt below, same hash" in page
    assert "does not hold" in page  # the gate's reason, in its words


def test_what_nothing_backs_is_marked(settings: Settings) -> None:
    """Spans of a claim that no cited record backs stand out."""
    run = make_run(make_task(), State.REJECTED)
    assert run.attempt is not None
    finding = Finding(claim="The timeout is 7777 seconds.", cites=(Cite(record_id="src_channel"),))
    attempt = run.attempt.model_copy(update={"answer": Answer(findings=(finding,), verdict=Ruling.PASS)})
    record(settings, run.model_copy(update={"attempt": attempt}))
    assert re.search(r"<mark>[^<]*7777", browser(settings).get(f"/runs/{run.run_id}").text)


def test_a_prompt_of_other_settings_is_not_called_the_same(settings: Settings) -> None:
    """What is rebuilt and has another hash says so."""
    run = make_run(make_task())
    record(settings, run)
    assert "another hash" in browser(settings).get(f"/runs/{run.run_id}").text


def test_a_record_of_another_version_is_shown_as_that(settings: Settings) -> None:
    """A field that nobody knows here makes no error page."""
    wire = make_run(make_task()).wire() | {"from_the_future": True}
    with EvidenceLog.open(settings.evidence_log) as log:
        log.append([wire])
    page = browser(settings).get(f"/runs/{wire['run_id']}")
    assert page.status_code == 200
    assert "from_the_future" in page.text


def test_what_was_done_about_a_run_is_told_in_words(settings: Settings) -> None:
    """No name of a schema and no code of an action; whatever the record holds is text."""
    run = make_run(make_task(custom_id="t0"), State.FAILED, None, reason="gone")
    record(settings, run)
    held = {"id": "act_1", "run_id": run.run_id, "letter_id": "dead_1", "recorded_at": "2026-12-01T02:00:00+00:00"}
    with EvidenceLog.open(settings.evidence_log) as log:
        act = {"schema": "replay_action.v1", "action": "dead.requeue", "who": "ada@<b>here", **held}
        log.append([act, {"schema": "replay_note.v1", **held, "id": "note_1"}])
    page = Elements(browser(settings).get(f"/runs/{run.run_id}").text)
    told = " ".join("".join(page.texts).split())
    assert f"dead letter requeued by ada@<b>here: {run.run_id}." in told
    assert "record of the kind replay_note.v1." in told


def test_a_run_that_nobody_knows(settings: Settings) -> None:
    """A page that says so, with the status that says so."""
    page = browser(settings).get("/runs/run_unknown")
    assert page.status_code == 404
    assert "no evidence of a run" in page.text
    assert browser(settings).get("/runs/run_unknown.json").status_code == 404


def test_the_gate_counts_and_gives_examples(settings: Settings) -> None:
    """Each rule with its attempts by tier, its share of what was judged, and runs to look at."""
    runs = [make_run(make_task(custom_id=f"t{n}"), State.REJECTED, rules=["form.hedge"]) for n in range(3)]
    record(settings, *runs, make_run(make_task(custom_id="good")))
    view = browser(settings).get("/gate.json?range=1h").json()
    (rule,) = view["rules"]
    assert (rule["rule"], rule["local"], rule["share"]) == ("form.hedge", 3, 0.75)
    assert {run["run_id"] for run in rule["examples"]} < {run.run_id for run in runs}


# --- hostile texts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PAGES, "/runs/{run}", "/runs?q={evil}&rule={evil}&state={evil}", "/{evil}"])
def test_hostile_texts_stay_texts(settings: Settings, path: str) -> None:
    """Whatever a task, a model or an address says: no element, no attribute and no script of its making."""
    run = hostile()
    record(settings, run)
    params: dict[str, Any] = {"run": run.run_id, "evil": re.sub(r"[\x1b?#%]", "", EVIL)}
    page = browser(settings).get(path.format(**params)).text
    found = Elements(page).found
    assert not [tag for tag, _ in found if tag in {"img", "iframe", "object", "embed", "base"}]
    assert all(attributes.get("src", "").startswith("/static/") for tag, attributes in found if tag == "script")
    names = {name for _, attributes in found for name in attributes}
    assert not [name for name in names if name.startswith("on") or name == "style"]
    assert all(
        re.match(r"[/#]|\Z", attributes[name])
        for _, attributes in found
        for name in ("href", "action", "src")
        if name in attributes
    )
    seen = "".join(Elements(page).texts)
    assert "\u202e" not in seen
    assert "\x1b" not in seen
    assert "{evil}" in path or "{{ 7*7 }}" in seen


def test_the_policy_lets_nothing_but_our_files_in(settings: Settings) -> None:
    """Every answer carries it: no inline script, no inline style, no frame, no other host."""
    for path in (*PAGES, "/overview.json", "/static/app.js", "/nowhere"):
        headers = browser(settings).get(path).headers
        policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"


# --- files -----------------------------------------------------------------------------------------------------------


def test_vendored_files_are_those_that_are_named() -> None:
    """Their hashes are the recorded ones."""
    folder = STATIC / "vendor" / "uplot"
    recorded = dict(re.findall(r"\| `([^`]+)` \| `([0-9a-f]{64})` \|", (folder / "VENDORED.md").read_text()))
    assert set(recorded) == {path.name for path in folder.iterdir()} - {"VENDORED.md"}
    for name, digest in recorded.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_nothing_is_loaded_from_elsewhere() -> None:
    """Our own scripts and styles name no other host, and templates hold no inline script or style."""
    for path in [*STATIC.glob("*.*"), *(HERE / "templates").rglob("*.html")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"""(?:https?:)?//(?!www\.w3\.org/2000/svg)\w+\.\w""", re.sub(r"(?m)^\s*//.*$", "", text)
        ), path
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|\|\s*safe\b|javascript:", text), path


@pytest.mark.parametrize("path", PAGES)
def test_a_first_view_is_light_even_when_nothing_is_packed(settings: Settings, path: str) -> None:
    """All that a page loads, not compressed, is below 150 kB; every file of ours is named by its content."""
    someone = browser(settings)
    page = someone.get(path).text
    wanted = [*dict.fromkeys(re.findall(r'(?:href|src)="(/static/[^"#]+)', page))]
    assert all(address.startswith(f"/static/{ASSETS.fingerprint}/") for address in wanted)
    for address in wanted:
        found = re.findall(r'(?:from|import\()\s*"\./([\w.]+)"', someone.get(address).text)
        wanted += [other for name in found if (other := ASSETS.address(name)) not in wanted]
    assert ASSETS.address("charts.js") in wanted
    assert len(page) + sum(len(someone.get(address).content) for address in wanted) < WEIGHT


def test_files_are_packed_and_kept_by_browsers(settings: Settings) -> None:
    """Under the address that pages name for good, under the bare one until it is asked again; each with an ETag."""
    someone = browser(settings)
    lasting = someone.get(ASSETS.address("app.css"), accept_encoding="gzip")
    assert lasting.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert lasting.headers["content-encoding"] == "gzip"
    assert int(lasting.headers["content-length"]) < len(lasting.content) / 3
    assert lasting.headers["content-type"].startswith("text/css")
    assert lasting.content == (STATIC / "app.css").read_bytes()
    whole = someone.get(ASSETS.address("app.css"), accept_encoding="identity")
    assert ("content-encoding" in whole.headers, whole.content) == (False, lasting.content)
    for address in ("/static/app.css", "/static/0123456789abcdef/app.css"):
        found = someone.get(address)
        assert (found.headers["cache-control"], found.content) == ("no-cache", lasting.content)
        again = someone.get(address, if_none_match=found.headers["etag"])
        assert (again.status_code, again.content) == (304, b"")
    for wrong in ("none.css", "../app.py", "vendor/uplot/VENDORED.md", ASSETS.fingerprint):
        assert someone.get(f"/static/{wrong}").status_code == 404


def test_the_address_of_files_changes_with_any_of_them(tmp_path: Path) -> None:
    """With a name or a byte; the same files have the same address in each process."""
    (tmp_path / "a.css").write_text("a {}")
    first = Assets(tmp_path)
    assert first.address("a.css") == Assets(tmp_path).address("a.css")
    (tmp_path / "b.js").write_text("b")
    second = Assets(tmp_path)
    (tmp_path / "b.js").write_text("c")
    assert len({made.address("a.css") for made in (first, second, Assets(tmp_path))}) == 3


def test_every_view_is_in_the_navigation_once(settings: Settings) -> None:
    """Paths and keys of the navigation differ, and the page that is shown is marked."""
    assert len({place.path for place in NAVIGATION}) == len({place.key for place in NAVIGATION}) == len(NAVIGATION)
    page = browser(settings).get("/gate").text
    marked = [attributes["href"] for tag, attributes in Elements(page).found if "aria-current" in attributes]
    assert marked[0] == "/gate"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (formats.duration(0.0341), "34 ms"),
        (formats.duration(4.24), "4.2 s"),
        (formats.duration(185), "3 min 5 s"),
        (formats.duration(7800), "2 h 10 min"),
        (formats.duration(3600), "1 h"),
        (formats.duration(None), ""),
        (formats.compact(950), "950"),
        (formats.compact(12_340), "12.3k"),
        (formats.compact(999_900), "1.0M"),
        (formats.rate(3.21), "3.2/s"),
        (formats.rate(0.5), "30.0/min"),
        (formats.rate(0.001), "3.6/h"),
        (formats.percent(0.034), "3.4 %"),
        (formats.percent(0), "0 %"),
        (formats.size(44_040_192), "42 MiB"),
        (formats.milliseconds(2.25), "2.2 ms"),
        (formats.number(12345), "12,345"),
        (formats.clock(0), "1970-01-01 00:00:00"),
        (formats.short("abcdefghijklmnop", 6), "abcde…"),
    ],
)
def test_numbers_are_written_for_people(told: str, expected: str) -> None:
    """Few digits, and the unit that makes them readable."""
    assert told == expected


def test_each_rule_of_what_is_cited_and_concluded_has_a_sentence_of_its_own() -> None:
    """An operator who reads why the gate rejects is told more than the family, and of no rule that is not there."""
    told = {code for code in CODES if code.startswith(("binding.", "verdict."))}
    assert told == RULES.keys()
    assert len(set(RULES.values())) == len(RULES)
