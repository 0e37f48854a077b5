"""What keeps harm out of the corpus: texts that give orders or imitate a reply, and texts that are barred.

A record is shown to every later model that is asked something similar, so what a claim or a line says to a reader is
looked at before it becomes one. The patterns are few and plain; what they let through can still only be an example, and
the gate judges each later answer by its own lines.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from replay import identity
from replay.corpus.admission.candidates import Candidate
from replay.corpus.tokens import tokens


class _Sign(NamedTuple):
    what: str
    pattern: re.Pattern[str]


def _sign(what: str, pattern: str) -> _Sign:
    return _Sign(what, re.compile(pattern, re.IGNORECASE))


_ANYWHERE = (
    _sign(
        "an instruction to the reader",
        r"\b(?:ignore|disregard|forget|override)\s+(?:\w+\s+){0,3}?"
        r"(?:previous|prior|above|earlier|preceding|instructions?|rules|evidence)\b"
        r"|\byou\s+(?:must|should|have to|will|shall|are to)\s+(?:\w+\s+)?"
        r"(?:answer|reply|respond|say|output|write|cite|choose|return (?:pass|fail))\b"
        r"|\b(?:always|only|just)\s+(?:answer|reply|respond|output|cite)\b"
        r"|\b(?:answer|reply|respond)\s+(?:with|only)\b|\b(?:new|your)\s+instructions\b|\bsystem prompt\b",
    ),
    _sign(
        "a mark of a chat's roles",
        r"<\|[\w ]+\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?s>"
        r"|#{2,}\s*(?:system|instruction|assistant|user)\b",
    ),
    _sign(
        "what imitates a reply",
        r"""["'](?:findings|checks|proposals)["']\s*:\s*[\[{]|\{\s*["'](?:line|found|expected|verdict)["']\s*:""",
    ),
    _sign("what imitates a citation", r"\bL\d+\s+\[|[\"']line(?:_id)?[\"']\s*:\s*[\"']L\d+|\bsrc_[0-9a-f]{8}"),
)
_IN_CLAIMS = (
    _sign("a mark of a chat's roles", r"^\s*(?:system|assistant|user|developer|human)\s*:"),
    _sign("what imitates a record", r"\b(?:Claim|Evidence|Expected|Found|Verdict|Source)\s*:\s"),
)
"""In a source such words stand at the beginning of a parameter or a comment and mean nothing."""


def poison(found: Candidate) -> str:
    """What a candidate holds that no record may hold, in words; empty where there is nothing."""
    claims = (found.claim, found.why)
    for text in (*claims, found.place.path, found.place.quote, found.expected, found.found, *found.tags):
        if any(unicodedata.category(char) in {"Cf", "Cc", "Co", "Cs"} and char != "\t" for char in text):
            return "characters that are not seen"
        for sign in (*_ANYWHERE, *(_IN_CLAIMS if text in claims else ())):
            if said := sign.pattern.search(text):
                return f"{sign.what}: {said[0].strip()[:60]!r}"
    return ""


class Barred:
    """Texts that must not come into the corpus, nor what nearly says the same: a sealed probe, records that did harm.

    Args:
        texts: Claims, each with its checklist.
        similarity: The least Jaccard similarity of tokens at which a claim counts as one of them.
    """

    def __init__(self, texts: Iterable[tuple[str, tuple[str, ...]]], similarity: float) -> None:
        texts = tuple(texts)
        self._similarity = similarity
        self._hashes = {identity.task_hash(text, checklist) for text, checklist in texts}
        self._sets = list({tokens(text) for text, _ in texts} - {frozenset()})

    def __len__(self) -> int:
        return len(self._hashes)

    def bars(self, claim: str, task_hash: str = "") -> str:
        """Why a claim is barred, in words; empty where it is not."""
        if task_hash in self._hashes:
            return "it is the task of a barred text"
        said = tokens(claim)
        for other in self._sets:
            if min(len(said), len(other)) < self._similarity * max(len(said), len(other)):
                continue  # however many they share
            shared = len(said & other)
            union = len(said) + len(other) - shared
            if union and shared >= self._similarity * union:
                return f"it nearly says what a barred text says ({shared / union:.2f})"
        return ""
