"""Batches, dead letters, review and corpus: what they show, and that nothing hostile in it is more than text."""

from __future__ import annotations

import html
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import redis
from starlette.types import ASGIApp

from broker import dead
from cli.dashboard.actions import ProducerActions
from cli.dashboard.books import ProducerBooks
from dashboard.pace import Pace
from evidence.log import EvidenceLog
from evidence.reader import EvidenceReader
from evidence.reviews import case, judge
from evidence.views.follow import catch_up
from producer import manifest, marks
from producer.manifest import Batch
from producer.submit import submit
from replay import identity
from replay.contracts import Answer, Cite, Finding, Reason, Record, RecordKind, Ruling, State, Tier, Verdict
from replay.corpus import snapshot
from replay.errors import InputError
from replay.settings import Settings
from replay.topology import Queue
from tests.batches import make_lines, make_run, record
from tests.factories import make_bundle, make_task
from tests.web import Browser, dashboard

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><b>{{ 7*7 }}{% raw %}</title></textarea>\u202e&amp;"


@pytest.fixture
def settings(tmp_path: Path, broker_url: str) -> Settings:
    """A broker and a corpus of one record."""
    made = Settings(data_dir=tmp_path / "data", broker_url=broker_url)
    snapshot.write([hit.record for hit in make_bundle().passages], made.corpus_dir)
    return made


@pytest.fixture
def app(settings: Settings) -> ASGIApp:
    """The dashboard, on which everybody on this machine acts."""
    return dashboard(settings, operator=True, books=ProducerBooks(settings), actions=ProducerActions(settings))


def accepted(settings: Settings, client: redis.Redis, count: int = 3, source: str = "tasks.jsonl") -> Batch:
    """A batch that waits."""
    return submit(make_lines(count), settings, source=source, client=client).batch


