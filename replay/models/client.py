"""The OpenAI-compatible client: one request and one reply, over plain HTTP.

Only transport faults are retried, within bounds; what they are is decided in `faults`. The key travels in a header;
what an endpoint or the HTTP stack says, good replies included, is searched for it before it is passed on (`body`).
"""

from __future__ import annotations

import dataclasses
import os
import random
import threading
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import httpx
import stamina
import stamina.instrumentation

from replay.contracts import Generation, Tier
from replay.errors import ModelRefused, ModelUnavailable
from replay.models import body, faults, replies, routing
from replay.models.faults import Transient
from replay.models.probe import MEANS_NO, Abilities, probe, schema_format
from replay.models.replies import Reply
from replay.models.routing import OPENROUTER, Endpoint
from replay.settings import Settings

_WRITE_TIMEOUT_S = 30.0
_LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")


@dataclass(frozen=True)
class Health:
    """Whether an endpoint answers, and one line on it."""

    ok: bool
    detail: str


class ModelClient:
    """Asks the model of a tier; the `Generator` of the pipeline.

    Connections are opened on first use and belong to one process: a forked child opens its own.

    Args:
        settings: Names, addresses, keys, timeouts and sampling.
        transport: Replaces the network, for tests.
    """

    def __init__(self, settings: Settings, *, transport: httpx.BaseTransport | None = None) -> None:
        # The retries of this client are told by `Generation.tries`; by default stamina would log each one.
        stamina.instrumentation.set_on_retry_hooks(())
        self._settings = settings
        self._transport = transport
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None
        self._http_pid = 0
        self._abilities: dict[tuple[str, str], Abilities] = {}

    def generate(self, tier: Tier, messages: list[dict[str, str]], schema: dict[str, Any]) -> Generation:
        """Return the model's reply, verbatim but for a key in it, which is masked, and halves of surrogate pairs.

        Raises:
            ConfigurationError: No endpoint or key for the model of this tier.
            ModelUnavailable: No answer, after bounded retries.
            ModelRefused: The endpoint said no; a retry cannot help.
        """
        model = routing.model_for(tier, self._settings)
        endpoint = routing.route(model, tier, self._settings)
        abilities = self.abilities(endpoint, model)
        request: dict[str, Any] = {"messages": messages, "max_tokens": self._settings.max_tokens}
        if abilities.json_schema:
            request["response_format"] = schema_format(schema)
        if abilities.silences_reasoning:
            request["reasoning_effort"] = "none"
        started = perf_counter()
        reply, tries = self._ask(endpoint, model, request)
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

    def abilities(self, endpoint: Endpoint, model: str) -> Abilities:
        """What the endpoint does for the model: asked once in a process, and again only if there was no answer.

        Raises:
            ModelUnavailable: No answer, after bounded retries.
            ModelRefused: The endpoint said no.
        """
        known = self._abilities.get((endpoint.base_url, model))
        if known is None:
            # OpenRouter answers 404 where no provider of the model can do what the request asks for.
            means_no = MEANS_NO | {404} if endpoint.name == OPENROUTER else MEANS_NO
            known = probe(lambda request: self._ask(endpoint, model, request)[0], means_no)
            self._abilities[endpoint.base_url, model] = known
        return known

    def list_models(self, endpoint: Endpoint) -> tuple[str, ...]:
        """The names of the models that an endpoint offers.

        Raises:
            ModelUnavailable: No answer; there are no retries.
            ModelRefused: The endpoint said no.
        """
        listed = self._send(endpoint, "GET", "/models", "its list of models", None)
        data = listed.get("data") if isinstance(listed, dict) else None
        entries = body.without_secret(_key(endpoint), data) if isinstance(data, list) else []
        return tuple(str(entry["id"]) for entry in entries if isinstance(entry, dict) and entry.get("id"))

    def health(self, endpoint: Endpoint, model: str | None = None) -> Health:
        """Does the endpoint answer, and does it offer the model? Never raises for an endpoint's fault."""
        try:
            if endpoint.name == OPENROUTER:
                self._send(endpoint, "GET", "/key", "its check of the key", None)  # its list of models needs no key
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
        with self._lock:
            if self._http is not None and self._http_pid == os.getpid():
                self._http.close()
            self._http = None

    def _ask(self, endpoint: Endpoint, model: str, request: dict[str, Any]) -> tuple[Reply, int]:
        """Send a chat completion until there is a reply or the tries are used up; return it and the tries it took."""
        settings = self._settings
        payload = {"model": model, "temperature": settings.temperature, "stream": False, **request}
        if endpoint.name == OPENROUTER and "response_format" in request:
            # Else it may choose a provider that drops the schema. A seed would rule out more providers than it helps.
            payload["provider"] = {"require_parameters": True}
        else:
            payload["seed"] = settings.seed
        tries = 0
        try:
            for attempt in stamina.retry_context(
                on=_wait_before_retry,
                attempts=settings.transport_tries,
                timeout=settings.task_time_limit_s / 2,  # no try begins that could not end within the task's limit
                wait_initial=0.5,
                wait_max=20.0,
                wait_jitter=1.0,
            ):
                with attempt:
                    tries = attempt.num
                    return self._complete(endpoint, model, payload), tries
        except Transient as fault:
            raise ModelUnavailable(
                f"{fault.message} ({tries} {'try' if tries == 1 else 'tries'})",
                hint=fault.hint,
                retry_after_s=fault.retry_after_s,
            ) from None
        raise AssertionError("a retry context ends by a return or an exception")

    def _complete(self, endpoint: Endpoint, model: str, payload: dict[str, Any]) -> Reply:
        """Make one try of a chat completion."""
        reply = replies.read(self._send(endpoint, "POST", "/chat/completions", model, payload))
        if reply is None:
            raise Transient(f"{model} at {endpoint.base_url}: the answer is no chat completion")
        # Here and not in the body: a reply in parts may hold the key across two of them.
        said = {name: getattr(reply, name) for name in ("content", "reasoning", "finish_reason")}
        return dataclasses.replace(reply, **body.without_secret(_key(endpoint), said))

    def _send(self, endpoint: Endpoint, method: str, path: str, model: str, payload: dict[str, Any] | None) -> Any:
        """Make one request; return the parsed body of a good answer."""
        where = endpoint.base_url
        key = _key(endpoint)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            response = self._client().request(method, where + path, json=payload, headers=headers)
        except httpx.RequestError as error:
            said = body.without(key, str(error) or type(error).__name__)
            raise Transient(f"{model} at {where}: {said}", hint=_hint(endpoint)) from None
        answer = body.read(response)
        # Masked before `faults` cuts it to length: a cut through a key would leave a part that is not found again.
        told = body.without(key, _choice_error(answer))
        fault = faults.fault(response.status_code, response.headers, told, model=model, where=where)
        if fault is not None:
            # And once more after it: joining lines can put a key together.
            fault.message = body.without(key, fault.message)
            fault.args = (fault.message,)
            raise fault
        if isinstance(answer, str):
            raise Transient(f"{model} at {where}: the answer is not JSON")
        return answer

    def _client(self) -> httpx.Client:
        with self._lock:
            if self._http is None or self._http_pid != os.getpid():
                settings = self._settings
                self._http = httpx.Client(
                    timeout=httpx.Timeout(
                        connect=settings.connect_timeout_s,
                        read=settings.read_timeout_s,
                        write=_WRITE_TIMEOUT_S,
                        pool=settings.read_timeout_s,
                    ),
                    transport=self._transport,
                    # A proxy of the environment is for other machines, never for a server on this one.
                    mounts=None if self._transport else dict.fromkeys(_LOOPBACK),
                )
                self._http_pid = os.getpid()
            return self._http


def _wait_before_retry(error: Exception) -> bool | float:
    """Stamina's backoff hook: False ends, True waits by the usual backoff, a number is the wait in seconds."""
    if not isinstance(error, Transient):
        return False
    if error.retry_after_s is None:
        return True
    return error.retry_after_s + random.uniform(0, 1)  # noqa: S311  spreads retries, guards nothing


def _choice_error(answer: Any) -> Any:
    """Lift an error inside the first choice (OpenRouter, when a provider fails midway) to where others have it."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    error = choice.get("error") if isinstance(choice, dict) else None
    return {"error": error} if error else answer


def _hint(endpoint: Endpoint) -> str:
    if endpoint.name == routing.EMBEDDED:
        return "Start the embedded model server with `replay models serve`."
    return f"Check that the endpoint runs, and its address ({endpoint.name})." if endpoint.name else ""


def _key(endpoint: Endpoint) -> str:
    return endpoint.api_key.get_secret_value() if endpoint.api_key else ""
