"""The upstream source of a model file: Hugging Face over plain HTTP, resumed by byte range."""

from __future__ import annotations

from pathlib import Path

import httpx

from replay.errors import ModelFileError
from replay.models.catalogue import EmbeddedModel
from replay.models.progress import Progress

HUB = "https://huggingface.co"
ANSWER_WITHIN_S = 3.0
TRIES = 4
_CHUNK = 1 << 20


class HuggingFace:
    """Fetches a model file from its upstream repository.

    Args:
        transport: Replaces the network, for tests.
    """

    label = "Hugging Face"

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        self._transport = transport

    def answers(self, model: EmbeddedModel) -> bool:
        """Does the hub know the file, and say so within 3 seconds?"""
        half = ANSWER_WITHIN_S / 2  # connecting and reading are bounded one by one
        try:
            with self._client(httpx.Timeout(half)) as client:
                # A redirect to the store behind the hub is a yes: it is followed only to fetch.
                return client.head(_url(model), follow_redirects=False).status_code < 400
        except httpx.HTTPError:
            return False

    def room(self, model: EmbeddedModel, folder: Path) -> int:
        """Bytes that are still needed."""
        return max(0, model.bytes - _size(_partial(model, folder)))

    def fetch(self, model: EmbeddedModel, folder: Path, progress: Progress) -> Path:
        """Download the rest of the file; the result is not verified yet.

        Raises:
            ModelFileError: The hub refuses, or the connection broke too often.
        """
        partial = _partial(model, folder)
        progress.advance(_size(partial))
        trouble = ""
        with self._client(httpx.Timeout(30.0, connect=5.0)) as client:
            for _ in range(TRIES):
                try:
                    self._fetch_rest(client, model, partial, progress)
                except httpx.HTTPStatusError as error:
                    trouble = f"status {error.response.status_code}"
                    if error.response.status_code < 500 and error.response.status_code != 429:
                        break
                except httpx.HTTPError as error:
                    trouble = str(error) or type(error).__name__
                else:
                    if _size(partial) >= model.bytes:
                        return partial
                    trouble = f"it ended after {_size(partial)} of {model.bytes} bytes"
        raise ModelFileError(
            f"{model.file} cannot be fetched from {HUB}: {trouble}.",
            hint="Run the command again: it goes on where it stopped.",
        )

    def discard(self, model: EmbeddedModel, folder: Path) -> None:
        """Remove everything that a fetch left behind."""
        _partial(model, folder).unlink(missing_ok=True)

    def _fetch_rest(self, client: httpx.Client, model: EmbeddedModel, partial: Path, progress: Progress) -> None:
        have = _size(partial)
        if have >= model.bytes:
            return
        headers = {"Range": f"bytes={have}-"} if have else {}
        with client.stream("GET", _url(model), headers=headers, follow_redirects=True) as response:
            response.raise_for_status()
            resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
            if have and not resumed:
                progress.advance(-have)  # the server ignored the range: it sends the file from its first byte
            with partial.open("ab" if resumed else "wb") as target:
                for chunk in response.iter_bytes(_CHUNK):
                    target.write(chunk)
                    progress.advance(len(chunk))

    def _client(self, timeout: httpx.Timeout) -> httpx.Client:
        return httpx.Client(timeout=timeout, transport=self._transport)


def _url(model: EmbeddedModel) -> str:
    return f"{HUB}/{model.upstream}/resolve/main/{model.file}"


def _partial(model: EmbeddedModel, folder: Path) -> Path:
    return folder / f"{model.file}.partial"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
