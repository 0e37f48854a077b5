"""A real Prometheus scrapes a real exporter of a system at work: dashboard and rules find what they ask for."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from broker import breaker, meters
from replay.topology import Queue
from tests.command_line import REPLAY
from tests.debian import program
from tests.processes import ROOT, Process, Stack, free_port, running, wait_for
from tests.scripted_model import ScriptedModel

pytestmark = pytest.mark.acceptance

DEPLOY = ROOT / "deploy"
GRAFANA = DEPLOY / "grafana" / "replay.json"
RULES = DEPLOY / "prometheus" / "alerts.yml"
CONFIG = DEPLOY / "prometheus" / "prometheus.yml"
TASKS = 60


@contextmanager
def _prometheus(folder: Path, target: str) -> Iterator[str]:
    """The shipped configuration, with another target and a shorter interval; its address."""
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    config["rule_files"] = [str(RULES)]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    folder.mkdir()
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        program("prometheus", "prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, {"PATH": "/usr/bin"}, folder / "prometheus.log") as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: _is_ready(url, process), "Prometheus to be ready")
        yield url


def _is_ready(url: str, process: Process) -> bool:
    assert process.exit_code is None, process.output
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _ask(url: str, path: str, **query: str) -> Any:
    answer = httpx.get(f"{url}/api/v1/{path}", params=query, trust_env=False).json()
    assert answer["status"] == "success", (query, answer)
    return answer["data"]


def _queries() -> dict[str, str]:
    """Every query of the dashboard, by the panel's title and the query's letter."""
    panels = json.loads(GRAFANA.read_text(encoding="utf-8"))["panels"]
    return {
        f"{panel['title']}/{target['refId']}": target["expr"].replace("$__rate_interval", "1m")
        for panel in panels
        for target in panel.get("targets", ())
    }


def test_every_query_of_the_dashboard_has_data_of_a_system_at_work(data_dir: Path, broker_url: str) -> None:
    """All roles run, work is done and refused, an endpoint is paused: no panel stays empty, no rule fails."""
    with (
        ScriptedModel(mode="reject") as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url, reconcile_interval_s=1) as stack,
    ):
        port = free_port()
        exporter = stack.start([REPLAY, "metrics", "--serve", "--port", str(port)])
        with _prometheus(data_dir / "prometheus", f"127.0.0.1:{port}") as url:
            wait_for(lambda: _value(url, "replay_broker_up") == 1, "the first scrape")
            # After it, so that Prometheus sees everything rise.
            stack.client.hset(breaker.key("m at http://here/v1"), mapping={"state": "breaker", "until": "9e9"})
            stack.client.lpush(Queue.LOCAL, b"no message")
            stack.submit(TASKS, allow_escalation=True)
            started = [stack.worker("local"), stack.worker("escalation", 1), stack.writer()]
            scheduler = stack.start([REPLAY, "worker", "scheduler"])
            stack.wait_until_ended(TASKS)
            wait_for(lambda: _value(url, "sum(replay_runs_total)") == TASKS, "the counts to arrive")
            assert _value(url, 'sum(replay_attempts_total{tier="escalation",outcome="rejected"})') == TASKS
            assert _value(url, 'sum(replay_queue_wait_seconds_count{queue="replay.escalation"})') == TASKS
            wait_for(lambda: _value(url, 'replay_workers{role="scheduler"}') == 1, "the scheduler's heartbeat")

            empty = wait_for(lambda: _Empty(url), "every panel to have data")
            assert not empty.panels
            rules = [rule for group in _ask(url, "rules")["groups"] for rule in group["rules"]]
            assert {rule["name"]: rule["health"] for rule in rules} == dict.fromkeys(_alerts(), "ok")
            target = _ask(url, "targets")["activeTargets"][0]
            assert (target["health"], target["lastError"]) == ("up", "")
            # The exporter is killed with everything else, but must also stop by itself.
            assert [process.stop() for process in (exporter, scheduler, *started)] == [0, 0, 0, 0, 0]
        counted = meters.read(stack.client)
    assert counted.value(meters.REFUSED, queue="replay.local") == 1
    assert counted.value(meters.REQUESTS) == model.count


class _Empty:
    """The panels without data; true when there is none."""

    def __init__(self, url: str) -> None:
        self.panels = [name for name, query in _queries().items() if not _ask(url, "query", query=query)["result"]]

    def __bool__(self) -> bool:
        return not self.panels

    def __repr__(self) -> str:
        return ", ".join(self.panels)


def _value(url: str, query: str) -> float | None:
    result = _ask(url, "query", query=query)["result"]
    return float(result[0]["value"][1]) if result else None


def _alerts() -> list[str]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule["alert"] for group in groups for rule in group["rules"]]


# --- the rules -------------------------------------------------------------------------------------------------------

HEALTHY = {
    'up{job="replay"}': "1",
    "replay_broker_up": "1",
    "replay_broker_memory_bytes": "1e6",
    "replay_broker_memory_limit_bytes": "0",
    "replay_data_disk_free_bytes": "1e12",
    "replay_dead_letters": "3",
    "replay_evidence_backlog_records": "0",
    'replay_lane_used{lane="local",limit="calls"}': "80",
    'replay_lane_limit{lane="local",limit="calls"}': "100",
    "replay_evidence_lag_seconds": "0",
    'replay_evidence_records_total{outcome="conflict"}': "0",
    'replay_attempts_total{tier="local",outcome="accepted"}': "0+60",
    'replay_attempts_total{tier="local",outcome="escalated"}': "0+40",
    'replay_model_faults_total{tier="local"}': "0+1",
    'replay_runs_total{state="accepted"}': "0+100",
    'replay_runs_total{state="failed"}': "0+1",
    'replay_queue_wait_seconds_count{queue="replay.local"}': "0+100",
    'replay_queue_waiting_messages{queue="replay.local"}': "500",
    'replay_queue_oldest_waiting_seconds{queue="replay.local"}': "600",
    'replay_queue_oldest_lease_seconds{queue="replay.local"}': "20",
    'replay_lane_state{lane="local",state="open"}': "1",
    'replay_lane_state{lane="local",state="breaker"}': "0",
    'replay_workers{role="local"}': "2",
    'replay_workers{role="writer"}': "2",
    'replay_workers{role="scheduler"}': "1",
    'replay_workers_hindered{role="writer"}': "1",
    'replay_workers_hindered{role="scheduler"}': "0",
}
"""A busy system; a series is a value, or a start and what it rises by in each minute."""

FAULTS: dict[str, dict[str, str]] = {
    "ReplayExporterDown": {'up{job="replay"}': "0"},
    "ReplayBrokerDown": {"replay_broker_up": "0"},
    "ReplayNoWorker": {'replay_workers{role="local"}': "0"},
    "ReplayNoWriter": {'replay_workers{role="writer"}': "1", "replay_evidence_backlog_records": "7"},
    "ReplayNoScheduler": {'replay_workers_hindered{role="scheduler"}': "1"},
    "ReplayLaneShut": {
        'replay_lane_state{lane="local",state="open"}': "0",
        'replay_lane_state{lane="local",state="breaker"}': "1",
    },
    "ReplayQueueStuck": {'replay_queue_wait_seconds_count{queue="replay.local"}': "1000"},
    "ReplayQueueLatencyHigh": {'replay_queue_oldest_waiting_seconds{queue="replay.local"}': "5000"},
    "ReplayLeaseExpired": {'replay_queue_oldest_lease_seconds{queue="replay.local"}': "400"},
    "ReplayEvidenceBehind": {"replay_evidence_lag_seconds": "90"},
    "ReplayEndpointPaused": {'replay_endpoint_paused{endpoint="m at http://here/v1",state="quota"}': "1"},
    "ReplayModelFaults": {'replay_model_faults_total{tier="local"}': "0+30"},
    "ReplayRunsFail": {'replay_runs_total{state="failed"}': "0+20"},
    "ReplayEscalationHigh": {'replay_attempts_total{tier="local",outcome="escalated"}': "0+5000"},
    "ReplayDeadLetters": {"replay_dead_letters": "0+2"},
    "ReplayConflicts": {'replay_evidence_records_total{outcome="conflict"}': "0+1"},
    "ReplayBrokerMemoryHigh": {"replay_broker_memory_limit_bytes": "1.1e6"},
    "ReplayBudgetNearlySpent": {'replay_lane_used{lane="local",limit="calls"}': "95"},
    "ReplayDiskFull": {"replay_data_disk_free_bytes": "1e9"},
}


def test_each_rule_fires_for_its_fault_alone_and_none_for_a_busy_system(tmp_path: Path) -> None:
    """Prometheus' own rule tests: two hours of a healthy system, then of one with a single thing wrong."""
    assert set(FAULTS) == set(_alerts())
    cases = [(None, HEALTHY), *((name, HEALTHY | fault) for name, fault in FAULTS.items())]
    tests = [
        {
            "name": fault or "healthy",
            "interval": "1m",
            "input_series": [{"series": name, "values": _two_hours(value)} for name, value in series.items()],
            # Which alerts fire, and not with which words: those are for people.
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": "2h",
                    "exp_samples": [{"labels": f'{{alertname="{fault}"}}', "value": 1}] if fault else [],
                }
            ],
        }
        for fault, series in cases
    ]
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    _promtool("test", "rules", file)


def _two_hours(value: str) -> str:
    start, _, step = value.partition("+")
    return f"{start}+{step or 0}x120"


def test_the_configuration_is_what_prometheus_takes() -> None:
    """Rules and configuration are checked by its own tool; each alert says how bad it is, what it is and what to do."""
    _promtool("check", "config", CONFIG)
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"page", "ticket"}
            assert set(rule["annotations"]) == {"summary", "action"}


def test_every_name_in_dashboard_and_rules_is_one_that_is_told() -> None:
    """A metric that is renamed cannot stay behind in a panel or an alarm."""
    told = (ROOT / "dashboard" / "metrics.py").read_text(encoding="utf-8")
    known = set(re.findall(r'"(replay_\w+)"', told))
    for meter in meters.ALL:
        known |= {f"{meter.name}_{end}" for end in (("bucket", "sum", "count") if meter.buckets else ("total",))}
    text = GRAFANA.read_text(encoding="utf-8") + RULES.read_text(encoding="utf-8")
    assert set(re.findall(r"\breplay_\w+", text)) <= known


def _promtool(*words: str | Path) -> None:
    command = [program("promtool", "prometheus"), *map(str, words)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
