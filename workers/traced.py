"""Retrieval and generation with a span around each, where traces are on; the names are OpenTelemetry's `gen_ai.*`."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from replay import tracing
from replay.contracts import Bundle, Generation, ReplayTask, Tier
from replay.models.breaker import chain
from replay.pipeline import Generator, Retriever
from replay.settings import Settings


class TracedRetriever:
    """A retriever whose every call is a span.

    Args:
        retriever: Does the work.
    """

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    def retrieve(self, task: ReplayTask) -> Bundle:
        """Return the bundle of a task."""
        with tracing.span("retrieve") as span:
            bundle = self._retriever.retrieve(task)
            span.set(
                replay__corpus_version=bundle.corpus_version,
                replay__passages=len(bundle.passages),
                replay__playbook=len(bundle.playbook),
                replay__lines=len(bundle.lines),
            )
            return bundle


class TracedGenerator:
    """A generator whose every call is a span of a model's client.

    Args:
        generator: Does the work.
        settings: What is asked for.
    """

    def __init__(self, generator: Generator, settings: Settings) -> None:
        self._generator = generator
        self._settings = settings

    def generate(self, tier: Tier, messages: list[dict[str, str]], schema: dict[str, Any]) -> Generation:
        """Return the reply, verbatim."""
        settings = self._settings
        model = chain(tier, settings)[0].model
        with tracing.span(
            f"chat {model}",
            "client",
            gen_ai__operation__name="chat",
            gen_ai__request__model=model,
            gen_ai__request__max_tokens=settings.max_tokens,
            gen_ai__request__temperature=settings.temperature,
            gen_ai__request__seed=settings.seed,
            replay__tier=tier.value,
        ) as span:
            made = self._generator.generate(tier, messages, schema)
            where = urlsplit(made.endpoint)
            span.set(
                gen_ai__response__model=made.model,
                gen_ai__response__finish_reasons=(made.finish_reason,) if made.finish_reason else None,
                gen_ai__usage__input_tokens=made.usage.prompt_tokens,
                gen_ai__usage__output_tokens=made.usage.completion_tokens,
                gen_ai__usage__cache_read__input_tokens=made.usage.cached_tokens,
                gen_ai__output__type="json" if made.response_format == "json_schema" else "text",
                server__address=where.hostname,
                server__port=where.port,
                replay__tries=made.tries,
            )
            return made
