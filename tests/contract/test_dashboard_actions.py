"""What operators do on the dashboard, over a fake and the real server: it is done, and the evidence says by whom."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import fakeredis
import pytest
import redis
from starlette.types import ASGIApp

from broker import cancelled, dead, lanes, paused
from broker.envelope import TASK_OF, Envelope
from cli.dashboard import actions, books
from cli.dashboard.actions import ProducerActions
from cli.dashboard.books import ProducerBooks
from dashboard import desk
from evidence.log import EvidenceLog
from evidence.reader import EvidenceReader
from evidence.verify import verify
from producer import manifest, marks
from producer.manifest import Batch
from producer.submit import submit
from replay.contracts import State, Tier
from replay.corpus import snapshot
from replay.errors import BrokerUnavailable
from replay.settings import Settings
from replay.topology import Queue
from tests.batches import make_lines, make_run, record
from tests.factories import make_bundle
from tests.processes import stream_records
from tests.web import OPERATOR, Browser, csrf_of, dashboard

WHO = re.compile(r"operator@\S+ by the dashboard, session [0-9a-f]{12}, from 192\.0\.2\.7")


@pytest.fixture(params=["fake", "valkey"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """A client of either server, empty, and the one that the dashboard finds."""
    if request.param == "valkey":
        yield request.getfixturevalue("valkey")
        return
    server = fakeredis.FakeServer()

    def connect(*_: Any, **__: Any) -> redis.Redis:
        return fakeredis.FakeRedis(server=server, protocol=2)

    for module in (actions, books, desk):
        monkeypatch.setattr(module, "connect", connect)
    yield connect()


@pytest.fixture
def settings(data_dir: Path, request: pytest.FixtureRequest, client: redis.Redis) -> Settings:
    """A token, a corpus, and the server."""
    assert client.ping()
    is_real = request.node.callspec.params["client"] == "valkey"
    url = request.getfixturevalue("broker_url") if is_real else "redis://127.0.0.1:1"
    made = Settings(data_dir=data_dir, broker_url=url, dashboard_operator_token=OPERATOR)
    snapshot.write([hit.record for hit in make_bundle().passages], made.corpus_dir)
    return made


@pytest.fixture
def batch(settings: Settings, client: redis.Redis) -> Batch:
    """Three tasks: one waits, one has ended as rejected, one as failed."""
    made = submit(make_lines(3), settings, source="tasks.jsonl", client=client).batch
    tasks = list(made.tasks)
    record(settings, make_run(tasks[1], State.REJECTED, rules=["literals.missing"]))
    record(settings, make_run(tasks[2], State.FAILED, None, reason="down"))
    return made


@pytest.fixture
def app(settings: Settings) -> ASGIApp:
    """The dashboard as the command makes it."""
    return dashboard(settings, books=ProducerBooks(settings), actions=ProducerActions(settings))


@pytest.fixture
def operator(app: ASGIApp) -> Browser:
    """An operator who has signed in."""
    browser = Browser(app, address="192.0.2.7")
    assert browser.sign_in(OPERATOR).status_code == 303
    return browser


def entries(client: redis.Redis, settings: Settings, schema: str = "replay_action.v1") -> list[dict[str, Any]]:
    """What the stream holds of a schema, after the log has taken all of it in and proved itself."""
    found = [json.loads(item) for item in stream_records(client)]
    with EvidenceLog.open(settings.evidence_log) as log:
        log.append(found)
    assert verify(settings.evidence_log).ok
    return [value for value in found if value["schema"] == schema]


def test_a_batch_is_cancelled(settings: Settings, client: redis.Redis, batch: Batch, operator: Browser) -> None:
    """The mark is durable, the workers know, and the entry says who, what, which and when."""
    page = f"/batches/{batch.batch_id}"
    answer = operator.act(page, f"{page}/cancel")
    assert (answer.status_code, answer.headers["location"]) == (303, page)
    assert manifest.is_cancelled(settings.batches_dir, batch.batch_id)
    assert cancelled.is_cancelled(client, batch.batch_id)
    [done] = entries(client, settings)
    assert (done["action"], done["batch_id"]) == ("batch.cancel", batch.batch_id)
    assert WHO.fullmatch(done["who"])
    assert done["recorded_at"].endswith("+00:00")
    shown = operator.get(page).text
    assert "is cancelled: 1 of its 3 tasks had not ended" in shown
    assert f'action="{page}/cancel"' not in shown


def test_a_batch_is_paused_and_goes_on(
    settings: Settings, client: redis.Redis, batch: Batch, operator: Browser
) -> None:
    """Each with its entry; the reason that was given is in it and on the page."""
    page = f"/batches/{batch.batch_id}"
    operator.act(page, f"{page}/pause", {"reason": "too dear <b>"})
    assert paused.is_paused(client, batch.batch_id)
    assert marks.is_paused(settings.batches_dir, batch.batch_id)
    assert "too dear &lt;b&gt;" in operator.get(page).text
    operator.act(page, f"{page}/resume")
    assert not paused.is_paused(client, batch.batch_id)
    done = entries(client, settings)
    assert [entry["action"] for entry in done] == ["batch.pause", "batch.resume"]
    assert done[0]["detail"] == "too dear <b>"
    assert all(WHO.fullmatch(entry["who"]) and entry["batch_id"] == batch.batch_id for entry in done)


def test_failed_runs_are_made_again(settings: Settings, client: redis.Redis, batch: Batch, operator: Browser) -> None:
    """A new run takes the place of the failed one, and the entry names the batch."""
    page = f"/batches/{batch.batch_id}"
    answer = operator.post(f"{page}/retry", {"csrf": _csrf(operator)})
    assert answer.status_code == 303
    assert "1 runs of" in operator.get(page).text
    assert len(manifest.load(settings.batches_dir, batch.batch_id).superseded) == 1
    [done] = entries(client, settings)
    assert (done["action"], done["batch_id"]) == ("batch.retry", batch.batch_id)


def test_a_lane_is_paused_and_goes_on(settings: Settings, client: redis.Redis, operator: Browser) -> None:
    """For all machines, with the reason; a lane that is none is refused and notes nothing."""
    bound = {"csrf": _csrf(operator)}
    operator.post("/lanes/escalation/pause", bound | {"reason": "budget"})
    assert client.hget(lanes.lane_key(Tier.ESCALATION), "reason") == b"budget"
    operator.post("/lanes/escalation/resume", bound)
    assert not client.exists(lanes.lane_key(Tier.ESCALATION))
    assert operator.post("/lanes/other/pause", bound).status_code == 400
    done = entries(client, settings)
    assert [(entry["action"], entry["lane"]) for entry in done] == [
        ("lane.pause", "escalation"),
        ("lane.resume", "escalation"),
    ]
    assert done[0]["detail"] == "budget"
    assert all(WHO.fullmatch(entry["who"]) for entry in done)


def test_dead_letters_go_back_or_away(settings: Settings, client: redis.Redis, batch: Batch, operator: Browser) -> None:
    """Only those that were chosen; each entry names its letter, its cause and its run."""
    client.delete(Queue.LOCAL.value)
    task = next(iter(batch.tasks))
    message = Envelope(TASK_OF[Queue.LOCAL], f"{task.run_id}:local", task.wire()).sealed(Queue.LOCAL)
    letters = [dead.letter(Queue.LOCAL, cause, message) for cause in ("unforeseen: Bug", "poison: twice", "other")]
    client.lpush(Queue.DEAD.value, *map(dead.wire, letters))
    chosen = {f"letter:{letters[0].id}": "on"}
    assert operator.act("/dead", "/dead/requeue", chosen).headers["location"] == "/dead"
    assert client.llen(Queue.LOCAL.value) == 1
    page = f"/dead/{letters[1].id}"
    operator.act(page, "/dead/discard", {f"letter:{letters[1].id}": "on"})
    left = operator.post("/dead/discard", {"csrf": _csrf(operator)})
    assert (left.status_code, "no letter is chosen" in left.text) == (400, True)
    assert [letter.id for letter in dead.waiting(client)] == [letters[2].id]
    done = entries(client, settings)
    assert [(entry["action"], entry["letter_id"], entry["cause"]) for entry in done] == [
        ("dead.requeue", letters[0].id, "unforeseen: Bug"),
        ("dead.discard", letters[1].id, "poison: twice"),
    ]
    assert all(WHO.fullmatch(entry["who"]) and entry["run_id"] == task.run_id for entry in done)


def test_a_review_is_a_record_of_its_own(
    settings: Settings, client: redis.Redis, batch: Batch, operator: Browser
) -> None:
    """It names the line that was judged, is found with its run, and takes the run off what waits."""
    run_id = list(batch.tasks)[1].run_id
    before = settings.evidence_log.read_bytes()
    page = f"/review/{run_id}"
    sent = operator.act(page, page, {"decision": "accept", "note": "L3 says it", "verdict": "pass", "admit": "on"})
    assert (sent.status_code, sent.headers["location"]) == (303, "/review")
    [said] = entries(client, settings, "replay_review.v1")
    assert settings.evidence_log.read_bytes().startswith(before)
    reader = EvidenceReader(settings.evidence_log)
    end, review = reader.run(run_id)
    assert (review.record, said["record_hash"]) == (said, end.chain.hash)
    assert (said["record_id"], said["decision"], said["note"]) == (end.record["id"], "accept", "L3 says it")
    assert (said["verdict"], said["admit"]) == ("pass", True)
    assert WHO.fullmatch(said["who"])
    assert reader.awaiting_review(10) == []
    assert "L3 says it" in operator.get(page).text
    client.delete("replay.evidence")
    operator.act(page, page, {"decision": "reject", "note": "it does not", "verdict": "fail"})
    [said] = entries(client, settings, "replay_review.v1")
    assert (said["decision"], said["verdict"], said["admit"]) == ("reject", "fail", False)
    assert len(reader.run(run_id)) == 3


def test_what_fails_is_noted_as_such(settings: Settings, client: redis.Redis, batch: Batch, operator: Browser) -> None:
    """The entry was made before; a second one says that it was not done, and why."""
    manifest.mark_cancelled(settings.batches_dir, batch.batch_id)
    refused = operator.post(f"/batches/{batch.batch_id}/pause", {"csrf": _csrf(operator)})
    assert (refused.status_code, "was cancelled" in refused.text) == (400, True)
    first, second = entries(client, settings)
    assert first["action"] == second["action"] == "batch.pause"
    assert f"{first['id']} was not done" in second["detail"]


def test_what_cannot_be_noted_is_not_done(
    settings: Settings, batch: Batch, operator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a broker there is no way to the evidence: the batch is not cancelled."""

    def away(*_: Any, **__: Any) -> redis.Redis:
        raise BrokerUnavailable("the broker does not answer", hint="start it")

    bound = _csrf(operator)
    monkeypatch.setattr(actions, "connect", away)
    refused = operator.post(f"/batches/{batch.batch_id}/cancel", {"csrf": bound})
    assert refused.status_code == 503
    assert not manifest.is_cancelled(settings.batches_dir, batch.batch_id)


