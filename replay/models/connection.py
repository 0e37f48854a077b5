"""HTTP to an OpenAI-compatible endpoint: one request, what its answer means, and trying again within bounds.

Only transport faults are retried; what they are is decided in `faults`. The key travels in a header; what an endpoint
or the HTTP stack says, good answers included, is searched for it before it is passed on (`body`).
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
import stamina
import stamina.instrumentation

from replay.errors import ModelUnavailable
from replay.models import body, faults
from replay.models.faults import Transient
from replay.models.routing import EMBEDDED, Endpoint
from replay.settings import Settings

Answer = TypeVar("Answer")

_WRITE_TIMEOUT_S = 30.0
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")


class Connection:
    """Connections to endpoints, opened on first use and belonging to one process: a forked child opens its own.

    Args:
        settings: Timeouts, and how often a request is tried.
        transport: Replaces the network, for tests.
    """

    def __init__(self, settings: Settings, *, transport: httpx.BaseTransport | None = None) -> None:
        # The retries are told by a count of tries; by default stamina would log each one.
        stamina.instrumentation.set_on_retry_hooks(())
        self._settings = settings
        self._transport = transport
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None
        self._http_pid = 0

    def send(self, endpoint: Endpoint, method: str, path: str, model: str, payload: dict[str, Any] | None) -> Any:
        """Make one request; return the parsed body of a good answer.

        Raises:
            Transient: No answer, or one that is worth another try.
            ModelUnavailable: An answer that asks not to try again.
            ModelRefused: The endpoint said no.
        """
        where = endpoint.base_url
        key = key_of(endpoint)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            response = self._client().request(method, where + path, json=payload, headers=headers)
        except httpx.RequestError as error:
            said = body.without(key, str(error) or type(error).__name__)
            began = not isinstance(error, _NEVER_SENT)
            raise Transient(f"{model} at {where}: {said}", hint=_hint(endpoint), may_have_run=began) from None
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
            raise Transient(f"{model} at {where}: the answer is not JSON", may_have_run=True)
        return answer

    def persist(self, attempt: Callable[[], Answer], *, share: float = 0.5) -> tuple[Answer, int]:
        """Make an attempt until there is an answer or the tries are used up; return it and the tries it took.

        Args:
            attempt: Makes one try.
            share: The part of a task's time limit after which no try begins.

        Raises:
            ModelUnavailable: No answer, after bounded retries.
            ModelRefused: As the attempt.
        """
        tries = 0
        try:
            for trial in stamina.retry_context(
                on=_wait_before_retry,
                attempts=self._settings.transport_tries,
                timeout=self._settings.task_time_limit_s * share,
                wait_initial=0.5,
                wait_max=20.0,
                wait_jitter=1.0,
            ):
                with trial:
                    tries = trial.num
                    return attempt(), tries
        except Transient as fault:
            raise ModelUnavailable(
                f"{fault.message} ({tries} {'try' if tries == 1 else 'tries'})",
                hint=fault.hint,
                retry_after_s=fault.retry_after_s,
            ) from None
        raise AssertionError("a retry context ends by a return or an exception")

    def close(self) -> None:
        """Close the connections of this process."""
        with self._lock:
            if self._http is not None and self._http_pid == os.getpid():
                self._http.close()
            self._http = None

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


def key_of(endpoint: Endpoint) -> str:
    """The key of an endpoint in the clear; empty where it wants none."""
    return endpoint.api_key.get_secret_value() if endpoint.api_key else ""


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
    if endpoint.name == EMBEDDED:
        return "Start the embedded model server with `replay models serve`."
    return f"Check that the endpoint runs, and its address ({endpoint.name})." if endpoint.name else ""
