"""What the mutations share: finding the sentence in a claim, putting another in its place, and reading evidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from replay.contracts import Answer, Bundle, Cite, Finding

Mutation = Callable[[Answer, Bundle, Random], Answer | None]
"""A pure function: the answer with one change, or None where it offers no place for it."""

T = TypeVar("T")

_CONTENT = re.compile(r"[A-Za-z_][\w]*|\d+(?:\.\d+)?")
_STOP_WORDS = (
    "a", "an", "and", "any", "are", "as", "at", "be", "been", "by", "can", "do", "does", "for", "from", "has",
    "have", "if", "in", "into", "is", "it", "its", "may", "must", "not", "of", "on", "or", "other", "should",
    "so", "such", "than", "that", "the", "their", "them", "then", "there", "these", "this", "those", "to",
    "was", "when", "where", "which", "will", "with", "you", "your", "returns", "return", "documentation",
    "says", "according",
)  # fmt: skip
_STOP = frozenset(_STOP_WORDS)
_LOCATION = re.compile(r"[\w./-]+\.\w+(?::| lines |, lines )\d+-\d+")


@dataclass(frozen=True)
class Spot:
    """A sentence of the evidence that a claim repeats: `claim == before + sentence + after`."""

    place: int
    before: str
    sentence: str
    after: str
    cited: str


def spots(answer: Answer, bundle: Bundle) -> list[Spot]:
    """The sentences of an answer that stand in a claim as they are quoted."""
    found = []
    for place, finding in enumerate(answer.findings):
        cited = cited_text(finding, bundle)
        for cite in finding.cites:
            quote = cite.quote or ""
            start = finding.claim.find(quote)
            if quote and start >= 0:
                end = start + len(quote)
                found.append(Spot(place, finding.claim[:start], quote, finding.claim[end:], cited))
    return found


def shuffled(items: Sequence[T], rng: Random) -> list[T]:
    """The items in another order; the input stays as it is."""
    return rng.sample(list(items), len(items))


def with_sentence(answer: Answer, spot: Spot, sentence: str) -> Answer:
    """The answer with another sentence at a spot."""
    return with_claim(answer, spot.place, f"{spot.before}{sentence}{spot.after}")


def with_claim(answer: Answer, place: int, claim: str) -> Answer:
    """The answer with another claim in one finding."""
    return with_finding(answer, place, answer.findings[place].model_copy(update={"claim": claim}))


def with_cites(answer: Answer, place: int, cites: Sequence[Cite]) -> Answer:
    """The answer with other citations of one finding."""
    return with_finding(answer, place, answer.findings[place].model_copy(update={"cites": tuple(cites)}))


def with_finding(answer: Answer, place: int, *findings: Finding) -> Answer:
    """The answer with other findings, or none, instead of one."""
    return with_findings(answer, (*answer.findings[:place], *findings, *answer.findings[place + 1 :]))


def with_findings(answer: Answer, findings: Sequence[Finding]) -> Answer:
    """The answer with other findings."""
    return answer.model_copy(update={"findings": tuple(findings)})


def cited_text(finding: Finding, bundle: Bundle) -> str:
    """The texts of all records that a finding cites."""
    records = bundle.records()
    return "\n".join(records[cite.record_id].text for cite in finding.cites if cite.record_id in records)


def normal(text: str) -> str:
    """Words and numbers in lower case, with single spaces: what two spellings of one sentence share."""
    return " ".join(re.findall(r"\w+", text.lower()))


def stands_in(text: str, evidence: str) -> bool:
    """Does the evidence have these words in this order, whatever the punctuation?"""
    return f" {normal(text)} " in f" {normal(evidence)} "


def content(text: str) -> set[str]:
    """The words that carry meaning."""
    return {word.lower() for word in _CONTENT.findall(text)} - _STOP


def overlap(text: str, evidence: str) -> float:
    """The share of the meaning-bearing words of a text that the evidence has."""
    words = content(text)
    return len(words & content(evidence)) / len(words) if words else 1.0


def replace_at(text: str, match: re.Match[str], new: str, group: int = 0) -> str:
    """The text with another text where a pattern matched, in the case of what stood there."""
    old = match[group]
    if old[:1].isupper() and not old.isupper() and new[:1].islower():
        new = new[0].upper() + new[1:]
    return text[: match.start(group)] + new + text[match.end(group) :]


def locations(text: str) -> Iterator[re.Match[str]]:
    """Where a text names a file with a range of lines."""
    return _LOCATION.finditer(text)
