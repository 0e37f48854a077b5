"""`replay corpus embed`."""

from __future__ import annotations

import dataclasses
import os

from cli.corpus.bar import CorpusBar
from cli.output import console
from replay.corpus import embed as embedding_run
from replay.errors import ConfigurationError
from replay.models import embedding
from replay.settings import Settings


def embed(as_json: console.AsJson = False) -> None:
    """Give the records of the corpus their vectors, for hybrid retrieval (REPLAY_EMBEDDINGS).

    Only records that have none are embedded, and an interrupted run goes on where it was. Workers that serve with
    vectors take up a new version once this has ended.

    Example: replay corpus embed, with REPLAY_EMBEDDINGS=local in the environment
    """
    settings = Settings()
    embedder = embedding.of(settings, threads=os.cpu_count() or 1)
    if embedder is None:
        raise ConfigurationError(
            "Hybrid retrieval is off: REPLAY_EMBEDDINGS is not set.",
            hint=f"Set it to `{embedding.LOCAL}`, or to the address of an endpoint such as http://localhost:11434/v1.",
        )
    with CorpusBar() as bar:
        done = embedding_run.embed(settings.corpus_dir, embedder, bar)
    if as_json:
        console.print_json(dataclasses.asdict(done))
        return
    console.out.print(
        f"embedded {done.embedded:,} of {done.records:,} records in {done.vectors:,} vectors of {done.embedder}; "
        f"corpus {done.version}",
        soft_wrap=True,
    )