class Marks(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.found.append((tag, dict(attrs)))


def elements(page: str) -> list[tuple[str, dict[str, str | None]]]:
    """The elements of a page."""
    marks_of = Marks()
    marks_of.feed(page)
    return marks_of.found


# --- hostile texts ---------------------------------------------------------------------------------------------------


def hostile_run(task_text: str, **fields: Any) -> Any:
    """A rejected run in which everything that can be said is hostile."""
    task = make_task(task_text, custom_id=EVIL, checklist=(EVIL,), **fields)
    run = make_run(task, State.REJECTED)
    attempt = run.attempt
    assert attempt is not None
    assert attempt.generation is not None
    finding = Finding(claim=EVIL, expected=EVIL, found=EVIL, cites=(Cite(record_id=EVIL, quote=EVIL, line_id=EVIL),))
    line = run.bundle.lines[0].model_copy(update={"text": EVIL, "line_id": EVIL, "record_id": EVIL})
    return run.model_copy(
        update={
            "bundle": run.bundle.model_copy(update={"lines": (line,)}),
            "corpus_version": EVIL,
            "reason": EVIL,
            "attempt": attempt.model_copy(
                update={
                    "generation": attempt.generation.model_copy(update={"model": EVIL, "content": EVIL}),
                    "answer": Answer(findings=(finding,), verdict=Ruling.PASS),
                    "verdict": Verdict(
                        gate_version=EVIL,
                        accepted=False,
                        score=0,
                        reasons=(Reason(rule=EVIL, message=EVIL, span=EVIL, expectation=EVIL),),
                    ),
                }
            ),
        }
    )


def test_hostile_texts_stay_texts_on_every_page(settings: Settings, valkey: redis.Redis, app: ASGIApp) -> None:
    """Names, tasks, answers, causes, messages, notes, records: no element and no attribute comes of them."""
    batch = accepted(settings, valkey, source=EVIL)
    marks.pause(settings.batches_dir, batch.batch_id, EVIL)
    run = hostile_run(EVIL, batch_id=batch.batch_id)
    record(settings, run)
    reader = EvidenceReader(settings.evidence_log)
    review = judge(case(reader, run.run_id), "reject", note=EVIL, who=EVIL)
    unreviewed = hostile_run(f"{EVIL} again", batch_id=batch.batch_id)
    record(settings, unreviewed)
    with EvidenceLog.open(settings.evidence_log) as log:
        log.append([review.wire()])
    letter = dead.letter(EVIL, EVIL, EVIL.encode()).model_copy(update={"id": EVIL, "recorded_at": EVIL})
    valkey.lpush(Queue.DEAD.value, dead.wire(letter), EVIL.encode())
    evil = Record(
        record_id=EVIL, kind=RecordKind.NOTE, text=EVIL, title=EVIL, path=EVIL, tags=(EVIL,), origin=EVIL, also=(EVIL,)
    )
    snapshot.add([evil], settings.corpus_dir, reason=EVIL)
    catch_up(settings.evidence_log)
    valkey.hset("replay.lane:local", "reason", EVIL)
    valkey.hset(f"replay.breaker:{EVIL}", mapping={"state": "breaker", "reason": EVIL, "until": "9999999999"})
    browser = Browser(app)
    quoted = "".join(f"%{byte:02x}" for byte in EVIL.encode())
    expected = {
        "/batches": 200, f"/batches/{batch.batch_id}": 200, "/dead": 200, f"/dead?cause={quoted}": 200,
        f"/dead/{quoted}": 200, "/review": 200, "/reviewed": 200, f"/review/{run.run_id}": 200,
        f"/review/{unreviewed.run_id}": 200, "/corpus": 200, f"/corpus?q={quoted}": 200, "/corpus?by=cited": 200,
        f"/corpus/records/{quoted}": 200, "/lanes": 200, f"/dead/x{quoted}": 400, f"/corpus?version={quoted}": 200,
        f"/login?next={quoted}": 200,
    }  # fmt: skip
    for path, status in expected.items():
        page = browser.get(path)
        assert page.status_code == status, (path, page.text)
        text = html.unescape(page.text)
        assert "alert(1)" in text or path in {"/corpus?by=cited", f"/login?next={quoted}"}, path
        assert "{{ 7*7 }}" in text or "49" not in text, "a template in a text is not run"
        for tag, attributes in elements(page.text):
            assert tag not in {"img", "title/"}, (path, attributes)
            assert tag != "script" or (attributes.get("src") or "").startswith("/static/"), path
            assert not any(name.startswith("on") or name == "style" for name in attributes), (path, attributes)
            for name in ("href", "action", "formaction", "src"):
                value = attributes.get(name) or "/"
                assert value.startswith(("/", "#")), (path, value)
                assert not value.startswith("//"), (path, value)
    for path in ("/batches.json", "/dead.json", "/review.json", "/reviewed.json", "/corpus.json", "/lanes.json"):
        assert "alert(1)" in json.dumps(browser.get(path).json()), path


def test_in_a_spreadsheet_nothing_is_a_formula(settings: Settings, valkey: redis.Redis, app: ASGIApp) -> None:
    """What a model says is quoted there, numbers stay numbers, and JSON lines hold it as it is."""
    batch = accepted(settings, valkey)
    task = next(iter(batch.tasks))
    run = make_run(task)
    assert run.attempt is not None
    finding = Finding(expected="=HYPERLINK(1)", found="-12", cites=(Cite(record_id="+cmd|calc", quote="@SUM(1)"),))
    attempt = run.attempt.model_copy(update={"answer": Answer(findings=(finding,), verdict=Ruling.PASS)})
    record(settings, run.model_copy(update={"attempt": attempt}))
    browser = Browser(app)
    row = browser.get(f"/batches/{batch.batch_id}/results.csv").text.splitlines()[1]
    for cell in ("'=HYPERLINK(1)", ",-12,", "'+cmd|calc", "'@SUM(1)"):
        assert cell in row
    first = json.loads(browser.get(f"/batches/{batch.batch_id}/results.jsonl").text.splitlines()[0])
    assert (first["expected"], first["found"]) == ("=HYPERLINK(1)", "-12")


# --- batches ---------------------------------------------------------------------------------------------------------


def batch_view(browser: Browser, batch: Batch) -> Any:
    """One batch as JSON."""
    return browser.get(f"/batches/{batch.batch_id}.json").json()


def test_a_batch_says_how_far_it_is(settings: Settings, valkey: redis.Redis, app: ASGIApp) -> None:
    """Waiting, running, done: by state, by tier, with what the gate objected to; the list says the same."""
    browser = Browser(app)
    assert "No batches" in browser.get("/batches").text
    batch = accepted(settings, valkey)
    first, second, third = batch.tasks
    assert batch_view(browser, batch)["batch"]["state"] == "waiting"
    record(settings, make_run(first), make_run(second, State.REJECTED, rules=["literals.missing", "echo.copied"]))
    catch_up(settings.evidence_log)
    view = batch_view(browser, batch)
    assert (view["batch"]["state"], view["batch"]["done"]) == ("running", 2)
    assert sorted(view["rules"]) == [["echo.copied", 1], ["literals.missing", 1]]
    record(settings, make_run(third, State.ESCALATED), make_run(third, tier=Tier.ESCALATION))
    catch_up(settings.evidence_log)
    view = batch_view(browser, batch)
    found = view["batch"]["sum"]
    assert (view["batch"]["state"], view["batch"]["done"]) == ("done", 3)
    assert (found["accepted"], found["rejected"], found["by_local"], found["by_escalation"]) == (2, 1, 1, 1)
    assert browser.get("/batches.json").json()["batches"][0]["sum"] == found
    page = browser.get(f"/batches/{batch.batch_id}").text
    assert "/cancel" not in page
    assert "literals.missing" in page


def test_a_task_that_was_made_again_counts_once(settings: Settings, valkey: redis.Redis, app: ASGIApp) -> None:
    """As what it stands as now; its first end is told beside it."""
    batch = accepted(settings, valkey, 2)
    first, second = batch.tasks
    record(settings, make_run(first, State.FAILED, None, reason="down"), make_run(second))
    browser = Browser(app)
    catch_up(settings.evidence_log)
    page = f"/batches/{batch.batch_id}"
    browser.act(page, f"{page}/retry")
    view = batch_view(browser, batch)["batch"]
    assert (view["state"], view["done"], view["sum"]["failed"], view["head"]["repeated"]) == ("running", 1, 0, 1)
    again = next(task for task in manifest.load(settings.batches_dir, batch.batch_id).tasks if task.options.repeat)
    record(settings, make_run(again))
    catch_up(settings.evidence_log)
    view = batch_view(browser, batch)["batch"]
    assert (view["state"], view["done"], view["sum"]["accepted"]) == ("done", 2, 2)


def test_batches_come_in_pages(settings: Settings, valkey: redis.Redis, app: ASGIApp) -> None:
    """The newest first, and the way on; a page that is none is a mistake that is told."""
    [line] = make_lines(1)
    for number in range(27):
        named = line.model_copy(update={"custom_id": f"n{number}"})
        submit([named], settings, source=f"{number}.jsonl", client=valkey)
    browser = Browser(app)
    first = browser.get("/batches.json").json()
    assert (len(first["batches"]), first["total"], first["older"]) == (25, 27, "/batches?page=2")
    assert len(browser.get("/batches.json?page=2").json()["batches"]) == 2
    assert browser.get("/batches?page=x").status_code == 400
    assert browser.get("/batches/batch_nothing").status_code == 400


def test_a_damaged_manifest_hides_no_other_batch(settings: Settings, valkey: redis.Redis, app: ASGIApp) -> None:
    """It is shown as what it is, with the reason; its own page tells what to do."""
    bad = submit(make_lines(1), settings, source="bad.jsonl", client=valkey).batch
    good = accepted(settings, valkey)
    (settings.batches_dir / bad.batch_id / "manifest.jsonl").write_text("no manifest\n")
    browser = Browser(app)
    found = {row["head"]["batch_id"]: row["state"] for row in browser.get("/batches.json").json()["batches"]}
    assert found == {good.batch_id: "waiting", bad.batch_id: "damaged"}
    assert "is not a manifest" in browser.get("/batches").text
    assert "submit the file again" in browser.get(f"/batches/{bad.batch_id}").text


def test_the_pace_is_that_of_the_last_two_minutes() -> None:
    """At first since the beginning; then between looks; a count that fell begins anew."""
    now = [0.0]
    pace = Pace(clock=lambda: now[0])
    assert pace.per_s("a", 10, None) is None
    assert pace.per_s("a", 10, 5.0) == 2.0
    now[0] = 10.0
    assert pace.per_s("a", 40, 1.0) == 3.0
    now[0] = 300.0
    assert pace.per_s("a", 50, 1.0) == pytest.approx(10 / 290)
    assert pace.per_s("a", 3, None) is None


# --- dead letters ----------------------------------------------------------------------------------------------------


def test_a_letter_shows_its_message_decoded(settings: Settings, valkey: redis.Redis, app: ASGIApp) -> None:
    """And its run, its batch, how much was kept; a filter by cause; what is gone is told."""
    del settings
    task = make_task(batch_id="batch_0123456789abcdef")
    letter = dead.letter(Queue.LOCAL, "poison: three times", identity.canonical_json(task.wire()))
    valkey.lpush(Queue.DEAD.value, dead.wire(letter), dead.wire(dead.letter(Queue.LOCAL, "other", b"x")))
    browser = Browser(app)
    assert [one["cause"] for one in browser.get("/dead.json").json()["letters"]] == ["other", "poison: three times"]
    assert [one["id"] for one in browser.get("/dead.json?cause=poison:").json()["letters"]] == [letter.id]
    page = html.unescape(browser.get(f"/dead/{letter.id}").text)
    assert all(text in page for text in (task.run_id, task.batch_id, '"custom_id": "one"', "poison: three times"))
    assert browser.get("/dead/dead_none").status_code == 400
    assert 'data-live="badge:/dead">2<' in browser.get("/dead").text


def test_without_a_broker_the_letters_are_told_to_be_unknown(tmp_path: Path) -> None:
    """The page says what to start; nothing is raised."""
    settings = Settings(data_dir=tmp_path / "data")
    page = Browser(dashboard(settings, books=ProducerBooks(settings))).get("/dead")
    assert (page.status_code, "replay up" in page.text) == (503, True)


# --- review ----------------------------------------------------------------------------------------------------------


def test_what_waits_for_a_person(settings: Settings, valkey: redis.Redis, app: ASGIApp) -> None:
    """Rejected runs, and those accepted as unsure; not accepted or failed ones, and none that was reviewed."""
    assert valkey.ping()
    ends = {
        "rejected": make_run(make_task(custom_id="rejected"), State.REJECTED),
        "unsure": make_run(make_task(custom_id="unsure"), ruling=Ruling.UNSURE),
        "accepted": make_run(make_task(custom_id="accepted")),
        "failed": make_run(make_task(custom_id="failed"), State.FAILED, None, reason="down"),
    }
    record(settings, *ends.values())
    catch_up(settings.evidence_log)
    browser = Browser(app)
    view = browser.get("/review.json").json()
    assert ([row["custom_id"] for row in view["rows"]], view["waiting"]) == (["unsure", "rejected"], 2)
    assert [row.custom_id for row in EvidenceReader(settings.evidence_log).awaiting_review(9)] == ["unsure", "rejected"]
    review = judge(case(EvidenceReader(settings.evidence_log), ends["unsure"].run_id), "reject", note="no", who="me")
    with EvidenceLog.open(settings.evidence_log) as log:
        log.append([review.wire()])
    catch_up(settings.evidence_log)
    assert [row["custom_id"] for row in browser.get("/review.json").json()["rows"]] == ["rejected"]
    assert browser.get("/reviewed.json").json()["notes"][0]["body"]["note"] == "no"
    assert 'data-live="badge:/review">1<' in browser.get("/review").text


@pytest.mark.parametrize(
    ("run", "given", "why"),
    [
        ({}, {"note": " "}, "needs a note"),
        ({}, {"note": "x" * 4001}, "needs a note"),
        ({}, {"verdict": Ruling.FAIL}, "does not stand"),
        ({}, {"decision": "reject", "admit": True}, "not admitted"),
        ({"ruling": Ruling.UNSURE}, {"admit": True}, "teaches nothing"),
        ({"tier": None, "state": State.FAILED}, {}, "no answer"),
        ({"options": {"retrieval": False}}, {"admit": True}, "never feeds the corpus"),
    ],
)
def test_a_review_that_contradicts_itself_is_refused(
    tmp_path: Path, run: dict[str, Any], given: dict[str, Any], why: str
) -> None:
    """Each with what to do about it; a baseline without retrieval never feeds the corpus."""
    settings = Settings(data_dir=tmp_path / "data")
    made = make_run(make_task(options=run.pop("options", {})), **{"state": State.REJECTED} | run)
    record(settings, made)
    found = case(EvidenceReader(settings.evidence_log), made.run_id)
    with pytest.raises(InputError) as refused:
        judge(found, **{"decision": "accept", "note": "seen", "who": "me"} | given)
    assert why in f"{refused.value.message} {refused.value.hint}"


def test_only_an_ended_run_is_reviewed(settings: Settings, valkey: redis.Redis, app: ASGIApp) -> None:
    """One that goes on, or that nobody knows, is told to be so; a decision that is none likewise."""
    assert valkey.ping()
    going, ended = make_run(make_task(custom_id="going"), State.ESCALATED), make_run(make_task(), State.REJECTED)
    record(settings, going, ended)
    browser = Browser(app)
    assert "has not ended yet" in browser.get(f"/review/{going.run_id}").text
    assert "is in no evidence" in browser.get("/review/run_none").text
    path = f"/review/{ended.run_id}"
    for form in ({"decision": "maybe", "note": "x"}, {"decision": "accept", "note": "x", "verdict": "perhaps"}):
        assert browser.act(path, path, form).status_code == 400
    assert valkey.xlen("replay.evidence") == 0


# --- corpus ----------------------------------------------------------------------------------------------------------


def test_versions_and_their_records_with_their_use(settings: Settings, valkey: redis.Redis, app: ASGIApp) -> None:
    """Every record a page at a time, what a task would be given, the most used ones; an old version too."""
    assert valkey.ping()
    old = snapshot.load(settings.corpus_dir).version
    notes = [Record(record_id=f"note-{n:03}", kind=RecordKind.NOTE, text=f"Verify number {n}.") for n in range(70)]
    new = snapshot.add(notes, settings.corpus_dir, reason="notes").version
    record(settings, make_run(make_task(custom_id="a")), make_run(make_task(custom_id="b"), State.REJECTED))
    catch_up(settings.evidence_log)
    browser = Browser(app)
    pages = [browser.get(f"/corpus.json?page={page}").json() for page in (1, 2, 3)]
    assert (pages[0]["version"], pages[0]["records"], pages[0]["pages"]) == (new, 71, 2)
    ids = {entry["record_id"] for page in pages[:2] for entry in page["entries"]}
    assert ids == {"src_channel", *(note.record_id for note in notes)}
    assert pages[2]["entries"] == pages[1]["entries"], "a page after the last is the last"
    [most] = browser.get("/corpus.json?by=cited").json()["entries"]
    assert (most["record_id"], most["use"]["retrieved"], most["use"]["cited"]) == ("src_channel", 2, 2)
    assert (most["use"]["accepted"], most["use"]["accepted_cited"]) == (1, 1)
    found = browser.get("/corpus.json?q=visibility+timeout+of+the+channel").json()
    assert "src_channel" in [entry["record_id"] for entry in found["entries"]]
    assert browser.get(f"/corpus.json?version={old}").json()["records"] == 1
    assert [one["version"] for one in pages[0]["versions"]] == [new, old]
    one = browser.get("/corpus/records/src_channel")
    assert "visibility_timeout = 3600" in one.text
    citing = browser.get("/corpus/record.json/src_channel").json()["citing"]
    assert [run["custom_id"] for run in citing] == ["b", "a"]
    assert browser.get(f"/corpus/record.json/src_channel?before={citing[0]['n']}").json()["citing"] == citing[1:]
    assert browser.get(f"/corpus/records/note-001?version={old}").status_code == 404
    assert browser.get("/corpus/record.json/note-001").json()["record"]["text"] == "Verify number 1."


def test_without_a_corpus_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    """And a version that is none does not break it."""
    settings = Settings(data_dir=tmp_path / "data")
    browser = Browser(dashboard(settings))
    assert "replay corpus build" in browser.get("/corpus").text
    assert browser.get("/corpus?version=../../etc").status_code == 200
    assert browser.get("/corpus/records/x").status_code in {400, 500}
