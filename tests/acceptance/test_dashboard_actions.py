"""The dashboard as a process, with a broker and a writer: an operator acts, and the log proves who did it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from evidence.verify import verify
from tests.command_line import REPLAY, replay, tasks, write_tasks
from tests.processes import Stack, environment, free_port, running, wait_for
from tests.web import OPERATOR, VIEWER, csrf_of

pytestmark = pytest.mark.acceptance


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").text == "ok"
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def _serving(env: Mapping[str, str], port: int, log: Path) -> Iterator[str]:
    """A dashboard of its own; gives its address."""
    url = f"http://127.0.0.1:{port}"
    with running([REPLAY, "dashboard", "--port", str(port)], env, log) as process:
        wait_for(lambda: _answers(url) or process.exit_code is not None, "the dashboard to answer")
        assert process.exit_code is None, process.output
        yield url


def test_an_operator_cancels_a_batch_and_the_log_proves_it(data_dir: Path, broker_url: str, tmp_path: Path) -> None:
    """Sign in, cancel: the entry is in the log with role, session and address, and the chain holds. A viewer cannot."""
    port = free_port()
    settings = {"dashboard_viewer_token": VIEWER, "dashboard_operator_token": OPERATOR}
    with Stack(data_dir, broker_url=broker_url, base_url="http://127.0.0.1:1/v1", **settings) as stack:
        stack.writer()
        file = write_tasks(tmp_path / "batch.jsonl", tasks(3, "acted"))
        batch = json.loads(replay(stack.env, "submit", file, "--json").stdout)["batch_id"]
        url = f"http://127.0.0.1:{port}"
        process = stack.start([REPLAY, "dashboard", "--port", str(port)])
        wait_for(lambda: _answers(url) or process.exit_code is not None, "the dashboard to answer")
        assert process.exit_code is None, process.output
        page, ours = f"/batches/{batch}", {"origin": url, "sec-fetch-site": "same-origin"}
        # Nobody whom the settings name says so, and it is not believed.
        ours["x-forwarded-for"] = "192.0.2.7"
        html = {"accept": "text/html"}
        with httpx.Client(base_url=url, headers=html) as browser:
            assert browser.get(page).headers["location"].startswith("/login")
            for token, status in ((VIEWER, 403), (OPERATOR, 303)):
                assert browser.post("/login", data={"token": token}, headers=ours).status_code == 303
                shown = browser.get(page)
                form = {"csrf": csrf_of(shown.text)}
                assert (f'action="{page}/cancel"' in shown.text) is (token == OPERATOR)
                assert browser.post(f"{page}/cancel", data=form, headers=ours).status_code == status
            assert "is cancelled" in browser.get(page).text
        done = wait_for(
            lambda: [record for record in stack.evidence() if record["schema"] == "replay_action.v1"],
            "the entry to be in the log",
        )
        assert [(entry["action"], entry["batch_id"]) for entry in done] == [("batch.cancel", batch)]
        assert "operator@" in done[0]["who"]
        assert "from 127.0.0.1" in done[0]["who"]
        assert verify(stack.settings.evidence_log).ok


def test_a_public_address_without_a_token_starts_nothing(tmp_path: Path) -> None:
    """Exit code 2 before the port is bound, with what to set."""
    refused = replay(environment(tmp_path / "data"), "dashboard", "--host", "0.0.0.0", "--port", str(free_port()))  # noqa: S104  it is refused
    assert refused.returncode == 2
    assert "no token is set" in refused.stderr
    assert "REPLAY_DASHBOARD_VIEWER_TOKEN" in refused.stderr


def test_a_proxy_that_is_named_is_believed(tmp_path: Path) -> None:
    """Then the scheme is what it says, so the cookie is for TLS alone, and guesses count by whom it names."""
    port = free_port()
    settings = {"dashboard_operator_token": OPERATOR, "dashboard_hosts": "audit.example"}
    env = environment(tmp_path / "data", **settings, dashboard_trusted_proxies="127.0.0.1")
    headers = {"host": "audit.example", "x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.7"}
    headers |= {"origin": "https://audit.example", "sec-fetch-site": "same-origin"}
    with _serving(env, port, tmp_path / "dashboard.log") as url:
        cookie = httpx.post(f"{url}/login", data={"token": OPERATOR}, headers=headers).headers["set-cookie"]
        assert cookie.startswith("__Host-replay_session=")
        assert cookie.endswith("; Secure")
        for _ in range(5):
            assert httpx.post(f"{url}/login", data={"token": "wrong"}, headers=headers).status_code == 401
        assert httpx.post(f"{url}/login", data={"token": OPERATOR}, headers=headers).status_code == 429
        other = headers | {"x-forwarded-for": "192.0.2.8"}
        assert httpx.post(f"{url}/login", data={"token": OPERATOR}, headers=other).status_code == 303
