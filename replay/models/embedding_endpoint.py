"""Vectors from an OpenAI-compatible endpoint: `POST /embeddings`, in batches, with the client's retries and faults."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from replay.errors import ModelRefused
from replay.models.connection import Connection
from replay.models.faults import Refused, Transient
from replay.models.routing import Endpoint
from replay.settings import Settings

BATCH_TEXTS = 64
BATCH_CHARACTERS = 64_000
"""About 16,000 tokens: a server on a CPU answers within the read timeout, one with a GPU is kept busy."""

_SHARE = 0.25  # of a task's time limit: the model that answers the task needs the rest
_HINTS = {
    401: "Check REPLAY_EMBEDDING_API_KEY.",
    404: "Check REPLAY_EMBEDDING_MODEL, and that the endpoint has it: `ollama pull NAME` for Ollama.",
}


class EndpointEmbedder:
    """Asks an endpoint for vectors.

    Args:
        endpoint: Where.
        model: Its name there, and the name of the vectors: a model behind a name such as `…:latest` may change
            without a sign, and then its new vectors do not fit those that are stored.
        settings: Timeouts, and how often a request is tried.
        transport: Replaces the network, for tests.
    """

    def __init__(
        self, endpoint: Endpoint, model: str, settings: Settings, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.name = model
        self._endpoint = endpoint
        self._connection = Connection(settings, transport=transport)
        self._dimensions = 0

    @property
    def dimensions(self) -> int:
        """Numbers of each vector; the endpoint is asked once, by embedding a word.

        Raises:
            ModelUnavailable: As `embed`.
            ModelRefused: As `embed`.
        """
        if not self._dimensions:
            self.embed(["dimensions"])
        return self._dimensions

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of unit length for each text, in their order.

        Raises:
            ModelUnavailable: No answer, after bounded retries.
            ModelRefused: The endpoint said no, or its vectors have another length than before.
        """
        parts = [self._connection.persist(partial(self._ask, batch), share=_SHARE)[0] for batch in _batches(texts)]
        return np.concatenate(parts) if parts else np.empty((0, self.dimensions), np.float32)

    def close(self) -> None:
        """Close the connections of this process."""
        self._connection.close()

    def _ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Make one try for a batch."""
        request = {"model": self.name, "input": list(texts), "encoding_format": "float"}
        try:
            answer = self._connection.send(self._endpoint, "POST", "/embeddings", self.name, request)
        except Refused as refused:
            refused.hint = _HINTS.get(refused.status, refused.hint)
            raise
        vectors = _vectors(answer, len(texts))
        if vectors is None:
            raise Transient(f"{self.name} at {self._endpoint.base_url}: the answer is no list of {len(texts)} vectors")
        if self._dimensions not in {0, vectors.shape[1]}:
            raise ModelRefused(
                f"{self.name} at {self._endpoint.base_url} answers with vectors of {vectors.shape[1]} numbers, and "
                f"answered with {self._dimensions} before.",
                hint="Check which model the endpoint serves, then start again.",
            )
        self._dimensions = vectors.shape[1]
        return vectors


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    start = characters = 0
    for at, text in enumerate(texts):
        if at > start and (at - start == BATCH_TEXTS or characters + len(text) > BATCH_CHARACTERS):
            yield texts[start:at]
            start, characters = at, 0
        characters += len(text)
    if start < len(texts):
        yield texts[start:]


def _vectors(answer: Any, count: int) -> NDArray[np.float32] | None:
    """The vectors of an answer in the order of their index, at unit length; None where they are not all there."""
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list) or len(data) != count:
        return None
    rows: dict[int, Any] = {}
    for place, entry in enumerate(data):
        index = entry.get("index", place) if isinstance(entry, dict) else None
        if isinstance(index, int):
            rows[index] = entry.get("embedding")
    try:
        found = np.array([rows[place] for place in range(count)], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        return None
    if found.ndim != 2 or not found.shape[1] or not np.isfinite(found).all():
        return None
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return (found / lengths).astype(np.float32) if lengths.all() else None
