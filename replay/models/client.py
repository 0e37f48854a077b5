"""The OpenAI-compatible client: what is asked of a tier's model, and what of its reply is kept (`connection` asks)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import httpx

from replay.contracts import Generation, Tier
from replay.errors import ModelRefused, ModelUnavailable
from replay.models import body, limits, replies
from replay.models.breaker import Breaker, EndpointPaused, Target, Unbroken, chain
from replay.models.connection import Connection, key_of
from replay.models.faults import Transient
from replay.models.limits import Limited, Limiter, Unlimited
from replay.models.probe import MEANS_NO, Abilities, probe, schema_format
from replay.models.replies import Reply
from replay.models.routing import OPENROUTER, Endpoint
from replay.settings import Settings


@dataclass(frozen=True)
class Health:
    """Whether an endpoint answers, and one line on it."""

    ok: bool
    detail: str


class ModelClient:
    """Asks the model of a tier; the `Generator` of the pipeline.

    Args:
        settings: Names, addresses, keys, timeouts and sampling.
        breaker: Stands before every request; by default nothing does.
        limiter: And before it; by default there are no limits.
        transport: Replaces the network, for tests.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        breaker: Breaker | None = None,
        limiter: Limiter | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._breaker = breaker or Unbroken()
        self._limiter = limiter or Unlimited()
        self._connection = Connection(settings, transport=transport)
        self._abilities: dict[tuple[str, str], Abilities] = {}

    def generate(self, tier: Tier, messages: list[dict[str, str]], schema: dict[str, Any]) -> Generation:
        """Return the model's reply, verbatim but for a key in it, which is masked, and halves of surrogate pairs.

        A fallback is asked where the targets before it are not asked now, and for no other reason.

        Raises:
            ConfigurationError: No endpoint or key for the model of this tier.
            EndpointPaused: No target of this tier is asked now.
            ModelUnavailable: No answer, after bounded retries.
            ModelRefused: The endpoint said no; a retry cannot help.
        """
        first: EndpointPaused | None = None
        for target in chain(tier, self._settings):
            try:
                return self._generate(tier, target, messages, schema)
            except Limited as limited:
                # Told before a target that does not answer: this one will be asked, so the task waits and never ends.
                first = first if isinstance(first, Limited) else limited
            except EndpointPaused as paused:
                first = first or paused
        assert first is not None, "a tier has a model"  # noqa: S101  `chain` is never empty
        raise first

    def _generate(
        self, tier: Tier, target: Target, messages: list[dict[str, str]], schema: dict[str, Any]
    ) -> Generation:
        model, endpoint = target.model, target.endpoint
        abilities = self.abilities(tier, target)
        request: dict[str, Any] = {"messages": messages, "max_tokens": self._settings.max_tokens}
        if abilities.json_schema:
            request["response_format"] = schema_format(schema)
        if abilities.silences_reasoning:
            request["reasoning_effort"] = "none"
        started = perf_counter()
        reply, tries = self._ask(tier, target, request)
        return Generation(
            model=model,
            endpoint=endpoint.base_url,
            response_format="json_schema" if abilities.json_schema else "text",
            content=reply.content,
            finish_reason=reply.finish_reason,
            reasoning=reply.reasoning,
            usage=reply.usage,
            tries=tries,
            generate_ms=round((perf_counter() - started) * 1000, 3),
        )

    def abilities(self, tier: Tier, target: Target) -> Abilities:
        """What the endpoint does for the model: asked once in a process, and again only if there was no answer.

        Raises:
            ModelUnavailable: No answer, after bounded retries.
            ModelRefused: The endpoint said no.
        """
        model, endpoint = target.model, target.endpoint
        known = self._abilities.get((endpoint.base_url, model))
        if known is None:
            # OpenRouter answers 404 where no provider of the model can do what the request asks for.
            means_no = MEANS_NO | {404} if endpoint.name == OPENROUTER else MEANS_NO
            known = probe(lambda request: self._ask(tier, target, request)[0], means_no)
            self._abilities[endpoint.base_url, model] = known
        return known

    def list_models(self, endpoint: Endpoint) -> tuple[str, ...]:
        """The names of the models that an endpoint offers.

        Raises:
            ModelUnavailable: No answer; there are no retries.
            ModelRefused: The endpoint said no.
        """
        listed = self._connection.send(endpoint, "GET", "/models", "its list of models", None)
        data = listed.get("data") if isinstance(listed, dict) else None
        entries = body.without_secret(key_of(endpoint), data) if isinstance(data, list) else []
        return tuple(str(entry["id"]) for entry in entries if isinstance(entry, dict) and entry.get("id"))

    def health(self, endpoint: Endpoint, model: str | None = None) -> Health:
        """Does the endpoint answer, and does it offer the model? Never raises for an endpoint's fault."""
        try:
            if endpoint.name == OPENROUTER:
                # Its list of models needs no key.
                self._connection.send(endpoint, "GET", "/key", "its check of the key", None)
            names = self.list_models(endpoint)
        except (ModelUnavailable, ModelRefused) as error:
            return Health(ok=False, detail=f"{error.message} {error.hint}".strip())
        # Ollama takes `name` for `name:latest`, and lists the latter.
        if model is not None and names and not {model, f"{model}:latest"} & set(names):
            some = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
            return Health(ok=False, detail=f"{endpoint.base_url} does not offer {model}; it offers {some}")
        return Health(ok=True, detail=f"{endpoint.base_url} offers {model or f'{len(names)} models'}")

    def close(self) -> None:
        """Close the connections of this process."""
        self._connection.close()

    def _ask(self, tier: Tier, target: Target, request: dict[str, Any]) -> tuple[Reply, int]:
        """Send a chat completion until there is a reply or the tries are used up; return it and the tries it took."""
        settings = self._settings
        model, endpoint = target.model, target.endpoint
        payload = {"model": model, "temperature": settings.temperature, "stream": False, **request}
        if endpoint.name == OPENROUTER and "response_format" in request:
            # Else it may choose a provider that drops the schema. A seed would rule out more providers than it helps.
            payload["provider"] = {"require_parameters": True}
        else:
            payload["seed"] = settings.seed
        estimated = limits.estimate(request)

        def attempt() -> Reply:
            # Each try is admitted by itself: what an endpoint counts is requests, not answers.
            with self._limiter.admitted(tier, target, estimated) as call:
                return self._breaker.call(target, lambda: call.make(lambda: self._complete(endpoint, model, payload)))

        return self._connection.persist(attempt)

    def _complete(self, endpoint: Endpoint, model: str, payload: dict[str, Any]) -> Reply:
        """Make one try of a chat completion."""
        reply = replies.read(self._connection.send(endpoint, "POST", "/chat/completions", model, payload))
        if reply is None:
            raise Transient(f"{model} at {endpoint.base_url}: the answer is no chat completion", may_have_run=True)
        # Here and not in the body: a reply in parts may hold the key across two of them.
        said = {name: getattr(reply, name) for name in ("content", "reasoning", "finish_reason")}
        return dataclasses.replace(reply, **body.without_secret(key_of(endpoint), said))
