"""What kind of place a line stands in: an example, a test, a condition, a call. There it settles nothing."""

from __future__ import annotations

import re

from replay.corpus.tokens import tokens
from replay.gate.spans import Span
from replay.gate.textcache import per_text

_EXAMPLE = re.compile(
    r"\s*(?:\.\. (?:code|code-block|sourcecode|testcode|example)\b.*"
    r"|(?:examples?|usage|example usage|for example|e\.g\.)\b[^.]{0,60}:{1,2}|[^#=]{0,200}::|>>>.*)\s*$",
    re.IGNORECASE,
)
_TESTS = frozenset(["test", "testing", "conftest", "example", "demo", "sample", "mock", "fixture"])
_CONDITION = re.compile(r"\s*(?:if|elif|else|for|while|except|case|when|unless|switch|catch)\b")
_DEFINITION = re.compile(r"\s*(?:async\s+)?(?:def|class|function|func|fn)\b")
_PASSED = re.compile(r"\s*\w+=(?!=)(?!\w*(?:Option|Field)\()[^=]*,?\s*$")
_TABLE = re.compile(r"\w*(?:Namespace|Options?|Settings|Defaults|Config|dict|namedtuple|Enum)\($", re.IGNORECASE)
_QUOTED_BLOCK = re.compile(r'"""|\'\'\'')
_OWN_ATTRIBUTE = re.compile(r"\s*(?:self|cls)\.\w+\s*(?::[^=]{1,80})?=(?!=)")
_METHOD = re.compile(r"\s*(?:async\s+)?def\s+(?P<name>\w+)")
_MAKING = re.compile(
    r"__(?:init|new|post_init|set_name|setstate)__$|_*(?:init|setup|reset|clear|configure|create|open)"
)
_NAME = re.compile(r"\w+")
_CODE = re.compile(r"""\s*(?:[\w.]+\s*=(?!=)|['"][\w.-]+['"]\s*:|[\w.]+\((?:[^)]*|.*\)\s*)$)""")


def is_example(span: Span) -> bool:
    """Is the line code that a docstring or a page shows, and not code that runs?"""
    if not _CODE.match(span.quote):
        return False
    if any(_EXAMPLE.match(line) for line in span.outer):
        return True
    if span.line is None:
        return False
    if span.line >= len(span.lines) or not span.lines[span.line][:1].isspace():
        return False
    marks = [len(_QUOTED_BLOCK.findall(line)) for line in span.lines]
    # A record that was cut out of a longer text can begin inside a docstring: then nothing is known.
    return sum(marks) % 2 == 0 and sum(marks[: span.line]) % 2 == 1


def is_test(span: Span, about: frozenset[str]) -> bool:
    """Does the line belong to tests or samples, where the task does not ask for those?"""
    return bool(_TESTS & tokens("\n".join([span.names, *span.outer])) - about)


def is_conditional(span: Span) -> bool:
    """Does the line run only under a condition of the function that it is in? One on a platform holds for a module."""
    met = False
    for line in span.outer:
        if _DEFINITION.match(line):
            return met
        met = met or _CONDITION.match(line) is not None
    return False


def is_later(span: Span) -> bool:
    """Is it an attribute that a method sets, other than the one that makes the object?"""
    if not _OWN_ATTRIBUTE.match(span.quote):
        return False
    method = next((found for line in [*span.outer, *span.lines[:1]] if (found := _METHOD.match(line))), None)
    return method is not None and not _MAKING.match(method["name"])


def is_argument(span: Span) -> bool:
    """Is the value one that a call passes, and not one that a definition or a table of settings gives?"""
    if not _PASSED.match(span.quote) or not span.outer:
        return False
    opening = span.outer[0].rstrip()
    return opening.endswith("(") and not _DEFINITION.match(opening) and not _TABLE.search(opening)


def definitions(span: Span) -> frozenset[str]:
    """The names of what the line is defined in, as its record's title has them, lower-cased."""
    return _definitions(span.record.title)


@per_text(1 << 14)  # a record is asked about for each of its lines
def _definitions(title: str) -> frozenset[str]:
    return frozenset(_NAME.findall(title.partition(" ")[0].lower()))
