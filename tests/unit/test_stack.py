"""The parts of the stack that start nothing."""

from __future__ import annotations

import configparser
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from evidence import segments
from evidence.log import EvidenceLog
from replay.corpus import snapshot
from replay.errors import ConfigurationError, CorpusError, ModelFileError
from replay.settings import Settings
from stack import config, machine, ports, questions, services
from stack.control import Control
from stack.doctor import examine
from stack.finding import Health
from stack.logs import tail
from stack.ownership import Ownership, Session
from stack.paths import OWNER_VARIABLE, StackPaths
from stack.preflight import check_needs
from stack.programs import BROKER, WORKERS, every_program, local_stack
from tests.factories import make_bundle


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Everything embedded, nothing there yet, on ports that no stack of the developer's holds."""
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return Settings(
            data_dir=tmp_path / "data",
            cache_dir=tmp_path / "cache",
            local_port=one.getsockname()[1],
            escalation_port=other.getsockname()[1],
        )


def names(settings: Settings) -> list[str]:
    """Names of the programs that run here."""
    return [program.name for program in local_stack(settings)]


def test_everything_runs_here_where_nothing_is_configured(settings: Settings) -> None:
    """The broker starts first and stops last; workers start last, when their models are ready."""
    programs = {program.name: program for program in local_stack(settings)}
    assert set(programs) == {
        "broker", "model-local", "model-escalation", "writer", "dashboard", "scheduler", "worker-local",
        "worker-escalation",
    }  # fmt: skip
    assert [name for name, program in programs.items() if program.order == BROKER] == ["broker"]
    assert {name for name, program in programs.items() if program.order == WORKERS} == {
        "scheduler",
        "worker-local",
        "worker-escalation",
    }
    assert programs["writer"].before_stop is not None
    assert not any(
        programs[name].stop_as_group for name in ("writer", "scheduler", "worker-local", "worker-escalation")
    )


@pytest.mark.parametrize(
    ("fields", "absent"),
    [
        pytest.param({"broker_url": "redis://there:6379"}, {"broker"}, id="a broker of one's own"),
        pytest.param({"base_url": "http://there/v1"}, {"model-local", "model-escalation"}, id="an endpoint"),
        pytest.param({"escalation_base_url": "http://there/v1"}, {"model-escalation"}, id="one for the large model"),
        pytest.param(
            {"escalation_model": "vendor/large", "openrouter_api_key": "key"}, {"model-escalation"}, id="OpenRouter"
        ),
    ],
)
def test_what_is_configured_elsewhere_is_not_started(
    settings: Settings, fields: dict[str, Any], absent: set[str]
) -> None:
    """Each setting removes exactly the programs that it replaces; `down` still knows them all."""
    changed = Settings(data_dir=settings.data_dir, **fields)
    assert set(names(settings)) - set(names(changed)) == absent
    assert {program.name for program in every_program(changed)} == {*names(settings), "api"}


def test_the_configuration_says_what_the_programs_say(settings: Settings) -> None:
    """Supervisord reads back the command, and starts nothing by itself; percent signs are plain text."""
    odd = Settings(data_dir=settings.data_dir / "100% mine, 'really'")
    paths = StackPaths.of(odd)
    programs = local_stack(odd)
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    parser.read_string(config.render(programs, paths))
    for program in programs:
        section = parser[f"program:{program.name}"]
        assert shlex.split(section["command"].replace("%%", "%")) == list(program.argv)
        assert section["stdout_logfile"].replace("%%", "%") == str(program.log)
        assert (section["autostart"], section["autorestart"], section["killasgroup"]) == ("false", "true", "true")
    assert parser["unix_http_server"]["file"].replace("%%", "%") == str(paths.socket)


@pytest.mark.parametrize("name", ["a #b", "a ;b", "a\nb"])
def test_a_path_that_the_configuration_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    """What would be read as a comment is found out before it does harm."""
    odd = Settings(data_dir=tmp_path / name)
    with pytest.raises(ConfigurationError, match="cannot take this"):
        config.render(local_stack(odd), StackPaths.of(odd))


def test_the_environment_carries_the_settings_whatever_gave_them(settings: Settings) -> None:
    """Settings win over the caller's variables, and come out the same; other variables stay; secrets only if asked."""
    chosen = settings.model_copy(update={"seed": 99, "api_key": SecretStr("key"), "remote_control": True})
    base = {"PATH": "/bin", "REPLAY_SEED": "1", "REPLAY_BASE_URL": "http://old/v1", "SUPERVISOR_ENABLED": "1"}
    made = config.environment(chosen, StackPaths.of(chosen), base)
    assert made["PATH"] == "/bin"
    assert "SUPERVISOR_ENABLED" not in made
    assert "REPLAY_BASE_URL" not in made
    assert (made["REPLAY_SEED"], made["REPLAY_API_KEY"]) == ("99", "key")
    assert made[OWNER_VARIABLE] == str(settings.run_dir.resolve())
    assert "REPLAY_API_KEY" not in config.exported(chosen, secrets=False)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.items():
            patch.setenv(name, value)
        assert Settings() == chosen


