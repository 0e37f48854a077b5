"""One line of a playbook as the record that it gives: read by a field map, and checked field by field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from replay import identity
from replay.contracts import Record, RecordKind
from replay.corpus import jsonlines
from replay.corpus.fieldmap import FieldMap
from replay.corpus.jsonlines import RawLine
from replay.corpus.oneline import one_line

MAX_TEXT_CHARS = 8_000
"""The longest text of one record; a longer one is cut."""
PART_CHARS = 4_000
MAX_LONG_TEXT_CHARS = 400_000
"""A hundred parts: what is longer is a document and no entry of a playbook."""
MAX_ID_CHARS = 200
MAX_TITLE_CHARS = 1_000
MAX_TAGS = 64
MAX_TAG_CHARS = 100

_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_PART = re.compile(r"(.+)#part-([1-9]\d*)", re.DOTALL)


class Bad(Exception):
    """A line that gives no record: the field at fault (empty: the line itself) and why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


def whole_id(record_id: str) -> str:
    """The id of the entry that a record is a part of; the record's own where it is no part."""
    part = _PART.fullmatch(record_id)
    return part[1] if part else record_id


def part_id(entry_id: str, number: int) -> str:
    """The id of a part of an entry, counted from 1."""
    return f"{entry_id}#part-{number}"


def records(line: RawLine, origin: str, fields: FieldMap) -> tuple[Record, ...]:
    """The record of a line, or its records where the text is too long for one.

    Raises:
        Bad: The line gives none.
    """
    if line.content is None:
        raise Bad("", f"{line.length:,} bytes: longer than {jsonlines.MAX_LINE_BYTES:,}")
    held = _object(line.content)
    text = _required(fields, held, "text", MAX_LONG_TEXT_CHARS)
    title = _title(fields, held)
    entry_id = _id(fields, held, title, text)
    whole = len(text) <= MAX_TEXT_CHARS
    return tuple(
        Record(
            record_id=entry_id if whole else part_id(entry_id, number),
            kind=_kind(fields, held),
            text=part,
            title=title,
            tags=_tags(fields, held),
            origin=origin,
        )
        for number, part in enumerate([text] if whole else parts(text), 1)
    )


def parts(text: str) -> Iterator[str]:
    """Cut a text into parts of at most `PART_CHARS`: as late as fits after a blank line, else a line, else a word."""
    rest = text.strip()
    while len(rest) > PART_CHARS:
        window = rest[:PART_CHARS]
        ends = (window.rfind(end, PART_CHARS // 2) for end in ("\n\n", "\n", " "))
        end = next((end for end in ends if end > 0), PART_CHARS)
        if part := rest[:end].rstrip():
            yield part
        # After a line's end, the next part keeps its indentation.
        rest = rest[end:].lstrip("\r\n" if rest[end] != " " else " ")
    yield rest


def _object(line: bytes) -> dict[str, Any]:
    try:
        held = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Bad("", f"not UTF-8: byte {error.start + 1} of the line") from None
    except RecursionError:
        raise Bad("", "not JSON that can be read: nested too deeply") from None
    except ValueError as error:
        raise Bad("", f"not JSON: {error}") from None
    if not isinstance(held, dict):
        raise Bad("", f"not a JSON object but {_name(held)}; each line is a record of its own")
    return held


def _required(fields: FieldMap, held: dict[str, Any], name: str, longest: int) -> str:
    found = fields.find(held, name)
    if found is None:
        raise Bad(name, f"missing: no {' or '.join(getattr(fields, name)[:4])}")
    path, value = found
    return _text(path, value, longest)


def _text(path: str, value: Any, longest: int) -> str:
    """A value as text that is not blank and can be stored."""
    if not isinstance(value, str):
        raise Bad(path, f"not a string but {_name(value)}")
    if not value.strip():
        raise Bad(path, "blank")
    if len(value) > longest:
        raise Bad(path, f"{len(value):,} characters: longer than {longest:,}")
    if sign := _NO_TEXT.search(value):
        what = "a NUL" if sign[0] == "\0" else "half of a surrogate pair"
        raise Bad(path, f"{what} at character {sign.start() + 1:,}, which is no text")
    return value


def _id(fields: FieldMap, held: dict[str, Any], title: str, text: str) -> str:
    if not fields.id:
        return "pb_" + identity.digest({"title": title, "text": text}).removeprefix("sha256:")[:16]
    path, value = fields.find(held, "id") or ("id", None)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None:
        raise Bad("id", f"missing: no {' or '.join(fields.id[:4])}")
    record_id = _text(path, value, MAX_ID_CHARS).strip()
    if not record_id.isprintable():
        raise Bad(path, f"{record_id!r} has characters that cannot be printed")
    if _PART.fullmatch(record_id):
        raise Bad(path, f"{record_id!r} ends as the ids of parts of long texts do, which Replay makes itself")
    return record_id


def _title(fields: FieldMap, held: dict[str, Any]) -> str:
    """One line, since it heads what is shown of the record."""
    path, value = fields.find(held, "title") or ("title", "")
    if isinstance(value, str) and not value.strip():
        return ""
    return one_line(" ".join(_text(path, value, MAX_TITLE_CHARS).split()))


def _kind(fields: FieldMap, held: dict[str, Any]) -> RecordKind:
    if found := fields.find(held, "kind"):
        path, word = found
        word = str(word).lower() if isinstance(word, bool) else word
        kind = fields.kinds.get(word.strip().casefold()) if isinstance(word, str) else None
        if kind is None:
            raise Bad(path, f"{_short(word)} is no kind that is known: {', '.join(fields.kinds)}")
        return kind
    if found := fields.find(held, "score"):
        path, score = found
        return RecordKind.EXEMPLAR if _score(fields, path, score) >= fields.exemplar_at else RecordKind.WARNING
    return RecordKind.NOTE


def _score(fields: FieldMap, path: str, score: Any) -> int | float:
    """A score as a number; a yes or no is 1 or 0, whatever the threshold."""
    if isinstance(score, bool):
        return float("inf") if score else float("-inf")
    highest = 1.0 if fields.exemplar_at <= 1 else float("inf")
    if not isinstance(score, (int, float)) or not 0 <= score <= highest or score == float("inf"):
        bounds = "from 0 to 1" if highest == 1 else "of 0 or more"
        raise Bad(path, f"{_short(score)} is not a number {bounds}")
    return score


def _tags(fields: FieldMap, held: dict[str, Any]) -> tuple[str, ...]:
    """A list of strings, or one string with commas; blanks and repetitions are dropped."""
    path, value = fields.find(held, "tags") or ("tags", [])
    tags = value.split(",") if isinstance(value, str) else value
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise Bad(path, f"neither a list of strings nor a string: {_short(value)}")
    kept = tuple(dict.fromkeys(_text(path, tag.strip(), MAX_TAG_CHARS) for tag in tags if tag.strip()))
    if len(kept) > MAX_TAGS:
        raise Bad(path, f"{len(kept):,} tags: more than {MAX_TAGS}")
    return kept


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"


def _name(value: Any) -> str:
    if isinstance(value, bool):
        return "a yes or no"
    names = {dict: "an object", list: "a list", str: "a string", int: "a number", float: "a number"}
    return names.get(type(value), "null")
