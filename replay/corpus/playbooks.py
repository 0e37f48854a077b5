"""Playbooks from JSONL: one record a line, from Replay itself or from a team's older files.

Fields, with the older names that are understood too:

- `id` or `rag_id`, `text` or `content`: required, not blank;
- `title`, `tags`: optional;
- `kind`: `exemplar`, `warning` or `note`; or a number `score` or `success_score` from 0 to 1 in its place, of which
  0.75 and more is an exemplar and less a warning; with neither, the record is a note.

Other fields are left aside: a team's file carries more than Replay needs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replay.contracts import Record, RecordKind
from replay.errors import InputError

EXEMPLAR_SCORE = 0.75
MAX_TEXT_CHARS = 8_000

_KINDS = {kind.value: kind for kind in RecordKind if kind is not RecordKind.SOURCE}


@dataclass(frozen=True)
class BadLine:
    """A line that gave no record: its number from 1, the field at fault (empty: the line itself) and why."""

    number: int
    field: str
    reason: str


@dataclass(frozen=True)
class PlaybookReport:
    """What reading a playbook gave: its records in the order of the file, and the lines that gave none."""

    origin: str
    records: tuple[Record, ...]
    bad_lines: tuple[BadLine, ...]


class _Bad(Exception):
    """A signal inside this module, turned into a BadLine."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


def read(path: Path) -> PlaybookReport:
    """Read a playbook file; every good line is kept, whatever the others are.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"playbook {str(path)!r} cannot be read: {error.strerror}", hint="Give a file of JSON lines."
        ) from error
    return parse(content, path.name)


def parse(content: bytes, origin: str) -> PlaybookReport:
    """Read the bytes of a playbook. Blank lines are no lines; an id that comes twice is an error the second time."""
    records: dict[str, Record] = {}
    bad: list[BadLine] = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = _record(line, origin)
            if record.record_id in records:
                raise _Bad("id", f"{record.record_id!r} is also the id of an earlier line")  # noqa: TRY301  one handler
            records[record.record_id] = record
        except _Bad as fault:
            bad.append(BadLine(number, fault.field, fault.reason))
    return PlaybookReport(origin, tuple(records.values()), tuple(bad))


def _record(line: bytes, origin: str) -> Record:
    fields = _fields(line)
    return Record(
        record_id=_text(fields, "id", "rag_id"),
        kind=_kind(fields),
        text=_text(fields, "text", "content"),
        title=_text(fields, "title") if fields.get("title") else "",
        tags=_tags(fields),
        origin=origin,
    )


def _fields(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise _Bad("", "not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise _Bad("", f"not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise _Bad("", "not a JSON object")
    return fields


def _text(fields: dict[str, Any], *names: str) -> str:
    """The first of the names that the line has, as text that is not blank and can be stored."""
    name = next((name for name in names if name in fields), None)
    if name is None:
        raise _Bad(names[0], f"missing (or {names[1]!r})" if len(names) > 1 else "missing")
    value = fields[name]
    if not isinstance(value, str):
        raise _Bad(name, f"not a string but {type(value).__name__}")
    if not value.strip():
        raise _Bad(name, "blank")
    if len(value) > MAX_TEXT_CHARS:
        raise _Bad(name, f"{len(value)} characters: longer than {MAX_TEXT_CHARS}")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _Bad(name, "half of a surrogate pair, which is no character")
    return value


def _kind(fields: dict[str, Any]) -> RecordKind:
    if "kind" in fields:
        kind = fields["kind"]
        if not isinstance(kind, str) or kind not in _KINDS:
            raise _Bad("kind", f"{kind!r} is none of {', '.join(_KINDS)}")
        return _KINDS[kind]
    name = next((name for name in ("score", "success_score") if name in fields), None)
    if name is None:
        return RecordKind.NOTE
    score = fields[name]
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
        raise _Bad(name, f"{score!r} is not a number from 0 to 1")
    return RecordKind.EXEMPLAR if score >= EXEMPLAR_SCORE else RecordKind.WARNING


def _tags(fields: dict[str, Any]) -> tuple[str, ...]:
    tags = fields.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise _Bad("tags", "not a list of strings")
    return tuple(tags)