def test_a_deep_data_directory_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    """The control socket's path stays short enough to bind, private, and different for each stack."""
    deep = [Settings(data_dir=tmp_path / ("d" * 120) / name) for name in "ab"]
    sockets = [StackPaths.of(settings).socket for settings in deep]
    assert sockets[0] != sockets[1]
    assert all(len(os.fsencode(path)) <= 90 for path in sockets)
    paths = StackPaths.of(deep[0])
    paths.create()
    paths.socket.parent.chmod(0o755)
    with pytest.raises(ConfigurationError, match="not a private directory"):
        paths.create()
    paths.clear()
    assert not paths.socket.parent.exists()
    near = Settings(data_dir=Path("/srv/data"))
    assert StackPaths.of(near).socket == StackPaths.of(near).run_dir / "supervisor.sock"


def test_needs_are_told_before_a_start(settings: Settings) -> None:
    """Without model files, and without a corpus, a start is refused at once with what to do."""
    with pytest.raises(ModelFileError) as models:
        check_needs(settings, {"model-local"})
    assert "replay models pull" in models.value.hint
    with pytest.raises(CorpusError) as corpus:
        check_needs(settings, {"worker-local"})
    assert "corpus build" in corpus.value.hint
    snapshot.write([hit.record for hit in make_bundle().passages], settings.corpus_dir)
    check_needs(settings, {"worker-local", "broker"})
    with pytest.raises(ConfigurationError, match="no rule"):
        check_needs(settings.model_copy(update={"gate_rules_off": "binding.typo"}), set())


def test_a_message_key_that_is_none_is_found_before_a_start(settings: Settings) -> None:
    """Neither the start nor the doctor repeats it; a good one is said to be set, and no more."""
    wrong, good = (Settings(data_dir=settings.data_dir, message_key=key) for key in ("c4n4ry", "c4n4ry-long-enough"))
    with pytest.raises(ConfigurationError, match="REPLAY_MESSAGE_KEY"):
        check_needs(wrong, set())
    check_needs(good, set())
    checks = (("keys", machine.keys),)
    assert [finding.detail for finding in examine(good, checks) if finding.name == "REPLAY_MESSAGE_KEY"] == ["set"]
    told = [*examine(wrong, checks), *examine(good, checks)]
    assert [finding.name for finding in told if finding.health is Health.FAIL] == ["keys"]
    assert "c4n4ry" not in str(told)


def test_the_end_of_a_log(tmp_path: Path) -> None:
    """The last lines only, whatever bytes they hold; a missing log is said to be missing."""
    log = tmp_path / "x.log"
    assert tail(log) == "    (no log)"
    log.write_bytes(b"old\n" * 10_000 + b"last \xff\n")
    assert tail(log, 2) == "    old\n    last \ufffd"


def test_a_port_and_its_holder() -> None:
    """A port that is listened on is taken, and by whom is known where it is us."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        assert not ports.is_free(port)
        assert ports.holder_pid(port) == os.getpid()
    assert ports.is_free(port)


@pytest.fixture
def leader() -> Iterator[psutil.Process]:
    """A process that leads a session of its own, in this folder: what a supervisord is to those below it."""
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, start_new_session=True) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()


def test_a_stranger_is_never_ours(settings: Settings, leader: psutil.Process) -> None:
    """A process that no stack started is of none, not even when an old record has its session's number."""
    paths = StackPaths.of(settings)
    assert not Ownership(paths).proves(leader)
    assert not Control(paths.socket).answers()
    paths.create()
    earlier = Session(pid=leader.pid, created=leader.create_time() - 3600, folder=Path.cwd())
    paths.session.write_text(earlier.model_dump_json())
    assert not Ownership(paths).proves(leader)
    elsewhere = Session(pid=leader.pid, created=leader.create_time(), folder=settings.data_dir)
    paths.session.write_text(elsewhere.model_dump_json())
    assert not Ownership(paths).proves(leader)
    paths.session.write_text(elsewhere.model_copy(update={"folder": Path.cwd()}).model_dump_json())
    assert Ownership(paths).proves(leader)


# --- the doctor ------------------------------------------------------------------------------------------------------


def test_the_doctor_names_what_is_missing_and_how_to_mend_it(settings: Settings) -> None:
    """On a bare machine each missing part is one finding with a remedy; nothing raises."""
    found = {finding.name: finding for finding in examine(settings)}
    assert found["python"].health is Health.OK
    assert found["model file, local"].health is Health.FAIL
    assert "replay models pull" in found["model file, local"].mend
    assert found["corpus"].health is Health.FAIL
    assert found["broker"].health is Health.WARN
    assert found["model, local"].health is Health.WARN
    assert all(finding.mend for finding in found.values() if finding.health is not Health.OK)


