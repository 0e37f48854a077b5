"""Our options, as texts of a batch's metadata or as values of a request's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class BadOption(Exception):
    """A value that an option cannot have.

    Args:
        name: The option.
        message: What is wrong with it.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


@dataclass(frozen=True)
class Options:
    """What was said of a task; None was not said.

    Attributes:
        allow_escalation: May the large model be asked?
        retrieval: False is the marked baseline without evidence.
        checklist: Items to check besides the claim.
        tags: Words for people; they change nothing.
    """

    allow_escalation: bool | None = None
    retrieval: bool | None = None
    checklist: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None

    @classmethod
    def read(cls, metadata: Mapping[str, Any] | None) -> Options:
        """Read what of metadata is ours; other keys are the client's own.

        Raises:
            BadOption: A value is none.
        """
        given = metadata or {}
        return cls(
            allow_escalation=_flag("allow_escalation", given),
            retrieval=_flag("retrieval", given),
            checklist=_texts("checklist", given, "\n"),
            tags=_texts("tags", given, ","),
        )

    def over(self, other: Options) -> Options:
        """These options, and where they say nothing the other ones."""
        mine = {name: value for name, value in vars(self).items() if value is not None}
        return Options(**{**vars(other), **mine})

    def line(self) -> dict[str, Any]:
        """As fields of a line of a tasks file."""
        chosen = {"allow_escalation": self.allow_escalation, "retrieval": self.retrieval}
        return {
            "checklist": list(self.checklist or ()),
            "tags": list(self.tags or ()),
            "options": {name: value for name, value in chosen.items() if value is not None},
        }


def _flag(name: str, given: Mapping[str, Any]) -> bool | None:
    value = given.get(name)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _FLAGS:
        return _FLAGS[value.strip().lower()]
    raise BadOption(name, "it is 'true' or 'false'")


def _texts(name: str, given: Mapping[str, Any], separator: str) -> tuple[str, ...] | None:
    """A list, a list as JSON, or texts with a separator between: values of a batch's metadata can only be text."""
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise BadOption(name, "it begins like a JSON list and is none") from None
    if isinstance(value, str):
        value = [part.strip() for part in value.split(separator) if part.strip()]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadOption(name, "it is a list of texts")
    return tuple(value)
