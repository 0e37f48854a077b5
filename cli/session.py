"""An audit without queues: the engine in this process, its models served as long as they are needed.

Used by `replay run --in-process` and `replay ab`. Evidence still has one writer: where one is at work the records go
to its stream, otherwise this process takes the log's lock itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from broker import evidence_stream
from broker.connection import connect
from cli import console
from cli.stack import show_step
from evidence.log import EvidenceLog
from replay import pipeline
from replay.contracts import ReplayRun, Tier
from replay.corpus.retrieval import CurrentRetriever
from replay.errors import BrokerUnavailable, EvidenceLocked
from replay.identity import canonical_json
from replay.models import catalogue, files
from replay.models.client import ModelClient
from replay.models.routing import embedded_model
from replay.prompting import PromptLimits
from replay.settings import Settings
from stack import supervise


@contextmanager
def engine(settings: Settings, tiers: Sequence[Tier]) -> Iterator[pipeline.Engine]:
    """An engine whose models answer; embedded servers that do not run yet are started, and stopped at the end."""
    retriever = CurrentRetriever(settings.corpus_dir, settings)
    fetch_models(settings, tiers)
    started = _serve(settings, [f"model-{tier.value}" for tier in tiers if embedded_model(tier, settings)])
    client = ModelClient(settings)
    try:
        yield pipeline.Engine(retriever, client, PromptLimits(exemplars=settings.exemplars_shown))
    finally:
        client.close()
        if started:
            supervise.down(settings, on_step=show_step)


def keep(settings: Settings, runs: Sequence[ReplayRun]) -> None:
    """Make evidence of attempts that were made here.

    Raises:
        EvidenceLocked: A writer holds the log, but no broker leads to it.
    """
    records = [run.wire() for run in runs]
    try:
        with EvidenceLog.open(settings.evidence_log) as log:
            log.append(records)
    except EvidenceLocked as locked:
        try:
            with connect(settings) as broker:
                for record in records:
                    evidence_stream.append(broker, canonical_json(record))
        except BrokerUnavailable:
            raise locked from None


def fetch_models(settings: Settings, tiers: Sequence[Tier]) -> None:
    """Fetch the model files that are missing for the embedded ones of these tiers, with a progress bar."""
    for name in dict.fromkeys(embedded_model(tier, settings) for tier in tiers):
        if name is None or files.is_ready(model := catalogue.find(name), settings.cache_dir):
            continue
        bar = console.DownloadBar()
        try:
            files.ensure(model, settings.cache_dir, bar)
        finally:
            bar.done()


def _serve(settings: Settings, programs: list[str]) -> bool:
    running = {program.name for program in supervise.status(settings) if program.pid is not None}
    if not set(programs) - running:
        return False
    supervise.up(settings, programs, on_step=show_step)
    return not running
