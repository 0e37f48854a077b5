"""What a task asks of the sources: its words, other forms of them, and the kind of line that can answer it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from replay.corpus.abbreviations import forms
from replay.corpus.naming import LineKind
from replay.corpus.tokens import query_tokens, tokens

LINE_TOKENS = frozenset({"default", "set", "used", "value"})
"""Words of asking that find no record but tell its lines apart: `DEFAULT_POOL` decides a claim about a default."""


class Kind(Enum):
    """What a task is about, and so how much a line of each kind can decide."""

    VALUE = "value"
    FAILURE = "failure"
    CLASS = "class"
    DOCUMENTATION = "documentation"


FACTORS: Mapping[Kind, Mapping[LineKind, float]] = {
    Kind.VALUE: {LineKind.DEFINITION: 1.2, LineKind.CLASS_HEADER: 1.2, LineKind.LITERAL: 2.0},
    Kind.FAILURE: {
        LineKind.DEFINITION: 1.2,
        LineKind.CLASS_HEADER: 1.2,
        LineKind.LITERAL: 1.5,
        LineKind.FAILURE: 2.0,
    },
    Kind.CLASS: {LineKind.CLASS_HEADER: 2.0, LineKind.LITERAL: 1.2},
    Kind.DOCUMENTATION: {},
}
"""1 where nothing is said. Chosen by measuring, as all factors here are: see docs/decisions.md."""

# In this order: a claim that a class derives from an error is not about failing.
_TOLD_BY = {
    Kind.DOCUMENTATION: re.compile(r"\bdocumentation\b|\bdocumented\b|\bdocstring|\bdocs\b", re.IGNORECASE),
    Kind.CLASS: re.compile(
        r"\b(?:sub|super)?class(?:es)?\b|\b(?:deriv|inherit|descend)\w*|\bcatche?s\b"
        r"|\bis an? (?:kind of )?\w*(?:Error|Exception|Warning)\b",
        re.IGNORECASE,
    ),
    Kind.FAILURE: re.compile(
        r"\b(?:rais|throw|refus|reject|warn|complain|deprecat|obsolete)\w*|\bfail(?:s|ed)? with\b"
        r"|\w(?:Error|Exception|Warning)\b",
        re.IGNORECASE,
    ),
}

# What people say in a phrase and code in a word: not asked for where the task has one of the words itself. A verb of
# the task is no such word: who waits 30 seconds names no timeout.
_VERBS = frozenset({"expire", "wait"})
_IMPLIED: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (
        re.compile(r"\b(?:(?:milli)?second|minute|hour|day|week)s?\b|\d\s?(?:ms|s|min|h)\b", re.IGNORECASE),
        (*_VERBS, "age", "delay", "expiration", "expiry", "interval", "lifetime", "period", "sleep", "timeout", "ttl"),
    ),
    (
        re.compile(r"\b(?:at (?:the )?most|(?:no )?more than|up to)\b", re.IGNORECASE),
        ("limit", "max", "maximum"),
    ),
    (re.compile(r"\b(?:at least|(?:no )?(?:less|fewer) than)\b", re.IGNORECASE), ("min", "minimum")),
)


@dataclass(frozen=True)
class Asked:
    """A task as retrieval reads it.

    Attributes:
        tokens: What finds records.
        concepts: What tells lines apart: each asked token with the other forms that mean it, the token first.
        implied: Concepts that it asks for without naming them: what lasts 30 seconds is a timeout or the like. Like
            the words of asking, they find no record and tell lines apart.
        kind: What the task is about.
    """

    tokens: frozenset[str]
    concepts: tuple[tuple[str, ...], ...]
    implied: tuple[tuple[str, ...], ...]
    kind: Kind


@lru_cache(maxsize=64)
def asked(text: str) -> Asked:
    """Read a task."""
    finding = query_tokens(text)
    telling = sorted(finding | (tokens(text) & LINE_TOKENS))
    concepts: list[tuple[str, ...]] = []
    known: set[str] = set()
    for token in telling:
        if token not in known:
            concepts.append((token, *(form for form in forms(token) if form not in known)))
            known.update(concepts[-1])
    kind = next((kind for kind, told in _TOLD_BY.items() if told.search(text)), Kind.VALUE)
    return Asked(finding, tuple(concepts), tuple(_implied(text, known)), kind)


def _implied(text: str, known: AbstractSet[str]) -> Iterator[tuple[str, ...]]:
    for said, words in _IMPLIED:
        if known.isdisjoint(set(words) - _VERBS) and said.search(text):
            yield tuple(sorted(set(words) - known))
