"""Proving a line from its bytes, without making it again, where that proves as much.

`format.succeed` parses a line and encodes it again, which costs ten times what hashing it does. Most of a run's line is
its bundle, which stands right before the chain in canonical order. So here the hash is taken over the bytes as they
lie; all but the bundle is parsed and encoded again; and the bundle is shown to be one object, so that nothing in it can
pass for a field of the record. Whether the *inside* of the bundle is canonical JSON is not looked at: its bytes are
those that were hashed.
"""

from __future__ import annotations

import hashlib
import json

from replay.identity import canonical_json

from .format import Chain, Flaw, Head, Line, succeed

_BEFORE_HASH = b'"chain":{"hash":"'
_HASH_LENGTH = len("sha256:") + 64
_BUNDLE = b'"bundle":{'
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))


def prove(data: bytes, head: Head) -> Line | Flaw:
    """Read a line and prove that it is the one after `head`. The line's record comes without its bundle.

    What cannot be proved from the bytes is proved in full, so a flaw is the one that `format.succeed` finds.
    """
    line = _by_bytes(data, head)
    return line if line is not None else succeed(data, head)


def _by_bytes(data: bytes, head: Head) -> Line | None:
    # The whole of it can stand once only: in a string its quotes would be escaped.
    after_hash = b'","prev":"%b","seq":%d},' % (head.hash.encode(), head.seq + 1)
    prev = data.find(after_hash)
    chain = prev - _HASH_LENGTH - len(_BEFORE_HASH)
    bundle = data.find(_BUNDLE, 0, max(chain, 0))
    if bundle < 0 or data[chain : prev - _HASH_LENGTH] != _BEFORE_HASH or data[-2:] != b"}\n":
        return None
    claimed = data[prev - _HASH_LENGTH : prev]
    body = hashlib.sha256(data[:chain])  # what both hashes begin with, and nearly all of it
    hashed = body.copy()
    hashed.update(b'"chain":{')
    hashed.update(data[prev + 2 : -1])
    if claimed != b"sha256:" + hashed.hexdigest().encode():
        return None
    record = _all_but(data, bundle, chain)
    if record is None or record.pop("chain", None) != {
        "hash": claimed.decode(),
        "prev": head.hash,
        "seq": head.seq + 1,
    }:
        return None
    if not isinstance(record.get("id"), str) or not record["id"] or not isinstance(record.get("schema"), str):
        return None
    body.update(data[prev + len(after_hash) : -1])
    return Line(record, "sha256:" + body.hexdigest(), Chain(head.seq + 1, head.hash, claimed.decode()), data)


def _all_but(data: bytes, bundle: int, chain: int) -> dict[str, object] | None:
    """The canonical object that is left without the bundle; None where it is none, or the bundle no single object."""
    rest = data[:bundle] + data[chain:-1]
    try:
        record = json.loads(rest.decode())
        if not isinstance(record, dict) or canonical_json(record) != rest:
            return None
        data[bundle:chain].decode()
    except (ValueError, RecursionError):
        return None
    in_order = all(key < "bundle" or key >= "chain" for key in record)
    return record if in_order and _is_one_object(data[bundle + len(_BUNDLE) - 1 : chain]) else None


def _is_one_object(data: bytes) -> bool:
    """Does the bracket that opens these bytes close at their end, before a comma?"""
    if not data.endswith(b"},"):
        return False
    # Replacements of the same length are made in place; most text has no escaped backslash at all.
    escaped = data.replace(b"\\\\", b"__") if b"\\\\" in data else data
    outside = b"".join(escaped.replace(b'\\"', b"__").split(b'"')[::2])
    brackets = outside.translate(None, _NOT_BRACKETS)[1:-1]
    while brackets:
        fewer = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if len(fewer) == len(brackets):
            return False
        brackets = fewer
    return True
