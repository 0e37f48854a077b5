"""A semantic auditor beside the gate: a model that scores how far a source entails a claim. It never gates.

Off-the-shelf judges are near chance on answers about code (`docs/decisions.md`), so a score of theirs stands beside the
auditor's own in the evidence, under its own name, and no rule reads it. Any object with `name` and `score` will do;
`load` makes one of a cross-encoder file that the optional package `sentence-transformers` can read, such as
`lettucedect`'s or FactCG's encoders:

    pip install sentence-transformers
    scorer = semantic.load("/models/factcg-deberta-large")
    entries = semantic.audit(task, bundle, answer, scorer)
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

from replay.contracts import Answer, Bundle, ClaimAudit, ReplayTask
from replay.errors import ConfigurationError
from replay.gate.audit import LONGEST_CLAIM, MOST_FINDINGS, composed
from replay.gate.case import Case


class SemanticScorer(Protocol):
    """Scores how far a source says what a claim says."""

    @property
    def name(self) -> str:
        """Name and version of the model; it stands in the evidence beside each score."""
        ...

    def score(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        """For each (source, claim) a score from 0, unsupported, to 1, entailed."""
        ...


def audit(task: ReplayTask, bundle: Bundle, answer: Answer, scorer: SemanticScorer) -> tuple[ClaimAudit, ...]:
    """One entry for each finding, with the scorer's number; what it says is kept between 0 and 1.

    Raises:
        ValueError: The scorer gave another number of scores than it got pairs.
    """
    case = Case(task, bundle, answer)
    findings = answer.findings[:MOST_FINDINGS]
    spans = [case.spans(finding) for finding in findings]
    pairs = [
        ("\n".join(span.quote for span in cited)[:LONGEST_CLAIM], composed(finding))
        for finding, cited in zip(findings, spans, strict=True)
    ]
    scores = scorer.score(pairs) if pairs else []
    if len(scores) != len(pairs):
        raise ValueError(f"{scorer.name} gave {len(scores)} scores for {len(pairs)} claims")
    return tuple(
        ClaimAudit(
            finding=number,
            claim=claim,
            score=round(min(1.0, max(0.0, float(score))), 4),
            backed_by=tuple(dict.fromkeys(span.record.record_id for span in spans[number])),
            scorer=scorer.name,
        )
        for number, ((_, claim), score) in enumerate(zip(pairs, scores, strict=True))
    )


def load(path: str) -> SemanticScorer:
    """Load one cross-encoder that gives a single score to a pair of texts.

    Raises:
        ConfigurationError: The optional package is not installed.
    """
    try:
        package = import_module("sentence_transformers")
    except ImportError as error:
        raise ConfigurationError(
            "the semantic auditor needs the package sentence-transformers",
            hint="pip install sentence-transformers, or leave the semantic auditor off",
        ) from error
    return _CrossEncoder(f"{path.rstrip('/').rpartition('/')[2]}", package.CrossEncoder(path))


class _CrossEncoder:
    def __init__(self, name: str, model: Any) -> None:
        self._name = name
        self._model = model

    @property
    def name(self) -> str:
        return self._name

    def score(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        return [float(score) for score in self._model.predict([list(pair) for pair in pairs])]
