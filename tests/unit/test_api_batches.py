"""Batches over the API: their states, their files, and what a line of them says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from openai.types import Batch, FileObject
from openai.types.chat import ChatCompletion

from broker import queues
from producer import manifest, repeats
from producer.api import engine, steps, writing
from producer.api.store import Store
from replay.contracts import Check, ReplayRun, State, Tier
from replay.corpus import snapshot
from replay.errors import BrokerUnavailable
from replay.settings import Settings
from tests.api_desk import Api, request_file, request_line
from tests.batches import make_run, record
from tests.factories import make_bundle


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    """Settings with a corpus."""
    made = Settings(data_dir=data_dir)
    snapshot.write([hit.record for hit in make_bundle().passages], made.corpus_dir)
    return made


@pytest.fixture
def api(settings: Settings) -> Iterator[Api]:
    """The application, whose keeper makes steps when it is told to."""
    with Api(settings) as made:
        yield made


# --- states ----------------------------------------------------------------------------------------------------------


def test_a_batch_goes_from_validating_to_completed(api: Api) -> None:
    """Each state in its turn, counts from the evidence, and an answer for each request in the output file."""
    made = api.create([request_line("a"), request_line("b")], metadata={"mine": "42"})
    assert (made["status"], made["request_counts"]["total"]) == ("validating", 0)
    going = api.settle(made["id"])
    assert going["status"] == "in_progress"
    assert going["request_counts"] == {"total": 2, "completed": 0, "failed": 0}
    assert len(queues.look(api.broker).run_ids) == 2
    api.finish(going, {"a": State.ACCEPTED})
    assert api.settle(made["id"])["request_counts"] == {"total": 2, "completed": 1, "failed": 0}
    api.finish(going, {"b": State.ACCEPTED})
    done = api.settle(made["id"])
    assert (done["status"], done["error_file_id"], done["metadata"]) == ("completed", None, {"mine": "42"})
    assert done["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    assert done["usage"]["total_tokens"] == 2 * 110
    assert done["in_progress_at"] <= done["finalizing_at"] <= done["completed_at"]
    assert list(api.lines(done["output_file_id"])) == ["a", "b"]
    # Its objects are what the official client takes them for, with all that it declares.
    Batch.model_validate(done, strict=True)
    FileObject.model_validate(api.ask("GET", f"/v1/files/{done['output_file_id']}").json(), strict=True)


def test_two_batches_of_one_file_are_two(api: Api) -> None:
    """The same requests again are asked again: the batch's own name goes into that of the engine's."""
    one, other = (api.settle(api.create([request_line("a")])["id"]) for _ in range(2))
    assert one["replay"]["batch_id"] != other["replay"]["batch_id"]


def test_a_cancelled_batch_keeps_what_was_done(api: Api) -> None:
    """What has ended is in the output file, the rest in the error file as `batch_cancelled`."""
    made = api.create([request_line("done"), request_line("rest")])
    going = api.settle(made["id"])
    api.finish(going, {"done": State.ACCEPTED})
    cancelled = api.ask("POST", f"/v1/batches/{made['id']}/cancel")
    assert cancelled.json()["status"] == "cancelling"
    assert api.settle(made["id"])["status"] == "cancelling"
    assert manifest.is_cancelled(api.settings.batches_dir, going["replay"]["batch_id"])
    api.finish(going, {"rest": State.CANCELLED}, tier=None)
    ended = api.settle(made["id"])
    assert (ended["status"], ended["completed_at"]) == ("cancelled", None)
    assert ended["cancelling_at"] <= ended["cancelled_at"]
    assert ended["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    assert list(api.lines(ended["output_file_id"])) == ["done"]
    rest = api.lines(ended["error_file_id"])["rest"]
    assert (rest["response"], rest["error"]["code"]) == (None, "batch_cancelled")


def test_cancelling_waits_for_no_worker_without_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no worker takes what waits, the batch is cancelled all the same after a while."""
    made = api.create([request_line("a")])
    api.settle(made["id"])
    api.ask("POST", f"/v1/batches/{made['id']}/cancel")
    assert api.settle(made["id"])["status"] == "cancelling"
    monkeypatch.setattr(steps, "GRACE_S", 0)
    ended = api.settle(made["id"])
    assert (ended["status"], ended["output_file_id"]) == ("cancelled", None)
    assert api.lines(ended["error_file_id"])["a"]["error"]["code"] == "batch_cancelled"


