"""Signatures on messages: who can write to the broker cannot make a worker run, or the writer keep, what is not ours.

An HMAC-SHA256 covers the place (queue or stream), the message's id and the exact bytes of its body, so a signed body is
worth nothing on another queue or under another id. The first key signs, every key verifies: a key is changed by putting
the new one in front, restarting everything, and taking the old one away once no message of its time waits any more.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from replay.errors import ConfigurationError
from replay.settings import Settings

HEADER = "replay-signature"

_SCHEME = "hmac-sha256:"
_LEAST_CHARACTERS = 16


class Keyring:
    """The keys of messages; without any, nothing is signed and every signature is ignored.

    Args:
        keys: The first one signs, all of them verify.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = tuple(keys)

    @classmethod
    def of(cls, settings: Settings) -> Keyring:
        """The keys of `message_key`.

        Raises:
            ConfigurationError: It is set, and a key in it is missing or too short to be one.
        """
        if settings.message_key is None:
            return UNSIGNED
        keys = [key.strip() for key in settings.message_key.get_secret_value().split(",")]
        if any(len(key) < _LEAST_CHARACTERS for key in keys):
            raise ConfigurationError(
                f"REPLAY_MESSAGE_KEY holds a key of fewer than {_LEAST_CHARACTERS} characters",
                hint="Make one with `openssl rand -hex 32`; several stand with commas between, the first one signs. "
                "Unset it to work unsigned.",
            )
        return cls([key.encode() for key in keys])

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __repr__(self) -> str:
        # Configurations are printed and logged; keys are not.
        return f"Keyring({len(self._keys)} keys)"

    def sign(self, place: str, message_id: str, body: bytes) -> str | None:
        """The signature of a body, or None where nothing is signed."""
        return _SCHEME + _mac(self._keys[0], place, message_id, body).hex() if self._keys else None

    def fault(self, place: str, message_id: str, body: bytes, signature: object) -> str | None:
        """What is wrong with a signature, in words that say nothing about the keys; None where it holds."""
        if not self._keys:
            return None
        if signature is None:
            return "missing"
        if not isinstance(signature, str) or not signature.isascii():
            return "not a signature"
        expected = [_SCHEME + _mac(key, place, message_id, body).hex() for key in self._keys]
        # Every key is compared, so that the time says nothing about which one it was.
        return None if sum(hmac.compare_digest(one, signature) for one in expected) else "of no key of ours"


UNSIGNED = Keyring()


def _mac(key: bytes, place: str, message_id: str, body: bytes) -> bytes:
    # Each part after its length: no two triples give the same bytes.
    parts = [place.encode(), message_id.encode("utf-8", "surrogatepass"), body]
    return hmac.digest(key, b"".join(b"%d:%b" % (len(part), part) for part in parts), hashlib.sha256)