def test_a_server_that_says_nothing_does_not_hold_up_the_doctor(tmp_path: Path) -> None:
    """An endpoint that takes connections and never answers is a failure within the time limit."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        mute = Settings(
            data_dir=tmp_path, base_url=f"http://127.0.0.1:{server.getsockname()[1]}/v1", read_timeout_s=0.1
        )
        found = list(examine(mute, (("models", services.models),)))
    assert [finding.health for finding in found] == [Health.FAIL, Health.FAIL]


def test_a_configured_service_that_is_down_is_a_failure(tmp_path: Path) -> None:
    """What the user named and does not answer is worse than an embedded part that is not started."""
    away = Settings(
        data_dir=tmp_path, broker_url="redis://127.0.0.1:1/0", base_url="http://127.0.0.1:1/v1", transport_tries=1
    )
    found = {finding.name: finding for finding in examine(away)}
    assert found["broker"].health is Health.FAIL
    assert found["model, local"].health is Health.FAIL
    assert "model file, local" not in found


def test_the_doctor_shows_no_key(tmp_path: Path) -> None:
    """Whether a key is set is said; what it is, never."""
    keyed = Settings(data_dir=tmp_path, api_key=SecretStr("sk-very-secret"), base_url="http://127.0.0.1:1/v1")
    found = list(examine(keyed))
    assert "sk-very-secret" not in repr(found)
    shown = {finding.name: finding.detail for finding in found if finding.name.endswith("API_KEY")}
    assert shown["REPLAY_API_KEY"] == "set"
    assert shown["REPLAY_OPENROUTER_API_KEY"] == "not set"


def test_a_misspelled_variable_is_named_without_its_value(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is no setting is ignored, and the doctor says so; the supervisor's own mark is known."""
    for name in ("REPLAY_TOP_K", "replay_seed", OWNER_VARIABLE):
        monkeypatch.setenv(name, "5")
    only = (("settings", machine.variables),)
    assert [finding.health for finding in examine(settings, only)] == [Health.OK]
    monkeypatch.setenv("REPLAY_OPENROUTER_APIKEY", "sk-very-secret")
    monkeypatch.setenv("REPLAY_COLOUR", "sk-very-secret")
    found = list(examine(settings, only))
    assert [(finding.name, finding.health) for finding in found] == [
        ("REPLAY_COLOUR", Health.WARN),
        ("REPLAY_OPENROUTER_APIKEY", Health.WARN),
    ]
    assert "REPLAY_OPENROUTER_API_KEY?" in found[1].mend
    assert "secret" not in repr(found)


def test_a_stop_does_not_ask_a_broker_that_has_no_address(settings: Settings) -> None:
    """A wrong REPLAY_BROKER_URL must not keep `replay down` from stopping what runs."""
    assert questions.stream_to_drain(settings.model_copy(update={"broker_url": "redis://[bad"}), None) is None


def test_a_foreign_port_is_found_and_a_wrong_setting_told_once(settings: Settings) -> None:
    """A port held by a stranger is a failure; one wrong address does not fill the page."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        taken = settings.model_copy(update={"local_port": port})
        found = {finding.name: finding for finding in examine(taken, (("ports", machine.own_ports),))}
        assert found[f"port {port}"].health is Health.FAIL
        assert str(os.getpid()) in found[f"port {port}"].detail
    wrong = settings.model_copy(update={"base_url": "not an address"})
    assert len([finding for finding in examine(wrong) if "not an http address" in finding.detail]) == 1


def test_a_writer_without_a_disk_is_started_again_until_there_is_one(settings: Settings) -> None:
    """The supervisor gives up on every other program that ends right after its start, and never on the writer."""
    parser = configparser.RawConfigParser()
    parser.read_string(config.render(local_stack(settings), StackPaths.of(settings)))
    retries = {
        name.removeprefix("program:"): parser.getint(name, "startretries")
        for name in parser.sections()
        if name.startswith("program:")
    }
    assert retries.pop("writer") > 10_000
    assert set(retries.values()) == {3}


def test_the_doctor_counts_all_segments_of_the_log(tmp_path: Path) -> None:
    """The size of the log is not that of its newest file."""
    settings = Settings(data_dir=tmp_path / "data", evidence_segment_bytes=4096)
    with EvidenceLog.of(settings) as log:
        for number in range(12):
            log.append([{"schema": "s.v1", "id": f"r{number}", "text": "x" * 1000}])
        whole = log.head.end
    assert settings.evidence_log.stat().st_size < whole
    [found] = machine.evidence(settings)
    assert f"{whole:,} bytes in {len(segments.load(settings.evidence_log).segments) + 1} segments" in found.detail
