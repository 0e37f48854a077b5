"""Keys of checkpoints: Ed25519, as PEM files; public ones also in the one-line form of signed notes.

The line is `NAME+ID+KEY` (C2SP signed-note): the first four bytes of SHA-256(NAME, 0x0A, 0x01, key) in hex, and base64
of 0x01 and the 32 bytes of the key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from replay.errors import ConfigurationError, InputError

if TYPE_CHECKING:  # the library is loaded where a key is used, not with each command
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NAME = "replay-evidence"
"""The name under which a log signs."""

_ALGORITHM = b"\x01"


class PublicKey:
    """What verifies a checkpoint.

    Args:
        raw: 32 bytes.
        name: Who signs.
    """

    def __init__(self, raw: bytes, name: str = NAME) -> None:
        self.raw = raw
        self.name = name
        self.id = hashlib.sha256(name.encode() + b"\n" + _ALGORITHM + raw).digest()[:4]

    @classmethod
    def read(cls, given: str) -> PublicKey:
        """A key from its line, or from a file that holds that line or a PEM.

        Raises:
            InputError: It is neither.
        """
        text = given
        if not given.startswith(NAME + "+"):
            try:
                text = Path(given).read_text(encoding="ascii")
            except (OSError, ValueError) as error:
                raise _no_public_key(given) from error
        return cls._of_pem(text, given) if "-----BEGIN" in text else cls._of_line(text.strip(), given)

    @property
    def line(self) -> str:
        """The key on one line."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ALGORITHM + self.raw).decode()}"

    def holds(self, signature: bytes, text: bytes) -> bool:
        """Was this text signed with the private half?"""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  see above
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415  see above

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, text)
        except InvalidSignature:
            return False
        return True

    @classmethod
    def _of_line(cls, line: str, given: str) -> PublicKey:
        _, _, encoded = line.split("+", 2) if line.count("+") >= 2 else ("", "", "")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise _no_public_key(given) from error
        key = cls(raw[1:])
        if len(raw) != 33 or raw[:1] != _ALGORITHM or key.line != line:
            raise _no_public_key(given)
        return key

    @classmethod
    def _of_pem(cls, text: str, given: str) -> PublicKey:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  see above
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415  see above

        try:
            key = serialization.load_pem_public_key(text.encode())
        except ValueError as error:
            raise _no_public_key(given) from error
        if not isinstance(key, Ed25519PublicKey):
            raise _no_public_key(given)
        return cls(key.public_bytes_raw())


class SigningKey:
    """What signs checkpoints. Made by `load` and `generate`."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes_raw())

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a private key, PEM without a password.

        Raises:
            ConfigurationError: There is none.
        """
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  see above
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  see above

        hint = f"Make one with `replay evidence keygen {path}`, or unset REPLAY_EVIDENCE_KEY: checkpoints are unsigned."
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"{path} is no private key in PEM form without a password", hint=hint) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError(f"{path} is a private key, but not for Ed25519", hint=hint)
        return cls(key)

    @classmethod
    def generate(cls, path: Path) -> SigningKey:
        """Make a key and write it to a new file that only its owner may read.

        Raises:
            InputError: The file exists, or cannot be made.
        """
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  see above
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  see above

        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError as error:
            raise InputError(
                f"{path} exists already", hint="Name another file: a key is never written over."
            ) from error
        except OSError as error:
            raise InputError(
                f"{path} cannot be made: {error.strerror}", hint="Name a file in a folder that you may write."
            ) from error
        return cls(key)

    def sign(self, text: bytes) -> bytes:
        """The signature of a text, 64 bytes."""
        return self._key.sign(text)


def _no_public_key(given: str) -> InputError:
    return InputError(
        f"{given!r} is no public key for checkpoints, and no file that holds one",
        hint="Give the line that `replay evidence keygen` printed, or a PEM file with an Ed25519 public key.",
    )