def test_a_batch_cancelled_before_it_is_submitted_runs_nothing(api: Api) -> None:
    """It has no batch of the engine, and each of its requests is in the error file."""
    made = api.create([request_line("a"), request_line("other", url="/v1/embeddings")])
    api.ask("POST", f"/v1/batches/{made['id']}/cancel")
    ended = api.settle(made["id"])
    assert (ended["status"], ended["replay"]["batch_id"]) == ("cancelled", None)
    assert ended["in_progress_at"] is None
    assert not queues.look(api.broker).run_ids
    lines = api.lines(ended["error_file_id"])
    assert lines["a"]["error"]["code"] == "batch_cancelled"
    assert lines["other"]["response"]["status_code"] == 404


def test_a_batch_cancelled_while_it_is_submitted_is_accounted_for(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The submission is made whole, then cancelled: no task runs that nobody knows of."""
    made = api.create([request_line("a"), request_line("b")])
    submit = engine.submit

    def submit_meanwhile(*given: Any) -> str:
        api.ask("POST", f"/v1/batches/{made['id']}/cancel")
        return submit(*given)

    monkeypatch.setattr(engine, "submit", submit_meanwhile)
    going = api.settle(made["id"])
    assert going["status"] == "cancelling"
    assert manifest.is_cancelled(api.settings.batches_dir, going["replay"]["batch_id"])
    assert len(queues.look(api.broker).run_ids) == 2


def test_a_batch_that_has_ended_cannot_be_cancelled(api: Api) -> None:
    """409, with the state that it has."""
    made = api.create([request_line("a")])
    api.finish(api.settle(made["id"]), {"a": State.ACCEPTED})
    api.settle(made["id"])
    refused = api.ask("POST", f"/v1/batches/{made['id']}/cancel")
    assert refused.status_code == 409
    assert "'completed'" in refused.json()["error"]["message"]


def test_what_is_not_done_in_the_window_expires(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 24 hours the rest is cancelled; it is in the error file as `batch_expired`, and what was done is kept."""
    made = api.create([request_line("done"), request_line("rest")])
    going = api.settle(made["id"])
    api.finish(going, {"done": State.ACCEPTED})
    monkeypatch.setattr(api.desk.store, "now", lambda: made["expires_at"])
    assert api.settle(made["id"])["status"] == "finalizing"
    assert manifest.is_cancelled(api.settings.batches_dir, going["replay"]["batch_id"])
    api.finish(going, {"rest": State.CANCELLED}, tier=None)
    ended = api.settle(made["id"])
    assert (ended["status"], ended["expired_at"]) == ("expired", made["expires_at"])
    assert made["expires_at"] == made["created_at"] + 24 * 3600
    assert list(api.lines(ended["output_file_id"])) == ["done"]
    assert api.lines(ended["error_file_id"])["rest"]["error"]["code"] == "batch_expired"


def test_what_was_done_in_time_does_not_expire(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was down at the end of the window finds the batch completed."""
    made = api.create([request_line("a")])
    api.finish(api.settle(made["id"]), {"a": State.REJECTED})
    monkeypatch.setattr(api.desk.store, "now", lambda: made["expires_at"] + 1)
    assert api.settle(made["id"])["status"] == "completed"


def test_a_broker_that_is_away_is_waited_for(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch stays `validating` and says why, and goes on when the broker is back."""
    made = api.create([request_line("a")])
    submit = engine.submit

    def no_broker(*_: Any) -> str:
        raise BrokerUnavailable("There is no broker at unix:///x.")

    monkeypatch.setattr(engine, "submit", no_broker)
    api.desk.keeper._advance(made["id"])
    shown = api.batch(made["id"])
    assert (shown["status"], shown["replay"]["trouble"]) == ("validating", "There is no broker at unix:///x.")
    monkeypatch.setattr(engine, "submit", submit)
    api.desk.keeper._advance(made["id"])
    shown = api.batch(made["id"])
    assert (shown["status"], shown["replay"]["trouble"]) == ("in_progress", None)


def test_requests_that_somebody_removed_are_told(api: Api) -> None:
    """A file that is gone from the disk is no stack trace: the batch says what is missing."""
    made = api.create([request_line("a")])
    api.finish(api.settle(made["id"]), {"a": State.ACCEPTED})
    (api.settings.data_dir / "api" / "files" / made["input_file_id"]).unlink()
    api.desk.keeper._advance(made["id"])
    shown = api.batch(made["id"])
    assert shown["status"] == "finalizing"
    assert shown["replay"]["batch_id"] in shown["replay"]["trouble"]
    assert api.ask("GET", f"/v1/files/{made['input_file_id']}/content").status_code == 404


def test_without_a_corpus_a_batch_fails_and_says_so(data_dir: Path) -> None:
    """What the client cannot change does not hang."""
    with Api(Settings(data_dir=data_dir)) as api:
        ended = api.settle(api.create([request_line("a")])["id"])
        assert ended["status"] == "failed"
        assert "replay corpus build" in ended["errors"]["data"][0]["message"]


def half_submitted(api: Api, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A batch that the engine has accepted when the broker goes away."""
    made = api.create([request_line("a"), request_line("b")])

    def gone(*_: Any, **__: Any) -> int:
        raise BrokerUnavailable("It went away.")

    with monkeypatch.context() as patched:
        patched.setattr("producer.submit.enqueue", gone)
        api.desk.keeper._advance(made["id"])
    shown = api.batch(made["id"])
    assert (shown["status"], shown["replay"]["trouble"]) == ("validating", "It went away.")
    return shown


def test_an_accepted_batch_that_an_operator_cancels_ends_with_its_files(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not fail as if nothing of it had run: what has ended before is an answer."""
    made = half_submitted(api, monkeypatch)
    manifest.mark_cancelled(api.settings.batches_dir, made["replay"]["batch_id"])
    assert api.settle(made["id"])["status"] == "in_progress"
    api.finish(made, {"a": State.ACCEPTED})
    api.finish(made, {"b": State.CANCELLED}, tier=None)
    done = api.settle(made["id"])
    assert (done["status"], list(api.lines(done["output_file_id"]))) == ("completed", ["a"])
    assert api.lines(done["error_file_id"])["b"]["error"]["code"] == "batch_cancelled"


def test_an_accepted_batch_waits_for_what_is_missing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A corpus that is away for a while, or a wrong setting, does not end what runs already."""
    made = half_submitted(api, monkeypatch)
    away = api.settings.corpus_dir.rename(api.settings.data_dir / "away")
    api.desk.keeper._advance(made["id"])
    shown = api.batch(made["id"])
    assert (shown["status"], "corpus" in shown["replay"]["trouble"]) == ("validating", True)
    away.rename(api.settings.corpus_dir)
    assert api.settle(made["id"])["status"] == "in_progress"
    assert len(queues.look(api.broker).run_ids) == 2


# --- crashes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["submitting_at", "in_progress_at", "finalizing_at", "ended_at"])
def test_a_server_that_dies_before_noting_a_step_makes_it_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Dead before the note of each point, the next server ends with the same batch, tasks and files."""
    note = Store.note

    def die_before(store: Store, batch_id: str, *, unless: str = "", **what: Any) -> bool:
        if point in what:
            raise KeyboardInterrupt
        return note(store, batch_id, unless=unless, **what)

    with Api(settings) as api:
        made = api.create([request_line("a"), request_line("b")])
        monkeypatch.setattr(Store, "note", die_before)
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012  where it dies is the parameter
            going = api.settle(made["id"])
            api.finish(going, dict.fromkeys("ab", State.ACCEPTED))
            api.settle(made["id"])
        monkeypatch.setattr(Store, "note", note)
        with Api(settings) as after:
            after.desk.keeper.steps._client = api.broker
            going = after.settle(made["id"])
            runs = {task.run_id for task in manifest.load(settings.batches_dir, going["replay"]["batch_id"]).tasks}
            queued = queues.look(api.broker).run_ids
            assert len(queued) == len(runs) == 2
            assert all(run_id in queued for run_id in runs)
            if going["status"] == "in_progress":
                after.finish(going, dict.fromkeys("ab", State.ACCEPTED))
            done = after.settle(made["id"])
            assert (done["status"], done["request_counts"]["completed"]) == ("completed", 2)
            assert list(after.lines(done["output_file_id"])) == ["a", "b"]
            kept = {path.name for path in (settings.data_dir / "api" / "files").iterdir()}
            assert kept == {done["input_file_id"], done["output_file_id"]}


def test_a_server_that_is_told_to_end_leaves_no_half_file(api: Api) -> None:
    """Writing a large batch stops at once and leaves nothing; the next server writes it."""
    made = api.create([request_line("a")])
    api.finish(api.settle(made["id"]), {"a": State.ACCEPTED})
    assert api.desk.keeper.steps.step(made["id"])
    api.desk.keeper._stopping.set()
    with pytest.raises(writing.Stopped):
        api.desk.keeper.steps.step(made["id"])
    folder = api.settings.data_dir / "api" / "files"
    assert [path.name for path in folder.iterdir()] == [made["input_file_id"]]
    with Api(api.settings) as after:
        assert after.settle(made["id"])["status"] == "completed"


# --- what a line says ------------------------------------------------------------------------------------------------


def ended_lines(api: Api, lines: list[str], states: dict[str, State], **fields: Any) -> dict[str, dict[str, Any]]:
    """Run a batch to its end; its output and error lines by name."""
    made = api.create(lines)
    api.finish(api.settle(made["id"]), states, **fields)
    done = api.settle(made["id"])
    assert done["status"] == "completed"
    return api.lines(done["output_file_id"]) | api.lines(done["error_file_id"])


def test_an_accepted_answer_is_a_completion(api: Api) -> None:
    """Verdict, values and citation as JSON in the message; tokens, model, run and tier beside it."""
    line = ended_lines(api, [request_line("a")], {"a": State.ACCEPTED})["a"]
    assert line["error"] is None
    assert line["response"]["status_code"] == 200
    body = line["response"]["body"]
    ChatCompletion.model_validate(body, strict=True)
    assert json.loads(body["choices"][0]["message"]["content"]) == {
        "state": "accepted",
        "verdict": "pass",
        "expected": "1 hour",
        "found": "3600",
        "cites": [{"at": "kombu/transport/redis.py:402", "quote": "visibility_timeout = 3600  # 1 hour"}],
        "checks": [],
        "reasons": [],
    }
    assert (body["model"], body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (
        "model-local", 100, 10,
    )  # fmt: skip
    ours = body["replay"]
    assert (ours["state"], ours["tier"], ours["ruling"], ours["run_id"]) == (
        "accepted", "local", "pass", line["response"]["request_id"],
    )  # fmt: skip


def test_a_rejection_is_an_answer_without_a_verdict(api: Api) -> None:
    """Status 200 and the gate's reasons; what was rejected is nowhere taken for a verdict."""
    line = ended_lines(api, [request_line("a")], {"a": State.REJECTED}, rules=["GATE-X"])["a"]
    assert (line["response"]["status_code"], line["error"]) == (200, None)
    body = line["response"]["body"]
    content = json.loads(body["choices"][0]["message"]["content"])
    assert (content["state"], content["verdict"]) == ("rejected", None)
    assert content["reasons"] == body["replay"]["reasons"] == ["GATE-X: does not hold"]
    assert body["replay"]["ruling"] == "pass"


@pytest.mark.parametrize("is_answered", [True, False])
def test_checks_are_those_of_the_answer_that_stands(api: Api, is_answered: bool) -> None:
    """What the large model says to the checklist; where it says nothing, not what a rejected local answer said."""
    made = api.create([request_line("a", metadata={"checklist": ["is it so?"]})])
    going = api.settle(made["id"])
    (task,) = manifest.load(api.settings.batches_dir, going["replay"]["batch_id"]).tasks
    local = make_run(task, State.ESCALATED, rules=["GATE-X"])
    large = make_run(task, State.ACCEPTED if is_answered else State.REJECTED, Tier.ESCALATION)
    record(api.settings, with_checks(local, "fail"), with_checks(large, "pass" if is_answered else None))
    line = api.lines(api.settle(made["id"])["output_file_id"])["a"]
    content = json.loads(line["response"]["body"]["choices"][0]["message"]["content"])
    assert content["checks"] == ([{"item": "is it so?", "result": "pass"}] if is_answered else [])


def with_checks(run: ReplayRun, result: Literal["pass", "fail"] | None) -> ReplayRun:
    """A run whose answer has one check, or that has no answer."""
    assert run.attempt is not None
    assert run.attempt.answer is not None
    check = None if result is None else Check(item="is it so?", result=result)
    answer = None if check is None else run.attempt.answer.model_copy(update={"checks": (check,)})
    return run.model_copy(update={"attempt": run.attempt.model_copy(update={"answer": answer})})


def test_a_failed_run_is_an_error_line(api: Api) -> None:
    """Status 500 with the reason, in the error file."""
    line = ended_lines(api, [request_line("a")], {"a": State.FAILED}, tier=None, reason="poison: started 4 times")["a"]
    assert line["response"]["status_code"] == 500
    error = line["response"]["body"]["error"]
    assert (error["code"], error["type"]) == ("run_failed", "server_error")
    assert "poison: started 4 times" in error["message"]


def test_names_come_back_as_they_were_given(api: Api) -> None:
    """Blanks, quotes and letters of a custom_id are the client's own."""
    name = ' "ä/../\u2028 '
    assert list(ended_lines(api, [request_line(name)], {name.strip(): State.ACCEPTED})) == [name]


def test_requests_that_are_no_task_do_not_stop_the_others(api: Api) -> None:
    """Each gets its own line in the error file with what is wrong; the good one is answered."""
    lines = [
        request_line("url", url="/v1/embeddings"),
        request_line("model", model="gpt-4o"),
        request_line("stream", stream=True),
        request_line("void", "  "),
        request_line("long", "x" * 32_769),
        request_line("nobody", messages=[{"role": "system", "content": "Be brief."}]),
        request_line("picture", messages=[{"role": "user", "content": [{"type": "image_url"}]}]),
        request_line("option", metadata={"retrieval": "perhaps"}),
        request_line("schema", response_format={"type": "json_schema", "json_schema": {}}),
        # None of these may stop the server at its line: the batch would never end.
        request_line("count", n=[]),
        request_line("names", model=["replay"]),
        request_line("nested", metadata={"tags": "[" * 5000}),
        request_line("half", metadata={"tags": ["\ud800"]}),
        json.dumps({"custom_id": "body", "method": "POST", "url": "/v1/chat/completions", "body": []}),
        request_line("good"),
    ]
    found = ended_lines(api, lines, {"good": State.ACCEPTED})
    assert found.pop("good")["response"]["status_code"] == 200
    told = {
        name: (line["response"]["status_code"], line["response"]["body"]["error"]["param"])
        for name, line in found.items()
    }
    assert told == {
        "url": (404, "url"),
        "model": (404, "model"),
        "stream": (400, "stream"),
        "void": (400, "messages"),
        "long": (400, "messages"),
        "nobody": (400, "messages"),
        "picture": (400, "messages[0].content"),
        "option": (400, "metadata.retrieval"),
        "schema": (400, "response_format"),
        "count": (400, "n"),
        "names": (404, "model"),
        "nested": (400, "metadata.tags"),
        "half": (400, "metadata.tags"),
        "body": (400, "body"),
    }


def test_a_file_of_refusals_completes_without_a_task(api: Api) -> None:
    """Nothing is submitted, and the batch ends at once."""
    done = api.settle(api.create([request_line("a", model="gpt-4o")])["id"])
    assert (done["status"], done["replay"]["batch_id"], done["output_file_id"]) == ("completed", None, None)
    assert done["request_counts"] == {"total": 1, "completed": 0, "failed": 1}


# Python reads it, but not at every depth of the stack.
DEEP = request_line("a", mine="[]").replace('"[]"', "[" * 120 + "]" * 120).encode()


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        pytest.param(b"{", "invalid_json_line", 1, id="no JSON"),
        pytest.param(b"[]", "invalid_json_line", 1, id="no object"),
        pytest.param(b'\n\n"\xff"', "invalid_json_line", 3, id="no UTF-8"),
        pytest.param(b"[" * 100_000, "invalid_json_line", 1, id="deeply nested"),
        pytest.param(DEEP, "invalid_json_line", 1, id="deeper than is read twice"),
        pytest.param(b'{"custom_id": "a"}', "missing_required_parameter", 1, id="half a request"),
        pytest.param(request_line("a").replace("POST", "GET").encode(), "invalid_method", 1, id="another method"),
        pytest.param(request_line("x" * 257).encode(), "invalid_custom_id", 1, id="a long name"),
        pytest.param(request_line("\ud800").encode(), "invalid_custom_id", 1, id="half a character"),
        pytest.param(request_file([request_line("a"), request_line("a ")]), "duplicate_custom_id", 2, id="a double"),
        pytest.param(request_line("a", "x" * 1_100_000).encode(), "line_too_long", 1, id="a long line"),
        pytest.param(b"  \n\n", "empty_file", None, id="nothing"),
    ],
)
def test_a_line_that_is_no_request_fails_the_batch(api: Api, content: bytes, code: str, line: int | None) -> None:
    """Nothing runs, and `errors` names the line: its answer could not be told from another's."""
    good = request_file([request_line("good")])
    file_id = api.upload(content + (b"\n" + good if code != "empty_file" else b"")).json()["id"]
    body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    ended = api.settle(api.ask("POST", "/v1/batches", json=body).json()["id"])
    assert (ended["status"], ended["output_file_id"]) == ("failed", None)
    assert ended["failed_at"] is not None
    assert [(fault["code"], fault["line"]) for fault in ended["errors"]["data"]] == [(code, line)]
    assert not queues.look(api.broker).run_ids


def test_too_many_requests_fail_the_batch(settings: Settings) -> None:
    """One more than the limit is refused; the limit itself is not."""
    with Api(settings.model_copy(update={"api_max_requests": 2})) as api:
        lines = [request_line(name) for name in "abc"]
        assert api.settle(api.create(lines[:2])["id"])["status"] == "in_progress"
        ended = api.settle(api.create(lines)["id"])
        assert ended["errors"]["data"][0]["code"] == "too_many_tasks"


# --- what becomes of a request ---------------------------------------------------------------------------------------


def test_the_last_message_of_the_user_is_the_claim(api: Api) -> None:
    """Text parts are joined; all other messages are left out, and the answer says how many."""
    parts = [{"type": "text", "text": "Verify that"}, {"type": "text", "text": "1 is 1."}]
    messages = [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": "{"},
    ]
    made = api.create([request_line("a", messages=messages)])
    going = api.settle(made["id"])
    (task,) = manifest.load(api.settings.batches_dir, going["replay"]["batch_id"]).tasks
    assert task.text == "Verify that\n1 is 1."
    api.finish(going, {"a": State.ACCEPTED})
    line = api.lines(api.settle(made["id"])["output_file_id"])["a"]
    assert line["response"]["body"]["replay"]["messages_left_out"] == 4


def test_options_travel_in_metadata(api: Api) -> None:
    """Those of the batch are texts and count for each request; a request's own go before them."""
    ours = {"allow_escalation": "false", "checklist": "is it so?\nis it here?", "tags": "x, y", "mine": "1"}
    own = {"allow_escalation": True, "retrieval": False, "checklist": ["why?"], "tags": '["z"]'}
    going = api.settle(api.create([request_line("plain"), request_line("own", metadata=own)], metadata=ours)["id"])
    plain, other = manifest.load(api.settings.batches_dir, going["replay"]["batch_id"]).tasks
    assert (plain.options.allow_escalation, plain.options.retrieval) == (False, True)
    assert (plain.checklist, plain.tags) == (("is it so?", "is it here?"), ("x", "y"))
    assert (other.options.allow_escalation, other.options.retrieval) == (True, False)
    assert (other.checklist, other.tags) == (("why?",), ("z",))


# --- what is refused at once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "param"),
    [
        pytest.param({"endpoint": "/v1/embeddings"}, "endpoint", id="another endpoint"),
        pytest.param({"completion_window": "7d"}, "completion_window", id="another window"),
        pytest.param({"metadata": {"retrieval": "perhaps"}}, "metadata", id="an option that is none"),
        pytest.param({"metadata": {"k": 1}}, "metadata.k", id="metadata that is no text"),
        pytest.param({"metadata": {"k": "\ud800"}}, "metadata.k", id="half a character"),
        pytest.param({"metadata": {"k": "x" * 513}}, "metadata.k", id="metadata that is long"),
        pytest.param({"metadata": {str(n): "" for n in range(17)}}, "metadata", id="too much metadata"),
        pytest.param({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after.seconds",
                     id="a short life"),
        pytest.param({"input_file_id": None}, "input_file_id", id="no file"),
        pytest.param({"input_file_id": "\ud800"}, "input_file_id", id="half a character of a file"),
        pytest.param({"surprise": 1}, "surprise", id="an unknown field"),
    ],
)  # fmt: skip
def test_a_batch_that_cannot_be_is_refused(api: Api, change: dict[str, Any], param: str) -> None:
    """400, and the field by its name."""
    file_id = api.upload(request_file([request_line("a")])).json()["id"]
    body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"} | change
    headers = api.headers | {"content-type": "application/json"}
    refused = api.ask("POST", "/v1/batches", content=json.dumps(body), headers=headers)
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"]
    assert api.ask("GET", "/v1/batches").json()["data"] == []


@pytest.mark.parametrize("batch_id", ["batch_0", "batch_" + "0" * 32, "..%2f..%2fetc", "%00"])
def test_a_batch_that_is_not_there_is_not_found(api: Api, batch_id: str) -> None:
    """404 in the client's form, whatever the name looks like."""
    for verb, path in (("GET", ""), ("POST", "/cancel")):
        answer = api.ask(verb, f"/v1/batches/{batch_id}{path}")
        assert answer.status_code == 404
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_batches_are_listed_in_pages(api: Api) -> None:
    """The newest first, `after` and `limit` as the client's pages use them."""
    made = [api.create([request_line("a")])["id"] for _ in range(5)][::-1]
    first = api.ask("GET", "/v1/batches", params={"limit": 2}).json()
    assert ([row["id"] for row in first["data"]], first["has_more"]) == (made[:2], True)
    assert (first["first_id"], first["last_id"]) == (made[0], made[1])
    last = api.ask("GET", "/v1/batches", params={"limit": 100, "after": made[1]}).json()
    assert ([row["id"] for row in last["data"]], last["has_more"]) == (made[2:], False)
    for wrong in ({"limit": 0}, {"limit": 101}, {"after": "batch_x"}):
        assert api.ask("GET", "/v1/batches", params=wrong).status_code == 400


def test_a_repeated_run_is_counted_once(api: Api) -> None:
    """Counts of a batch with runs that were made again leave out those in whose place others stand."""
    made = api.create([request_line("a"), request_line("b")])
    going = api.settle(made["id"])
    api.finish(going, {"a": State.FAILED}, tier=None)
    batch_id = going["replay"]["batch_id"]
    failed = manifest.load(api.settings.batches_dir, batch_id).tasks[0]
    repeat = repeats.Repeat(
        letter_id="dead_1", run_id=failed.run_id, task=repeats.repeated(failed), recorded_at="2026-01-01T00:00:00Z"
    )
    repeats.add(manifest.folder(api.settings.batches_dir, batch_id), repeat)
    assert api.batch(made["id"])["request_counts"] == {"total": 2, "completed": 0, "failed": 0}
