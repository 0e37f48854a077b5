"""The arm without a model: the first line that retrieval offers and the first value in it, judged by the same gate.

A model tier earns its place by beating this. It goes through the pipeline with a generator that takes the first choice
of every answer schema, so what differs from the other arms is the model and nothing else. It asks nobody and takes
milliseconds, so it is made anew each time and is no evidence: nothing of it can reach the corpus.
"""

from __future__ import annotations

import json
from typing import Any

from replay import pipeline
from replay.contracts import Generation, ReplayRun, ReplayTask, Tier
from replay.gate import DEFAULT_GATE, Gate
from replay.pipeline import Engine, Retriever
from replay.prompting import PromptLimits

NO_MODEL = "none"


class FirstChoice:
    """A generator that holds no model."""

    def generate(self, tier: Tier, messages: list[dict[str, str]], schema: dict[str, Any]) -> Generation:
        """Return the first choice that the schema offers, whoever is asked."""
        del tier, messages
        return Generation(
            model=NO_MODEL,
            endpoint=NO_MODEL,
            response_format="json_schema",
            content=reply(schema),
            finish_reason="stop",
        )


def audit(task: ReplayTask, retriever: Retriever, gate: Gate = DEFAULT_GATE) -> ReplayRun:
    """Judge the top line of a task; it never escalates, and always retrieves.

    Raises:
        CorpusError: As the retriever.
    """
    options = task.options.model_copy(update={"allow_escalation": False, "retrieval": True})
    engine = Engine(retriever, FirstChoice(), PromptLimits(), gate)
    return pipeline.audit_local(task.model_copy(update={"options": options}), engine).run


def reply(schema: dict[str, Any]) -> str:
    """What a model would write that always takes the first choice the schema offers, and passes every check."""
    written = _first_instance(schema)
    for check in written.get("checks", {}):
        written["checks"][check] = "pass"
    return json.dumps(written)


def _first_instance(schema: dict[str, Any]) -> Any:
    match schema:
        case {"anyOf": [first, *_]}:
            return _first_instance(first)
        case {"const": value}:
            return value
        case {"enum": [value, *_]}:
            return value
        case {"properties": dict(properties)}:
            return {name: _first_instance(part) for name, part in properties.items()}
        case {"items": dict(items)}:
            return [_first_instance(items)]
        case _:
            return ""
