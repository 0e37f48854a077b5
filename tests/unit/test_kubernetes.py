"""The Kubernetes set-up: valid by Kubernetes' and KEDA's schemas, and the same system that `compose.yaml` starts."""

from __future__ import annotations

import re
from typing import Any, cast

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from pydantic import SecretStr
from typer.testing import CliRunner

from broker import meters
from cli.main import app
from replay.settings import Settings
from tests.composed import services
from tests.processes import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
KEDA = "keda.sh/v1alpha1"
VERSION = "1.34"

Resource = dict[str, Any]


def _resources() -> list[tuple[str, Resource]]:
    """Every resource that the kustomization names, with its file."""
    names = _kustomization()["resources"]
    return [
        (name, resource)
        for name in names
        for resource in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))
    ]


def _kustomization() -> Resource:
    return cast("Resource", yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8")))


RESOURCES = _resources()
WORKLOADS = {
    resource["metadata"]["name"]: resource
    for _, resource in RESOURCES
    if resource["kind"] in {"Deployment", "StatefulSet"}
}
CONTAINERS = {
    (name, container["name"]): container
    for name, workload in WORKLOADS.items()
    for container in workload["spec"]["template"]["spec"]["containers"]
}
OURS = {name: container for name, container in CONTAINERS.items() if container["image"] == "replay"}
# Ours, and the service of `compose.yaml` that is the same process.
SAME = {
    ("replay-center", "writer"): "writer",
    ("replay-center", "scheduler"): "scheduler",
    ("replay-center", "dashboard"): "dashboard",
    ("replay-center", "api"): "api",
    ("replay-worker-local", "worker"): "worker-local",
    ("replay-worker-escalation", "worker"): "worker-escalation",
}


def test_every_file_is_named_by_the_kustomization() -> None:
    """Nothing lies there that `kubectl apply -k` leaves out, and the image is one that it replaces."""
    assert {path.name for path in FOLDER.iterdir()} == {"kustomization.yaml", *_kustomization()["resources"]}
    assert [image["name"] for image in _kustomization()["images"]] == ["replay"]


@pytest.mark.parametrize(
    "resource", [pytest.param(one, id=f"{file}-{one['kind']}-{one['metadata']['name']}") for file, one in RESOURCES]
)
def test_a_resource_is_valid(resource: Resource) -> None:
    """By the schemas of Kubernetes, where an unknown field is an error, or by KEDA's types."""
    if resource["apiVersion"] == KEDA:
        found = ScaledObject.model_validate(resource)
        assert found.spec is not None
        written = found.model_dump(by_alias=True, exclude_none=True, exclude_unset=True, mode="json")
        assert _keys(resource) <= _keys(written), "a field that KEDA does not know"
    else:
        kubernetes_validate.validate(resource, VERSION, strict=True)


def _keys(value: object, place: str = "") -> set[str]:
    if isinstance(value, dict):
        return {f"{place}.{key}" for key in value}.union(
            *(_keys(inner, f"{place}.{key}") for key, inner in value.items())
        )
    if isinstance(value, list):
        return set().union(*(_keys(one, f"{place}[]") for one in value))
    return set()


def test_they_run_what_compose_runs() -> None:
    """The same commands and health checks as `compose.yaml`, with as much time to end."""
    # The dashboard of `compose.yaml` tells the metrics itself.
    assert set(OURS) - set(SAME) == {("replay-center", "metrics")}
    composed = services()
    assert set(composed) - set(SAME.values()) == {"broker", "model-local", "model-escalation", "replay"}
    for place, name in SAME.items():
        container, service = OURS[place], composed[name]
        assert container["args"] == service["command"], place
        check = service["healthcheck"]["test"]
        probe = container["readinessProbe"]
        if check[1] == "replay":
            assert probe["exec"]["command"] == check[1:], place
        else:
            assert probe["httpGet"]["path"] == check[-1], place
        grace = WORKLOADS[place[0]]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert grace >= _seconds(service.get("stop_grace_period", "10s")), place
        assert CliRunner().invoke(app, [*container["args"], "--help"]).exit_code == 0


def _seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def test_settings_exist_and_secrets_are_no_part_of_the_files() -> None:
    """Every variable is a setting, and none of the secret ones has a value here; every process is given both."""
    (settings,) = [resource for _, resource in RESOURCES if resource["kind"] == "ConfigMap"]
    fields = {name.removeprefix("REPLAY_").lower() for name in settings["data"]}
    secret = {field for field, info in Settings.model_fields.items() if info.annotation == SecretStr | None}
    assert fields <= Settings.model_fields.keys()
    assert not fields & (secret | {"broker_url"})
    assert not [resource for _, resource in RESOURCES if resource["kind"] == "Secret"]
    sources = [{"configMapRef": {"name": "replay-settings"}}, {"secretRef": {"name": "replay-secrets"}}]
    assert all(container["envFrom"] == sources for container in OURS.values())


@pytest.mark.parametrize("place", CONTAINERS, ids="/".join)
def test_a_container_is_confined_and_asks_for_what_it_needs(place: tuple[str, str]) -> None:
    """No root, no capability, nothing to write but its volumes, bounded memory, and it says whether it is well."""
    container = CONTAINERS[place]
    pod = WORKLOADS[place[0]]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
    assert "readinessProbe" in container


def test_the_log_has_one_writer_and_its_volume() -> None:
    """What reads the log shares the volume of its writer's pod; nothing else mounts it, and nothing scales it."""
    center = WORKLOADS["replay-center"]
    assert (center["kind"], center["spec"]["replicas"]) == ("StatefulSet", 1)
    claims = [claim["metadata"]["name"] for claim in center["spec"]["volumeClaimTemplates"]]
    for (workload, _), container in OURS.items():
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in WORKLOADS[workload]["spec"]["template"]["spec"]["volumes"]}
        if workload == "replay-center":
            assert mounts["/data"]["name"] in claims
        else:
            assert "emptyDir" in volumes[mounts["/data"]["name"]]
    local = OURS["replay-worker-local", "worker"]["volumeMounts"]
    assert [mount.get("readOnly") for mount in local if mount["mountPath"] == "/data/corpus"] == [True]


