"""What a command needs only as long as it runs: programs of the stack, and an engine in this process.

The engine is for audits without queues, `replay run --in-process` and `replay ab`. Evidence still has one writer: where
one is at work the records go to its stream, otherwise this process takes the log's lock itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

from broker import evidence_stream
from broker.connection import connect
from broker.signing import Keyring
from cli.output import console
from cli.stack import show_step
from evidence.log import EvidenceLog
from replay import pipeline
from replay.contracts import ReplayRun, Tier
from replay.corpus import fusion
from replay.corpus.retrieval import CurrentRetriever
from replay.errors import BrokerUnavailable, EvidenceLocked, UnavailableError
from replay.gate import gate_without
from replay.identity import canonical_json
from replay.models import catalogue, files
from replay.models.client import ModelClient
from replay.models.routing import embedded_model
from replay.prompting import PromptLimits
from replay.settings import Settings
from stack import supervise

_HURRY_S = 5.0


@contextmanager
def engine(settings: Settings, tiers: Sequence[Tier]) -> Iterator[pipeline.Engine]:
    """An engine whose models answer; embedded servers that do not run yet are started, and stopped at the end.

    What ran before goes on.
    """
    retriever = CurrentRetriever(settings.corpus_dir, settings, fusion.configured(settings))
    fetch_models(settings, tiers)
    with (
        started(settings, [f"model-{tier.value}" for tier in tiers if embedded_model(tier, settings)]),
        closing(ModelClient(settings)) as client,
    ):
        yield pipeline.Engine(
            retriever,
            client,
            PromptLimits(exemplars=settings.exemplars_shown),
            gate_without(settings.gate_rules_off),
            ask_anyway=settings.escalate_undecidable,
        )


@contextmanager
def started(settings: Settings, programs: Collection[str] | None = None) -> Iterator[None]:
    """Start what is missing of the stack, and at the end stop exactly that; what ran before goes on.

    After Ctrl-C programs get five seconds; what they work on is handed back to its queue and made anew by the next run.

    Args:
        settings: Which stack.
        programs: Names of what is needed of it; None: all, and what runs already must have these settings.
    """
    known = supervise.status(settings)
    running = {program.name for program in known if program.pid is not None}
    missing = ({program.name for program in known} if programs is None else set(programs)) - running

    def stop(grace_s: float | None) -> None:
        if running:
            supervise.stop(settings, missing, grace_s=grace_s, on_step=show_step)
        else:
            supervise.down(settings, grace_s=grace_s, on_step=show_step)

    if missing or programs is None:
        try:
            supervise.up(settings, None if programs is None else missing, on_step=show_step)
        except BaseException:
            # Where nothing ran before, `up` has stopped by itself what it had started.
            if running:
                with suppress(UnavailableError):
                    stop(_HURRY_S)
            raise
    grace_s = None
    try:
        yield
    except KeyboardInterrupt:
        grace_s = _HURRY_S
        raise
    finally:
        if missing:
            stop(grace_s)


def keep(settings: Settings, run: ReplayRun) -> None:
    """Make evidence of an attempt that was made here.

    Raises:
        EvidenceLocked: A writer holds the log, but no broker leads to it.
    """
    keep_record(settings, run.wire())


def keep_record(settings: Settings, record: dict[str, Any]) -> None:
    """Make evidence of a record: through the writer, where one is at work.

    Raises:
        EvidenceLocked: As `keep`.
    """
    keep_records(settings, [record])


def keep_records(settings: Settings, records: Sequence[dict[str, Any]]) -> None:
    """Make evidence of records, in their order, as `keep_record` does.

    Raises:
        EvidenceLocked: As `keep`.
    """
    try:
        with EvidenceLog.of(settings) as log:
            log.append(records)
    except EvidenceLocked as locked:
        try:
            with connect(settings) as broker:
                for record in records:
                    evidence_stream.append(broker, canonical_json(record), Keyring.of(settings))
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
