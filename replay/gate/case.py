"""What the rules look at: one answer with its task and bundle, the spans that it cites, and the claims beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from replay import assertion, values
from replay.contracts import Answer, Bundle, Cite, EvidenceLine, Finding, Record, ReplayTask
from replay.corpus.tokens import forms, query_tokens, words
from replay.gate.comparison import Comparison, compare, is_verbatim
from replay.gate.lexicon import canonical
from replay.gate.spans import Span, find, head
from replay.gate.standing import definitions, is_example, is_test
from replay.gate.thresholds import Thresholds

__all__ = ["Case", "Span"]


@dataclass(frozen=True)
class Case:
    """One answer to judge. Pure data: judging it twice gives the same verdict."""

    task: ReplayTask
    bundle: Bundle
    answer: Answer
    thresholds: Thresholds = field(default_factory=Thresholds)

    @cached_property
    def records(self) -> dict[str, Record]:
        """The records of the bundle by id."""
        return self.bundle.records()

    @cached_property
    def about(self) -> frozenset[str]:
        """The tokens of the task, by which several names on one line are told apart."""
        return query_tokens(self.task.text)

    @cached_property
    def named(self) -> tuple[values.Value, ...]:
        """The names that the task spells out."""
        return values.names(self.task.text)

    @cached_property
    def heads(self) -> dict[str, str]:
        """For each record of the bundle the name that it goes by, lower-cased; empty where it has none."""
        return {key: (record.title or head(record)).lower() for key, record in self.records.items()}

    @cached_property
    def cited(self) -> str:
        """Everything that the answer cites, with what it belongs to and its neighbours, lower-cased."""
        spans = [span for finding in self.answer.findings for span in self.spans(finding)]
        return "\n".join(dict.fromkeys(text for span in spans for text in (span.names, span.context))).lower()

    @cached_property
    def record_tokens(self) -> list[frozenset[str]]:
        """What each passage of the bundle talks about, title and path included; each record where it has no passage.

        Examples that happen to be beside the passages must not change what a passage proves.
        """
        records = [hit.record for hit in self.bundle.passages] or list(self.records.values())
        return [_tokens(f"{record.text}\n{record.title}\n{record.path or ''}") for record in records]

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Each finding that says in words of its own what it cites, beside that."""
        return tuple(
            compare(finding, spans, self.task.text) for finding, spans in self.claims if not self.is_verbatim(finding)
        )

    @cached_property
    def claims(self) -> tuple[tuple[Finding, list[Span]], ...]:
        """Each finding that claims something in prose, with what it cites."""
        return tuple(
            (finding, spans)
            for finding in self.answer.findings
            if finding.claim.strip() and (spans := self.spans(finding))
        )

    def is_verbatim(self, finding: Finding) -> bool:
        """Does the finding claim its quote, word by word? Then nothing in the claim is its own."""
        known = self._verbatim.get(id(finding))
        if known is None:
            known = self._verbatim[id(finding)] = is_verbatim(finding, self.spans(finding))
        return known

    @cached_property
    def _verbatim(self) -> dict[int, bool]:
        return {}

    def spans(self, finding: Finding) -> list[Span]:
        """The places that a finding cites, as far as they exist in the bundle."""
        found = self._spans.get(id(finding))
        if found is None:
            cited = [self._cited(cite) for cite in finding.cites if cite.record_id in self.records]
            found = self._spans[id(finding)] = cited
        return found

    @cached_property
    def candidates(self) -> tuple[Span, ...]:
        """The shown lines that could settle the task: no example, no test, and of the definition that it names."""
        return tuple(
            span
            for span in map(self.shown, self.bundle.lines)
            if not (is_example(span) or is_test(span, self.about) or self.asked_definitions - definitions(span))
        )

    @cached_property
    def asked_definitions(self) -> frozenset[str]:
        """Capitalised names of the task in which a shown line is defined, lower-cased: `Queue` in "a kombu Queue"."""
        # A message that a claim quotes names nothing in which its line would have to be defined.
        text = assertion.before_message(self.task.text) if assertion.raised(self.task.text) else self.task.text
        named = frozenset(name.lower() for name in _CAPITALISED.findall(text))
        packages = {record.origin.partition(" ")[0].lower() for record in self.records.values()}
        defined = frozenset().union(*(definitions(self.shown(line)) for line in self.bundle.lines))
        claimed = " ".join(value.text for value in assertion.claimed(self.task.text)).lower()
        return frozenset(name for name in (named & defined) - packages if name not in claimed)

    def shown(self, line: EvidenceLine) -> Span:
        """The place of a line that the model was shown."""
        found = self._shown.get(id(line))
        if found is None:
            record = self.records[line.record_id]
            place = max(0, line.line_no - (record.first_line or 1))
            found = self._shown[id(line)] = Span(record, line.text, place)
        return found

    @cached_property
    def _shown(self) -> dict[int, Span]:
        return {}  # by the identity of the lines, which the bundle keeps

    @cached_property
    def _spans(self) -> dict[int, list[Span]]:
        return {}  # by the identity of the findings, which the answer keeps

    def _cited(self, cite: Cite) -> Span:
        record = self.records[cite.record_id]
        line = next((line for line in self.bundle.lines if line.line_id == cite.line_id), None)
        if line is not None and line.record_id == cite.record_id and cite.quote in (None, line.text):
            return self.shown(line)
        if cite.quote is None:
            return Span(record, record.text, None)
        return Span(record, cite.quote, find(record, cite.quote))


_CAPITALISED = re.compile(r"(?<!^)\b[A-Z]\w{2,}")


@lru_cache(maxsize=512)  # playbook records and much-asked passages come again from task to task
def _tokens(text: str) -> frozenset[str]:
    return frozenset().union(*map(_keys, set(words(text))))


@lru_cache(maxsize=1 << 16)  # records differ, their words are mostly the same
def _keys(word: str) -> tuple[str, ...]:
    return tuple({canonical(token) for token in forms(word)})
