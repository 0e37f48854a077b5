"""Embedders: texts as vectors of unit length, so that texts of like meaning lie close where they share no word.

Off by default. What a vector is depends on the embedder alone, so its name is kept beside every vector and in every
bundle, and vectors of different names are never compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from replay.errors import ConfigurationError
from replay.models import routing
from replay.models.embedding_endpoint import EndpointEmbedder
from replay.models.embedding_local import LocalEmbedder
from replay.settings import Settings

LOCAL = "local"
"""The value of `REPLAY_EMBEDDINGS` that chooses the model of the `hybrid` extra."""


class Embedder(Protocol):
    """Turns texts into vectors."""

    @property
    def name(self) -> str:
        """The model, exactly enough that the same name means the same vectors."""
        ...

    @property
    def dimensions(self) -> int:
        """Numbers of each vector.

        Raises:
            ModelUnavailable: As `embed`, where it has to be asked for.
            ModelRefused: As `embed`.
        """
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of unit length for each text, in their order: shape (texts, dimensions).

        Raises:
            ModelUnavailable: No answer, after bounded retries.
            ModelRefused: The endpoint said no; a retry cannot help.
        """
        ...


def of(settings: Settings, *, threads: int = 1) -> Embedder | None:
    """The configured embedder; None where hybrid retrieval is off. Make it before a fork, and processes share it.

    Args:
        settings: `embeddings`, `embedding_model` and `embedding_api_key` are used, and the timeouts of models.
        threads: How many texts the local model computes at once.

    Raises:
        ConfigurationError: The settings name none that can be used, or a part of the installation is missing.
    """
    if not settings.embeddings:
        return None
    if settings.embeddings == LOCAL:
        return LocalEmbedder(threads=threads)
    if "://" not in settings.embeddings:
        raise ConfigurationError(
            f"REPLAY_EMBEDDINGS is neither `{LOCAL}` nor an address.",
            hint=f"Set it to `{LOCAL}`, to an address like http://localhost:11434/v1, or to nothing.",
        )
    if not settings.embedding_model:
        raise ConfigurationError(
            "REPLAY_EMBEDDINGS is the address of an endpoint, and no model of it is named.",
            hint="Set REPLAY_EMBEDDING_MODEL, for example to nomic-embed-text.",
        )
    return EndpointEmbedder(routing.embedding_endpoint(settings), settings.embedding_model, settings)
