"""Records that come as bytes: read once, and kept as they lie where they are canonical already.

Workers send canonical JSON, so nothing has to be encoded that is not also compared. orjson writes what
`identity.canonical_json` writes, many times faster, but for some floats: below 0.0001 and from 10**16 on, Python writes
an exponent of another form. Bytes that orjson writes again exactly and that hold no such number are canonical; all
others go the long way through `json`, and come out the same as ever.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import orjson

from replay.errors import InputError
from replay.identity import Json

from .format import MAX_BODY_BYTES, Body, join, prepare

# What may stand in a number, what may stand behind one, and all the rest. An exponent is then found by its letter; that
# a number has to end with it keeps out what hashes are full of, a digit before an `e`.
_ROUGHLY = bytes(
    ord("0") if chr(byte) in "0123456789.+-" else ord(",") if chr(byte) in ",]}" else byte if chr(byte) == "e" else 0
    for byte in range(256)
)
_EXPONENT = re.compile(rb"0e0+,")
_SMALL = b"0.0000"


def receive(data: bytes) -> Body:
    """Encode the record that these bytes are, as `format.prepare` does.

    Raises:
        InputError: They are no JSON object, or one that `prepare` refuses.
        ValueError: They are no JSON.
        RecursionError: They are nested too deeply.
    """
    found = _as_it_lies(data)
    if found is not None:
        return found
    record = json.loads(data)
    if not isinstance(record, dict):
        raise InputError("not a JSON object", hint="Give every record as an object.")
    return prepare(record)


def _as_it_lies(data: bytes) -> Body | None:
    try:
        record = orjson.loads(data)
        if not isinstance(record, dict) or _refused(record) or len(data) > MAX_BODY_BYTES:
            return None
        before = orjson.dumps({key: value for key, value in record.items() if key < "chain"}, option=_SORTED)[1:-1]
        after = orjson.dumps({key: value for key, value in record.items() if key > "chain"}, option=_SORTED)[1:-1]
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return None
    body = join(record, before, after)
    if data != b"{%b%b}" % (body.before, body.after) or _may_hold_an_odd_float(data):
        return None
    return body


_SORTED = orjson.OPT_SORT_KEYS


def _refused(record: Mapping[str, Json]) -> bool:
    """Would `prepare` refuse it? Then it is the one to say why."""
    schema, name = record.get("schema"), record.get("id")
    return "chain" in record or not (isinstance(schema, str) and schema and isinstance(name, str) and name)


def _may_hold_an_odd_float(data: bytes) -> bool:
    return _SMALL in data or _EXPONENT.search(data.translate(_ROUGHLY)) is not None
