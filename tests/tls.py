"""Certificates made at run time, and a TLS front for a server that has none: the wheel's Valkey is built without TLS.

The front is what many put before a Redis (stunnel, an ingress): it ends TLS and passes the bytes on.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)


class Authority:
    """A certificate authority of one test.

    Args:
        folder: Where its files go.
        name: Of the authority.
    """

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        certificate = self._signed(self._name, self._key.public_key(), [x509.BasicConstraints(ca=True, path_length=0)])
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, address: str | None = None) -> tuple[Path, Path]:
        """A certificate and its key, as files; with `address`, for a server at this IP address or host name."""
        key = ec.generate_private_key(ec.SECP256R1())
        more: list[x509.ExtensionType] = [x509.BasicConstraints(ca=False, path_length=None)]
        if address is not None:
            try:
                place: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(address))
            except ValueError:
                place = x509.DNSName(address)
            more.append(x509.SubjectAlternativeName([place]))
        certificate = self._signed(_named(name), key.public_key(), more)
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
        return files

    def _signed(self, subject: x509.Name, key: Any, more: list[x509.ExtensionType]) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        for extension in more:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            if isinstance(extension, x509.BasicConstraints) and extension.ca:
                builder = builder.add_extension(_SIGNS, critical=True)
        return builder.sign(self._key, hashes.SHA256())


_SIGNS = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@contextlib.contextmanager
def front(behind: Path, certificate: Path, key: Path, *, clients: Path | None = None) -> Iterator[int]:
    """Serve TLS on a loopback port and pass everything on to a Unix socket.

    Args:
        behind: The socket.
        certificate: The server's.
        key: Its key.
        clients: The authority whose clients alone are let in; None lets everybody in.

    Yields:
        The port.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED

    ends: list[socket.socket] = []
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):  # the server was shut down
                while True:
                    plain, _ = server.accept()
                    ends.append(plain)
                    threads.append(threading.Thread(target=_connected, args=(context, plain, behind, ends)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            _shut(server)
            accepting.join(10)
            for end in ends.copy():
                _shut(end)
            for thread in threads:
                thread.join(10)


def _connected(context: ssl.SSLContext, plain: socket.socket, behind: Path, ends: list[socket.socket]) -> None:
    with plain, socket.socket(socket.AF_UNIX) as there:
        ends.append(there)
        # A client that refuses the certificate, or has none itself, is what some tests are about.
        with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as here:
            ends.append(here)
            there.connect(str(behind))
            while True:
                ready = [here] if here.pending() else select.select([here, there], [], [])[0]
                for end, other in ((here, there), (there, here)):
                    if end in ready:
                        data = end.recv(1 << 16)
                        if not data:
                            return
                        other.sendall(data)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