def test_workers_are_scaled_by_the_latency_of_their_own_queue() -> None:
    """Each scaled object has a deployment without replicas of its own, and asks for metrics that are told."""
    scaled = [resource for _, resource in RESOURCES if resource["kind"] == "ScaledObject"]
    deployments = {name: workload for name, workload in WORKLOADS.items() if workload["kind"] == "Deployment"}
    assert {one["spec"]["scaleTargetRef"]["name"] for one in scaled} == deployments.keys()
    assert all("replicas" not in workload["spec"] for workload in deployments.values())
    told = set(re.findall(r'"(replay_\w+)"', (ROOT / "dashboard" / "metrics.py").read_text(encoding="utf-8")))
    told |= {meter.name for meter in meters.ALL}
    for one in scaled:
        (trigger,) = one["spec"]["triggers"]
        lane = one["metadata"]["name"].removeprefix("replay-worker-")
        assert trigger["metricType"] == "Value"
        assert set(re.findall(r"replay_\w+", trigger["metadata"]["query"])) <= told
        assert f'queue="replay.{lane}"' in trigger["metadata"]["query"]
        assert f'lane="{lane}"' in trigger["metadata"]["query"]


def test_references_lead_somewhere() -> None:
    """Selectors of services and policies find pods, and claims are there."""
    labels = [workload["spec"]["template"]["metadata"]["labels"] for workload in WORKLOADS.values()]
    for _, resource in RESOURCES:
        if resource["kind"] == "Service":
            assert any(resource["spec"]["selector"].items() <= pod.items() for pod in labels), resource["metadata"]
    claims = {resource["metadata"]["name"] for _, resource in RESOURCES if resource["kind"] == "PersistentVolumeClaim"}
    for workload in WORKLOADS.values():
        for volume in workload["spec"]["template"]["spec"].get("volumes", ()):
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims


def test_services_and_probes_name_ports_that_something_listens_on() -> None:
    """A port of the pod is the one in the command, and the annotation leads Prometheus to the metrics."""
    (service,) = [
        one for _, one in RESOURCES if one["kind"] == "Service" and one["metadata"]["name"] == "replay-center"
    ]
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    assert service["metadata"]["annotations"]["prometheus.io/port"] == str(ports["metrics"])
    for name, port in ports.items():
        container = OURS["replay-center", name]
        assert container["args"][-2:] == ["--port", str(port)]
        assert container["ports"] == [{"name": name, "containerPort": port}]
        assert container["readinessProbe"]["httpGet"]["port"] == name
