"""Who may ask the API, what holds for every request, and the page that lists its calls."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app as command_line
from producer.api.access import Access
from producer.api.desk import Desk
from producer.api.serve import serve
from replay.errors import AppendFailed, ConfigurationError, EvidenceDamaged, UnavailableError
from replay.settings import Settings
from stack.programs import local_stack
from tests.api_desk import Api
from tests.processes import free_port

TOKEN, OTHER = "a-token-that-is-long", "another-that-is-long"
PATHS = ("/v1/files", "/v1/batches", "/v1/models", "/v1/models/replay", "/v1/files/x/content", "/v1/batches/x")


def bearer(token: str) -> dict[str, str]:
    """Headers of a request."""
    return {"host": "api.example", "authorization": f"Bearer {token}"}


@pytest.fixture
def guarded(data_dir: Path) -> Settings:
    """Settings with a token in the environment and one in a file."""
    data_dir.joinpath("tokens").write_text(f"# of the team\n\n{OTHER}\n")
    return Settings(data_dir=data_dir, api_tokens=f" {TOKEN}, ", api_tokens_file=data_dir / "tokens")


@pytest.mark.parametrize(
    "header",
    [
        pytest.param({}, id="none"),
        pytest.param({"authorization": "Bearer"}, id="no token"),
        pytest.param({"authorization": f"Basic {TOKEN}"}, id="another scheme"),
        pytest.param({"authorization": TOKEN}, id="no scheme"),
        pytest.param({"authorization": f"Bearer {TOKEN}x"}, id="a longer one"),
        pytest.param({"authorization": f"Bearer {TOKEN[:-1]}"}, id="a shorter one"),
        pytest.param({"authorization": "Bearer " + "x" * len(TOKEN)}, id="a wrong one"),
        pytest.param({"authorization": b"Bearer \xe4\xff"}, id="bytes"),
        pytest.param({"authorization": f"Bearer {TOKEN},{OTHER}"}, id="several"),
        pytest.param({"authorization": "Bearer #"}, id="the beginning of a comment"),
    ],
)
def test_without_a_known_token_there_is_nothing(guarded: Settings, header: dict[str, Any]) -> None:
    """401 in the form of OpenAI's, for every call, known or not found behind it."""
    with Api(guarded) as api:
        for path in PATHS:
            refused = api.ask("GET", path, headers={"host": "api.example"} | header)
            assert refused.status_code == 401, path
            error = refused.json()["error"]
            assert (error["type"], error["param"]) == ("invalid_request_error", None)
            assert TOKEN not in refused.text
            assert refused.headers["www-authenticate"] == "Bearer"
        for verb, path, what in (
            ("GET", "/v1/none", {}), ("PUT", "/v1/files", {}), ("POST", "/v1/batches", {"content": b"{"}),
            ("GET", "/", {}),
        ):  # fmt: skip
            refused = api.ask(verb, path, headers={"host": "api.example"} | header, **what)
            assert refused.status_code == 401, path
        upload = api.ask("POST", "/v1/files", files={"file": b"{}"}, headers={"host": "api.example"} | header)
        assert upload.status_code == 401
        assert list((guarded.data_dir / "api" / "files").iterdir()) == []


@pytest.mark.parametrize("token", [TOKEN, OTHER])
def test_each_token_lets_in(guarded: Settings, token: str) -> None:
    """Those of the environment and those of the file, under whatever name a proxy gives the server."""
    with Api(guarded) as api:
        assert api.ask("GET", "/v1/files", headers=bearer(token)).status_code == 200
        assert api.ask("GET", "/v1/models", headers=bearer(token) | {"authorization": f"bearer  {token}"}).is_success


@pytest.mark.parametrize("tokens", ["", " , ", "short", "zwölf-zeichen-und-noch-mehr", f"{TOKEN},short"])
def test_tokens_that_are_none_are_refused(data_dir: Path, tokens: str) -> None:
    """Set but empty is a mistake, not an open door; so is one that can be guessed."""
    with pytest.raises(ConfigurationError, match="no token, or one that has fewer than 16"):
        Access(Settings(data_dir=data_dir, api_tokens=tokens))


