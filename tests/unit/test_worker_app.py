"""The Celery application as it is configured, without a broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.errors import BrokerUnavailable, ConfigurationError
from replay.settings import Settings
from replay.topology import ROUTES, Queue, TaskName
from tests.scripted_model import ScriptedModel
from workers.app import default_concurrency, make_app
from workers.launch import run_worker


def test_the_application_registers_exactly_the_tasks_of_the_topology(tmp_path: Path) -> None:
    """Names on the wire and registered names cannot drift apart."""
    app = make_app(Settings(data_dir=tmp_path))
    app.finalize()
    assert {name for name in app.tasks if not name.startswith("celery.")} == {name.value for name in TaskName}
    for task, queue in ROUTES.items():
        assert app.amqp.router.route({}, task.value)["queue"].name == queue.value


def test_a_gate_rule_that_there_is_not_stops_a_worker_before_its_first_task(tmp_path: Path) -> None:
    """Met in each task, a mistyped setting would end a whole batch."""
    with pytest.raises(ConfigurationError, match=r"no rule 'binding.typo'"):
        make_app(Settings(data_dir=tmp_path, gate_rules_off="binding.typo"))


@pytest.mark.parametrize("remote_control", [False, True])
def test_remote_control_and_events_follow_one_setting(tmp_path: Path, remote_control: bool) -> None:
    """Off unless asked for; late acknowledgement, one message at a time and JSON always."""
    conf = make_app(Settings(data_dir=tmp_path, remote_control=remote_control)).conf
    assert conf.worker_enable_remote_control is remote_control
    assert conf.worker_send_task_events is remote_control
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.accept_content == ["json"]
    assert conf.task_ignore_result


def test_concurrency_comes_from_the_model_server_of_the_lane(tmp_path: Path) -> None:
    """Its slots and one task more; by the settings where nothing answers, and narrow where it is the large model."""
    with ScriptedModel(slots=5) as server:
        settings = Settings(data_dir=tmp_path, base_url=server.base_url, local_model="m", escalation_model="m")
        assert default_concurrency(settings, Queue.LOCAL.value).tasks == 6
        assert default_concurrency(settings, None).tasks == 6
        assert default_concurrency(settings, [Queue.ESCALATION.value]).tasks == 1
    assert default_concurrency(settings, Queue.LOCAL.value).tasks == 3


def test_a_message_key_is_in_nothing_that_celery_prints(tmp_path: Path) -> None:
    """Neither in `celery report` nor in the configuration that `celery inspect conf` answers with."""
    app = make_app(Settings(data_dir=tmp_path, message_key="c4n4ry-and-long-enough"))
    assert app.runtime.keyring
    shown = f"{app.bugreport()}{app.conf.humanize(with_defaults=True, censored=False)}{app.connection_for_read()!r}"
    assert "Keyring(1 keys)" in shown
    assert "c4n4ry" not in shown


def test_a_worker_that_cannot_run_says_why(tmp_path: Path) -> None:
    """An unknown role, two writers, or no broker: an error for people before Celery starts."""
    settings = Settings(data_dir=tmp_path)
    with pytest.raises(ConfigurationError, match="role 'remote'"):
        run_worker(settings, "remote")
    with pytest.raises(ConfigurationError, match="one process"):
        run_worker(settings, "writer", 2)
    with pytest.raises(BrokerUnavailable):
        run_worker(settings, "local")
