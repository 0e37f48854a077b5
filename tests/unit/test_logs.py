"""Lines of the logs: whose they are, and what they never show."""

from __future__ import annotations

import contextvars
import json
import logging
import sys
import threading
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from replay import logs
from replay.contracts import EscalationOrder
from replay.settings import Settings
from tests.factories import make_bundle, make_task

CANARY = 'sk-canary-"\\é-77'


def _settings(form: Literal["text", "json"], **fields: Any) -> Settings:
    return Settings(data_dir=Path("unused"), log_format=form, **fields)


def _line(settings: Settings, message: str, *args: object, exc_info: Any = None, **more: object) -> str:
    record = logging.LogRecord("ours", logging.WARNING, __file__, 1, message, args, exc_info)
    record.__dict__.update(more)
    return logs.formatter(settings, "local").format(record)


def _json(message: str, *args: object, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_line(_settings("json"), message, *args, **more))
    return found


def test_every_line_carries_the_ids_that_are_bound() -> None:
    """Nested blocks add, an end takes away, and None binds nothing."""
    with logs.bound(run_id="run_1", queue="replay.local"), logs.bound(batch_id="batch_1", task_id=None):
        inner = _json("hello %s", "you")
    assert {name: inner[name] for name in ("role", "queue", "run_id", "batch_id")} == {
        "role": "local",
        "queue": "replay.local",
        "run_id": "run_1",
        "batch_id": "batch_1",
    }
    assert (inner["message"], inner["level"], inner["logger"]) == ("hello you", "warning", "ours")
    assert "task_id" not in inner
    assert "run_id" not in _json("after")


def test_text_carries_the_same_ids() -> None:
    """For people, at the end of the line."""
    with logs.bound(run_id="run_1"):
        assert _line(_settings("text"), "hello").endswith("WARNING hello [role=local run_id=run_1]")


def test_ids_of_a_message_are_found_in_both_lanes() -> None:
    """A task has them itself, an order of the large model's lane in its task."""
    task = make_task(custom_id="one")
    expected = {"run_id": task.run_id, "batch_id": "batch_test", "task_id": "one"}
    order = EscalationOrder(task=task, bundle=make_bundle(), reasons=())
    assert logs.ids_of(task.wire()) == logs.ids_of(order.wire()) == expected


names = st.sampled_from(["task", "run_id", "batch_id", "custom_id"])


@given(st.dictionaries(names, st.none() | st.integers() | st.text()))
def test_ids_of_a_strangers_message_are_texts_or_none(payload: dict[str, Any]) -> None:
    """Whatever stands there, the line is written."""
    with logs.bound(**logs.ids_of(payload)):
        assert _json("x")["message"] == "x"


def test_celery_names_the_run_of_its_own_lines() -> None:
    """`Task … received` is about a run, and says so by the id of its message."""
    assert _json("received", data={"id": "run_7:local", "name": "replay.audit_local"})["run_id"] == "run_7"
    assert "run_id" not in _json("received", data={"id": "another's"})
    assert "run_id" not in _json("received", data={"id": None})


def test_a_thread_with_the_context_carries_the_ids() -> None:
    """As the one that renews a lease."""
    said: list[str] = []
    with logs.bound(run_id="run_1"):
        context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(lambda: said.append(_json("x")["run_id"]),))
    thread.start()
    thread.join()
    assert said == ["run_1"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_ever_written(form: Literal["text", "json"]) -> None:
    """Not in a message, an id or a traceback; nor one key of several, nor a password of an address."""
    secret_fields = [name for name, info in Settings.model_fields.items() if "SecretStr" in str(info.annotation)]
    secret = {name: SecretStr(CANARY) for name in secret_fields}
    assert len(secret) >= 4
    secret["message_key"] = SecretStr(f"another-canary-one,{CANARY}")
    settings = _settings(form, broker_url="redis://user:pass%2Fcanary@host:1/0", **secret)
    try:
        int(CANARY)
    except ValueError:
        failed = sys.exc_info()
    with logs.bound(task_id=f"id {CANARY}"):
        line = _line(settings, "%s another-canary-one pass%%2Fcanary pass/canary", CANARY, exc_info=failed)
    assert "canary" not in line
    assert line.count("***") >= 6
    assert "ValueError" in line


@pytest.mark.parametrize("hostile", ["two\nlines", "\x1b[2J", "a\rb", "\u2028", "\ud800"])
def test_a_strangers_text_begins_no_line_and_obeys_nothing(hostile: str) -> None:
    """One line stays one line, in both forms, and can be written."""
    with logs.bound(task_id=hostile):
        for form in ("text", "json"):
            line = _line(_settings(form), "%s", hostile)
            assert line.isprintable()
            line.encode()
    assert _json("%s", hostile)["message"] == hostile


def test_a_process_is_set_up_by_one_call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All loggers write to stderr in the chosen form; requests of httpx are not told."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(logging.getLogger("httpx"), "level", logging.NOTSET)
    monkeypatch.setattr("logging.captureWarnings", lambda capture: None)
    logs.configure(_settings("json"), "writer")
    logging.getLogger("any.thing").info("told")
    logging.getLogger("httpx").info("not told")
    logs.configure(_settings("json"), "writer")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["message"], line["role"]) for line in lines] == [("told", "writer")]