def test_a_file_of_tokens_has_to_be_there(data_dir: Path) -> None:
    """A wrong path opens nothing."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Access(Settings(data_dir=data_dir, api_tokens_file=data_dir / "nowhere"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "api.example"])  # noqa: S104  refused
def test_nothing_is_open_to_the_network_without_a_token(data_dir: Path, host: str) -> None:
    """An address that others reach needs a token; it is not even listened on."""
    with pytest.raises(ConfigurationError, match="there is no token") as refused:
        serve(Settings(data_dir=data_dir), host, free_port())
    assert "REPLAY_API_TOKENS" in refused.value.hint


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 200, id="a program here"),
        pytest.param({"host": "localhost:8413"}, 200, id="by name"),
        pytest.param({"host": "[::1]:8413"}, 200, id="IPv6"),
        pytest.param({"host": "evil.example"}, 403, id="a name that leads here"),
        pytest.param({"host": "evil.example:8413"}, 403, id="the same with a port"),
        pytest.param({"host": ""}, 403, id="no name"),
        pytest.param({"host": "[::1"}, 403, id="half a name"),
        pytest.param({"origin": "http://[here]"}, 403, id="brackets around no address"),
        pytest.param({"origin": "https://evil.example"}, 403, id="a page in a browser"),
        pytest.param({"origin": "null"}, 403, id="a page without origin"),
        pytest.param({"origin": "http://127.0.0.1:8410"}, 200, id="a page of this machine"),
    ],
)
def test_without_tokens_browsers_of_the_same_machine_are_refused(
    data_dir: Path, headers: dict[str, str], status: int
) -> None:
    """A foreign page cannot use what is open to programs of this machine, not even by a form."""
    with Api(Settings(data_dir=data_dir)) as api:
        sent = {"host": "127.0.0.1"} | headers
        assert api.ask("GET", "/v1/files", headers=sent).status_code == status
        assert (
            api.ask("POST", "/v1/files", files={"file": b"{}"}, data={"purpose": "batch"}, headers=sent).status_code
            == status
        )


def test_bodies_have_a_limit_and_a_type(data_dir: Path) -> None:
    """A large body is not read, and JSON counts only where it says that it is JSON."""
    with Api(Settings(data_dir=data_dir)) as api:

        async def endless() -> Any:
            while True:
                yield b" " * 10_000

        for body in (b" " * 70_000, endless()):
            refused = api.ask(
                "POST", "/v1/batches", content=body, headers=api.headers | {"content-type": "application/json"}
            )
            assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")
        form = api.headers | {"content-type": "text/plain"}
        assert api.ask("POST", "/v1/batches", content=b"{}", headers=form).status_code == 400
        broken = api.ask(
            "POST", "/v1/batches", content=b"{", headers=api.headers | {"content-type": "application/json"}
        )
        assert (broken.status_code, broken.json()["error"]["type"]) == (400, "invalid_request_error")


def test_every_answer_has_its_headers(data_dir: Path) -> None:
    """Nothing is kept, framed or guessed, and each answer has an id."""
    with Api(Settings(data_dir=data_dir)) as api:
        answers = [api.ask("GET", path) for path in ("/v1/files", "/docs", "/healthz", "/nowhere", "/v1/files/x")]
        assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)
        for answer in answers:
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "script" not in answer.headers["content-security-policy"]


def test_a_bug_is_told_without_its_particulars(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 in the form that clients read, with the headers of every answer."""

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret")

    with Api(Settings(data_dir=data_dir)) as api:
        monkeypatch.setattr(api.desk.store, "batches", broken)
        answer = api.ask("GET", "/v1/batches")
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "server_error")
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [("GET", "/", 404), ("POST", "/v1/chat/completions", 404), ("GET", "/v1/files/", 404), ("PUT", "/v1/files", 405)],
)
def test_what_is_not_served_says_so(data_dir: Path, verb: str, path: str, status: int) -> None:
    """In the form that clients read."""
    with Api(Settings(data_dir=data_dir)) as api:
        refused = api.ask(verb, path)
        assert refused.status_code == status
        assert path in refused.json()["error"]["message"]


