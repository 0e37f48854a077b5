"""Where the broker is, in which words, and how its absence is told."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from broker import embedded
from broker.connection import celery_url, connect, describe, socket_path
from replay.errors import BrokerUnavailable, ConfigurationError
from replay.settings import Settings


def test_the_socket_lies_beside_the_data_where_it_fits(tmp_path: Path) -> None:
    """A short data directory holds it."""
    assert socket_path(Settings(data_dir=tmp_path)) == tmp_path.resolve() / "run" / "valkey.sock"


def test_a_long_data_directory_gets_a_short_private_socket(tmp_path: Path) -> None:
    """The path fits a socket address, is the same each time, and differs between data directories."""
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    path = socket_path(Settings(data_dir=deep))
    assert len(str(path)) < 100
    assert path == socket_path(Settings(data_dir=deep))
    assert path.parent != socket_path(Settings(data_dir=deep / "z")).parent


def test_the_private_directory_is_made_for_this_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made with mode 700, and one that is open to others is refused."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settings = Settings(data_dir=tmp_path / ("x" * 60) / ("y" * 60))
    embedded.prepare(settings)
    directory = socket_path(settings).parent
    assert directory.parent == tmp_path.resolve()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    directory.chmod(0o755)
    with pytest.raises(ConfigurationError, match="not a private directory"):
        embedded.prepare(settings)


def test_the_embedded_server_is_private_durable_and_never_evicts(tmp_path: Path) -> None:
    """Its command line says so; there is no port."""
    words = embedded.command(Settings(data_dir=tmp_path))
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--port"] == "0"
    assert options["--unixsocketperm"] == "700"
    assert (options["--appendonly"], options["--appendfsync"]) == ("yes", "everysec")
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--dir"] == str(tmp_path.resolve() / "run" / "valkey")


def test_a_second_server_on_the_same_data_is_refused(broker_settings: Settings) -> None:
    """The lock of the running one holds."""
    with pytest.raises(ConfigurationError, match="already runs"):
        embedded.serve(broker_settings)


@pytest.mark.parametrize(
    ("broker_url", "message", "hint"),
    [
        (None, "the broker is not running", "replay up"),
        ("redis://127.0.0.1:1/0", "redis://127.0.0.1:1/0", "start that server or correct"),
    ],
)
def test_a_broker_that_is_down_is_named_with_what_to_do(
    tmp_path: Path, broker_url: str | None, message: str, hint: str
) -> None:
    """A server of one's own by its address, the embedded one without its socket; the way out in the hint."""
    settings = Settings(data_dir=tmp_path, broker_url=broker_url)
    with pytest.raises(BrokerUnavailable) as caught:
        connect(settings)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("broker_url", ["amqp://localhost", "localhost:6379", "http://x"])
def test_a_url_of_something_else_is_refused(tmp_path: Path, broker_url: str) -> None:
    """Only Redis and Valkey are spoken."""
    with pytest.raises(ConfigurationError, match="scheme"):
        connect(Settings(data_dir=tmp_path, broker_url=broker_url))


@pytest.mark.parametrize(
    "broker_url",
    [
        "redis://[bad",
        "redis://host:port",
        "redis://host:99999",
        "redis://:secret/word@host:6379",
        "redis://127.0.0.1:1?db=secret",
        "unix:///nowhere?secret=1",
    ],
)
def test_a_url_that_is_no_address_is_refused_and_not_repeated(tmp_path: Path, broker_url: str) -> None:
    """It is a mistake in a setting, told without what may be a part of a password."""
    with pytest.raises(ConfigurationError, match="REPLAY_BROKER_URL is not the address") as caught:
        connect(Settings(data_dir=tmp_path, broker_url=broker_url))
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("question", [celery_url, describe])
def test_whoever_reads_the_url_refuses_it(tmp_path: Path, question: Callable[[Settings], str]) -> None:
    """Not only who connects."""
    with pytest.raises(ConfigurationError, match="REPLAY_BROKER_URL"):
        question(Settings(data_dir=tmp_path, broker_url="redis://[bad"))


@pytest.mark.parametrize(
    ("broker_url", "celery"),
    [
        ("redis://u:secret@host:6379/2", "redis://u:secret@host:6379/2"),
        ("valkey://host/0", "redis://host/0"),
        ("valkeys://host/0", "rediss://host/0?ssl_cert_reqs=required"),
        ("unix:///run/x.sock?db=3", "redis+socket:///run/x.sock?virtual_host=3"),
        ("unix://u:secret@/run/x.sock", "redis+socket://u:secret@/run/x.sock"),
    ],
)
def test_celery_gets_the_same_broker_in_its_own_words(tmp_path: Path, broker_url: str, celery: str) -> None:
    """Also for names that kombu does not know; people never see the password."""
    settings = Settings(data_dir=tmp_path, broker_url=broker_url)
    assert celery_url(settings) == celery
    assert "secret" not in describe(settings)


def test_celery_finds_the_embedded_socket(tmp_path: Path) -> None:
    """The URL names the path that the server uses."""
    settings = Settings(data_dir=tmp_path)
    assert celery_url(settings) == f"redis+socket://{socket_path(settings)}"