def test_entries_are_signed_where_messages_are(
    settings: Settings, client: redis.Redis, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer would keep an entry without a signature as a dead letter."""
    signed = settings.model_copy(update={"message_key": Settings(message_key="a key that is long enough").message_key})
    done = ProducerActions(signed).pause_lane("local", "", "operator")
    assert done.ok
    [(_, fields)] = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange("replay.evidence"))
    assert b"signature" in fields


def test_results_are_downloaded(settings: Settings, batch: Batch, operator: Browser) -> None:
    """In the order of the input, as JSON lines and CSV, under the batch's name; in CSV nothing is a formula."""
    lines = operator.get(f"/batches/{batch.batch_id}/results.jsonl")
    assert lines.headers["content-disposition"] == f'attachment; filename="{batch.batch_id}.jsonl"'
    assert [json.loads(line)["custom_id"] for line in lines.text.splitlines()] == ["t0", "t1", "t2"]
    table = operator.get(f"/batches/{batch.batch_id}/results.csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert len(table.text.splitlines()) == 4
    assert operator.get(f"/batches/{batch.batch_id}/results.exe").status_code == 404
    assert operator.get("/batches/batch_none/results.csv").status_code == 400


def _csrf(browser: Browser) -> str:
    """What the forms of its session carry."""
    return csrf_of(browser.get("/review").text)
