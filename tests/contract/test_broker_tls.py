# mypy: allow-untyped-calls
# kombu says that it is typed and hardly is.
"""TLS to the broker: our own clients and Celery's demand the same of the server's certificate."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from broker import evidence_stream
from broker.connection import celery_url, connect, socket_path
from replay.errors import BrokerUnavailable, ConfigurationError
from replay.settings import Settings
from tests.processes import Stack
from tests.scripted_model import ScriptedModel
from tests.tls import Authority, front


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who signs."""
    return Authority(tmp_path / "authority")


@pytest.fixture
def port(authority: Authority, broker_settings: Settings, valkey: redis.Redis) -> Iterator[int]:
    """A TLS port of the real server with a certificate for 127.0.0.1."""
    assert valkey.ping()
    with front(socket_path(broker_settings), *authority.issue("server", address="127.0.0.1")) as found:
        yield found


def _settings(port: int, **more: object) -> Settings:
    return Settings(broker_url=f"rediss://127.0.0.1:{port}/0", **more)  # type: ignore[arg-type]  # as given


def _kombu(settings: Settings) -> None:
    """What a Celery worker does first; it raises where that fails."""
    with Connection(celery_url(settings), transport_options={"socket_connect_timeout": 5}) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)


def test_a_certificate_of_the_named_authority_is_accepted(port: int, authority: Authority) -> None:
    """By our clients and by kombu."""
    settings = _settings(port, broker_tls_ca=authority.file)
    with connect(settings) as client:
        evidence_stream.append(client, b"x" * 300_000)
        assert evidence_stream.backlog(client) == 1
    _kombu(settings)


def test_a_certificate_of_nobody_known_is_refused(port: int, tmp_path: Path) -> None:
    """With what to do; also by kombu, which on its own would accept anything."""
    for more in ({}, {"broker_tls_ca": Authority(tmp_path / "another").file}):
        settings = _settings(port, **more)
        with pytest.raises(BrokerUnavailable, match="CERTIFICATE_VERIFY_FAILED") as caught:
            connect(settings)
        assert "REPLAY_BROKER_TLS_CA" in caught.value.hint
        with pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
            _kombu(settings)


def test_a_certificate_for_another_host_is_refused(
    authority: Authority, broker_settings: Settings, valkey: redis.Redis
) -> None:
    """The authority is right, the name is not."""
    certificate = authority.issue("elsewhere", address="broker.example")
    with front(socket_path(broker_settings), *certificate) as port:
        settings = _settings(port, broker_tls_ca=authority.file)
        with pytest.raises(BrokerUnavailable, match="CERTIFICATE_VERIFY_FAILED") as caught:
            connect(settings)
        assert "host name" in caught.value.hint
        with pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
            _kombu(settings)


def test_a_server_that_wants_to_know_its_clients_gets_a_certificate(
    authority: Authority, broker_settings: Settings, valkey: redis.Redis
) -> None:
    """Without one the error says which settings are missing; with one both clients are let in."""
    server = authority.issue("server", address="127.0.0.1")
    certificate, key = authority.issue("client")
    with front(socket_path(broker_settings), *server, clients=authority.file) as port:
        with pytest.raises(BrokerUnavailable) as caught:
            connect(_settings(port, broker_tls_ca=authority.file))
        assert "REPLAY_BROKER_TLS_CERT" in caught.value.hint
        known = _settings(port, broker_tls_ca=authority.file, broker_tls_cert=certificate, broker_tls_key=key)
        connect(known).close()
        _kombu(known)


def test_a_port_of_tls_without_tls_says_so(port: int) -> None:
    """The other way round: the server hangs up."""
    with pytest.raises(BrokerUnavailable) as caught:
        connect(Settings(broker_url=f"redis://127.0.0.1:{port}/0"))
    assert "rediss://" in caught.value.hint


def test_tls_to_a_port_without_it_says_so() -> None:
    """A server that speaks the plain protocol answers a handshake with an error or not at all."""
    with socket.create_server(("127.0.0.1", 0)) as plain:
        port = plain.getsockname()[1]

        def answer() -> None:
            other, _ = plain.accept()
            with other:
                other.recv(1024)
                other.sendall(b"-ERR unknown command\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(BrokerUnavailable) as caught:
            connect(_settings(port))
        thread.join()
    assert "does not speak TLS" in caught.value.hint


def test_files_that_are_no_certificates_are_named(authority: Authority, tmp_path: Path) -> None:
    """Before any connection: the setting, the file, and what belongs there."""
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    certificate, _ = authority.issue("client")
    _, foreign = authority.issue("other")
    for more, setting in (
        ({"broker_tls_ca": junk}, "REPLAY_BROKER_TLS_CA"),
        ({"broker_tls_ca": tmp_path / "missing.pem"}, "REPLAY_BROKER_TLS_CA"),
        ({"broker_tls_cert": certificate, "broker_tls_key": foreign}, "REPLAY_BROKER_TLS_CERT"),
        ({"broker_tls_key": foreign}, "REPLAY_BROKER_TLS_KEY"),
    ):
        with pytest.raises(ConfigurationError, match=setting):
            connect(_settings(1, **more))
        with pytest.raises(ConfigurationError, match=setting):
            celery_url(_settings(1, **more))


@pytest.mark.parametrize("broker_url", [None, "redis://127.0.0.1:1/0", "unix:///nowhere.sock"])
def test_certificates_without_tls_are_a_mistake(authority: Authority, broker_url: str | None, tmp_path: Path) -> None:
    """Who names an authority believes that the connection is guarded."""
    settings = Settings(data_dir=tmp_path, broker_url=broker_url, broker_tls_ca=authority.file)
    with pytest.raises(ConfigurationError, match="not one of TLS"):
        connect(settings)


def test_a_url_may_say_it_itself(authority: Authority) -> None:
    """Options in the URL stand before the settings, and nothing is said twice."""
    settings = Settings(
        broker_url="rediss://u:p%2Fw@host:6380/2?ssl_check_hostname=false", broker_tls_ca=authority.file
    )
    url = celery_url(settings)
    assert url.startswith("rediss://u:p%2Fw@host:6380/2?ssl_check_hostname=false&ssl_cert_reqs=required&ssl_ca_certs=")
    assert "ssl_cert_reqs=optional" in celery_url(Settings(broker_url="rediss://host/0?ssl_cert_reqs=optional"))


def test_a_real_worker_and_writer_run_over_tls(port: int, authority: Authority, data_dir: Path) -> None:
    """Celery's event loop, its children, the leases and the writer, all on a verified connection."""
    with (
        ScriptedModel() as model,
        Stack(
            data_dir,
            broker_url=f"rediss://127.0.0.1:{port}/0",
            broker_tls_ca=authority.file,
            base_url=model.base_url,
        ) as stack,
    ):
        stack.writer()
        worker = stack.worker("local")
        stack.submit(5)
        ended = stack.wait_until_ended(5)
        assert len(set(ended)) == 5
        assert "insecure" not in worker.output
        assert worker.stop() == 0
