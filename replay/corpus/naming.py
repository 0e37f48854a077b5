"""What a line of a source does, told by its form alone: `MAX_SIZE = 10` defines a name, `raise X` fails."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from replay.corpus.tokens import STOP_WORDS, expand

_LOOKED_AT = 400  # characters of a line: searching a line of megabytes would take the square of its length

_MODIFIERS = "const|let|var|static|final|pub|export|public|private|protected|readonly|constexpr|extern|unsigned|mut"
_LITERAL = r"""(?:-?\d|["']|True\b|False\b|true\b|false\b|\[|\(\d)"""

_DEFINED = re.compile(
    rf"""
        (?:async\s+)?def\s+(\w+)
      | class\s+(\w+)
      | (?:(?:{_MODIFIERS})\s+)*(?:self\.|cls\.|this\.|\$)?([^\W\d][\w.]*)\s*(?::[^=]*)?=(?![=>])
      | (?:(?:{_MODIFIERS})\s+)+(?:[\w<>\[\],.:*&?]+\s+){{1,2}}([^\W\d]\w*)\s*=(?![=>])   # public static int size = 3
      | \#\s*define\s+(\w+)
      | ["']([\w.-]+)["']\s*(?::|=>)
      | ([^\W\d]\w*)\s*:\s
    """,
    re.VERBOSE,
)
_SETTER = re.compile(rf"(?:[\w.]+\.)?_*set(?:_|(?=[A-Z]))(\w+)\(\s*{_LITERAL}")
_LITERAL_VALUE = re.compile(
    rf"""\s*(?:\w+\()?\s*(?:default\s*=\s*)?{_LITERAL}   # 4 · 'x' · Option(4 · [0, 3]
      | \bor\s+(?:\d|["'])                               # given or 100
    """,
    re.VERBOSE,
)
_FAILURE = re.compile(
    r"^(?:raise|throw|panic!?)\b|\bwarn(?:ings\.warn)?\(|DeprecationWarning|^\W*(?:deprecated|versionchanged|versionadded)\b"
)
_CLASS = re.compile(r"class\s|(?:pub\s+|export\s+)?(?:struct|interface|enum|trait)\s")
_STARTS_LITERAL = re.compile(_LITERAL)


class LineKind(IntEnum):
    """What a line does."""

    OTHER = 0
    DEFINITION = 1
    CLASS_HEADER = 2
    LITERAL = 3
    """It gives a name a literal value."""
    FAILURE = 4
    """It raises or warns."""


@dataclass(frozen=True)
class Naming:
    """What a line does, and the name that it defines.

    Attributes:
        kind: What it does.
        parts: The tokens by which the name is asked for: its single words, or the whole name where it has no others.
            Empty where nothing is defined, or the name is made of words of asking.
    """

    kind: LineKind
    parts: tuple[str, ...] = ()


_NOTHING = Naming(LineKind.OTHER)
_FAILING = Naming(LineKind.FAILURE)


def naming(line: str) -> Naming:
    """Tell what a line does, without knowing what stands around it."""
    text = line.strip()[:_LOOKED_AT]
    if defined := _DEFINED.match(text):
        name = next(group for group in defined.groups() if group)
        if _LITERAL_VALUE.search(text, defined.end()):
            return Naming(LineKind.LITERAL, _parts(name))
        return Naming(LineKind.CLASS_HEADER if _CLASS.match(text) else LineKind.DEFINITION, _parts(name))
    if setting := _SETTER.match(text):
        return Naming(LineKind.LITERAL, _parts(setting[1]))
    return _FAILING if _FAILURE.search(text) else _NOTHING


def starts_with_literal(line: str) -> bool:
    """Does the line begin with a number, a string, a switch or a list?"""
    return _STARTS_LITERAL.match(line.lstrip()) is not None


def _parts(name: str) -> tuple[str, ...]:
    named = [token for token in expand(name) if token not in STOP_WORDS]
    return tuple(token for token in named if "_" not in token) or tuple(named)