def test_the_page_lists_the_calls_and_loads_nothing(data_dir: Path) -> None:
    """It works without a network: no script, no file of another place, and every call and object of the document."""
    with Api(Settings(data_dir=data_dir)) as api:
        document = api.ask("GET", "/openapi.json").json()
        page = api.ask("GET", "/docs").text
    assert {"/v1/files", "/v1/files/{file_id}/content", "/v1/batches/{batch_id}/cancel", "/v1/models"} <= set(
        document["paths"]
    )
    for path, verbs in document["paths"].items():
        assert path in page
        assert all(call.get("security") for call in verbs.values()), path
    assert "HTTPValidationError" not in page  # of the framework's own; what is sent is `Refused`
    assert 'id="Refused"' in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"(?!/openapi\.json|#)", page)
    assert set(re.findall(r'href="#(\w+)"', page)) <= set(re.findall(r'id="(\w+)"', page))


def test_models_are_what_clients_probe(data_dir: Path) -> None:
    """One name to ask for, and behind it the models of both tiers."""
    settings = Settings(
        data_dir=data_dir, base_url="http://127.0.0.1:1/v1", local_model="small", escalation_model="big"
    )
    with Api(settings) as api:
        (model,) = api.ask("GET", "/v1/models").json()["data"]
        assert (model["id"], model["replay"]) == ("replay", {"local": "small", "escalation": "big"})
        assert api.ask("GET", "/v1/models/replay").json() == model
        assert api.ask("GET", "/v1/models/gpt-4o").json()["error"]["code"] == "model_not_found"


def test_a_port_that_is_taken_is_told(data_dir: Path) -> None:
    """With what to do next, and exit code 2."""
    import socket  # noqa: PLC0415  of this test alone

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigurationError, match=r"cannot listen on 127\.0\.0\.1"):
            serve(Settings(data_dir=data_dir), "127.0.0.1", other.getsockname()[1])


def test_two_servers_of_one_folder_are_one_too_many(data_dir: Path) -> None:
    """The second one would take the first one's uploads for left-overs."""
    import filelock  # noqa: PLC0415  of this test alone

    (data_dir / "api").mkdir()
    with filelock.FileLock(data_dir / "api" / "lock"), pytest.raises(UnavailableError, match="Another `replay api`"):
        serve(Settings(data_dir=data_dir), "127.0.0.1", free_port())


def test_a_damaged_database_is_refused(data_dir: Path) -> None:
    """It is not made anew over what was there."""
    (data_dir / "api").mkdir()
    (data_dir / "api" / "api.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(EvidenceDamaged, match=r"api\.sqlite cannot be read"):
        Desk.of(Settings(data_dir=data_dir))


def test_a_database_that_cannot_be_written_is_told(data_dir: Path) -> None:
    """Where its place is taken there is a sentence, no stack trace."""
    (data_dir / "api" / "api.sqlite").mkdir(parents=True)
    with pytest.raises(AppendFailed, match=r"api\.sqlite cannot be written"):
        Desk.of(Settings(data_dir=data_dir))


def test_the_stack_has_an_api_where_a_port_is_set(data_dir: Path) -> None:
    """`replay up` starts none by itself; with REPLAY_API_PORT it does, on that port."""
    assert "api" not in {program.name for program in local_stack(Settings(data_dir=data_dir))}
    (program,) = (one for one in local_stack(Settings(data_dir=data_dir, api_port=8499)) if one.name == "api")
    assert program.argv[-3:] == ("api", "--port", "8499")
    assert (program.port, program.port_variable) == (8499, "REPLAY_API_PORT")


def test_the_command_says_what_it_needs() -> None:
    """Its help names the settings that decide who may ask."""
    shown = CliRunner().invoke(command_line, ["api", "--help"])
    assert shown.exit_code == 0
    assert "REPLAY_API_TOKENS" in shown.output
