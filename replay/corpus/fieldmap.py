"""Which field of a foreign export is what to a playbook record: names, nested names, words for kinds, a threshold.

A path is the name of a field, or the way to a nested one: `meta.score` is the field of that very name, else `score`
within `meta`, and of `a.b.c` the longest name counts that leads somewhere: `a.b` before `a`; a number counts from 0
into a list (`messages.0.content`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from replay.contracts import RecordKind
from replay.errors import InputError

EXEMPLAR_SCORE = 0.75
NESTS = ("meta", "metadata")
"""Where other systems keep what is not the text: a usual name is looked for there too, after the top level."""

KIND_WORDS: Mapping[str, RecordKind] = MappingProxyType(
    {
        **{kind.value: kind for kind in RecordKind if kind is not RecordKind.SOURCE},
        **dict.fromkeys(("success", "succeeded", "pass", "passed", "accepted", "true"), RecordKind.EXEMPLAR),
        **dict.fromkeys(("failure", "failed", "fail", "rejected", "partial", "false"), RecordKind.WARNING),
    }
)

_MAP_HINT = "Write --map FIELD=PATH, as in --map text=body or --map score=meta.success; fields: {}."
_KIND_HINT = "Write --kind WORD=KIND, as in --kind solved=exemplar; kinds: exemplar, warning, note."


def _usual(*names: str) -> tuple[str, ...]:
    return (*names, *(f"{nest}.{name}" for nest in NESTS for name in names))


@dataclass(frozen=True)
class FieldMap:
    """Where a line keeps what a record needs. Of several paths, the first that the line has, and not null, counts.

    Attributes:
        id: Paths of the id. None at all: ids are made from title and text.
        text: Paths of the text; `a+b` joins the texts of both, one below the other.
        title: Paths of the title.
        kind: Paths of the word that names the kind.
        score: Paths of the success score, or of a yes or no; asked where no kind is named.
        tags: Paths of the tags.
        kinds: What the words of `kind` mean, in small letters.
        exemplar_at: The score from which on a record is an exemplar; below it is a warning. Up to 1 it is a share, and
            scores must lie between 0 and 1.
    """

    id: tuple[str, ...] = _usual("id", "rag_id", "record_id", "_id", "uuid")
    text: tuple[str, ...] = _usual("text", "content", "body", "page_content")
    title: tuple[str, ...] = _usual("title", "name")
    kind: tuple[str, ...] = _usual("kind", "outcome")
    score: tuple[str, ...] = _usual("score", "success_score", "success_rate", "success")
    tags: tuple[str, ...] = _usual("tags")
    kinds: Mapping[str, RecordKind] = field(default_factory=lambda: KIND_WORDS)
    exemplar_at: float = EXEMPLAR_SCORE

    @classmethod
    def parse(
        cls, pairs: Iterable[str] = (), *, kinds: Iterable[str] = (), exemplar_at: float | None = None
    ) -> FieldMap:
        """The mapping that options of the command line ask for; what they do not name keeps its usual names.

        Args:
            pairs: `FIELD=PATH`, as in `text=body`. A field that comes again gets another path, to be tried after the
                first; `FIELD=` leaves the field aside.
            kinds: `WORD=KIND`, as in `solved=exemplar`: a word beyond the usual ones, or another meaning of one.
            exemplar_at: The score from which on a record is an exemplar.

        Raises:
            InputError: An option is not of that form.
        """
        paths: dict[str, Any] = {}
        for pair in pairs:
            name, path = _pair(pair)
            paths[name] = (*paths.get(name, ()), *([path] if path else []))
        if not paths.get("text", ("text",)):
            raise InputError("--map 'text=' leaves no text to import", hint=_MAP_HINT.format(", ".join(_FIELDS)))
        if exemplar_at is not None and not math.isfinite(exemplar_at):
            raise InputError(f"--exemplar-at {exemplar_at} is no score", hint="Give a number, as in --exemplar-at 0.8.")
        return cls(
            **paths,
            kinds=MappingProxyType({**KIND_WORDS, **dict(map(_kind, kinds))}),
            exemplar_at=EXEMPLAR_SCORE if exemplar_at is None else exemplar_at,
        )

    def find(self, line: dict[str, Any], name: str) -> tuple[str, Any] | None:
        """The first of a field's paths that the line has, with its value; None where it has none of them."""
        for path in getattr(self, name):
            if (value := line.get(path)) is not None:
                return path, value
            if "." not in path and "+" not in path:
                continue
            values = [value for part in path.split("+") if (value := at(line, part)) is not None]
            if len(values) > 1 and all(isinstance(value, str) for value in values):
                return path, "\n".join(values)
            if values:
                # Of several, one is no text: the caller says so of that one.
                return path, next((value for value in values if not isinstance(value, str)), values[0])
        return None


USUAL = FieldMap()
_FIELDS = ("id", "text", "title", "kind", "score", "tags")


def at(value: Any, path: str) -> Any:
    """What stands at a path within a JSON value; None where nothing does."""
    if isinstance(value, dict):
        if path in value:
            return value[path]
        # A name with dots may be any run of the path's parts: the longest that leads somewhere counts.
        cuts = [place for place, sign in enumerate(path) if sign == "."]
        ways = (at(value[path[:cut]], path[cut + 1 :]) for cut in reversed(cuts) if path[:cut] in value)
        return next((found for found in ways if found is not None), None)
    if isinstance(value, list):
        head, _, rest = path.partition(".")
        if head.isdecimal() and head.isascii() and len(head) < 7 and int(head) < len(value):
            return at(value[int(head)], rest) if rest else value[int(head)]
    return None


def _pair(pair: str) -> tuple[str, str]:
    hint = _MAP_HINT.format(", ".join(_FIELDS))
    name, equals, path = (part.strip() for part in pair.partition("="))
    if not equals:
        raise InputError(f"--map {pair!r} has no `=`", hint=hint)
    if name not in _FIELDS:
        raise InputError(f"--map {pair!r}: a record has no field {name!r}", hint=hint)
    if path and not all(part for piece in path.split("+") for part in piece.split(".")):
        raise InputError(f"--map {pair!r}: a part of the path is empty", hint=hint)
    if "+" in path and name != "text":
        raise InputError(f"--map {pair!r}: only texts can be joined by `+`", hint=hint)
    return name, path


def _kind(pair: str) -> tuple[str, RecordKind]:
    word, equals, kind = (part.strip() for part in pair.partition("="))
    if not equals or not word:
        raise InputError(f"--kind {pair!r} is not of the form WORD=KIND", hint=_KIND_HINT)
    if kind not in {known.value for known in RecordKind if known is not RecordKind.SOURCE}:
        raise InputError(f"--kind {pair!r}: {kind!r} is no kind of a playbook record", hint=_KIND_HINT)
    return word.casefold(), RecordKind(kind)
