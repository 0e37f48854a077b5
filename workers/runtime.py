"""What a worker process holds: the corpus, loaded once before the fork and shared, and what must be made after it."""

from __future__ import annotations

import os
from dataclasses import dataclass

import redis

from broker.answers import Answers
from broker.breaker import SharedBreaker
from broker.claims import Claims
from broker.connection import connect
from broker.hand_back import HandBack
from broker.limits.admission import SharedLimiter
from broker.signing import Keyring
from replay import tracing
from replay.contracts import Bundle, ReplayTask
from replay.corpus import fusion
from replay.corpus.retrieval import CurrentRetriever
from replay.gate import gate_without
from replay.models import prices
from replay.models.breaker import Breaker, Unbroken
from replay.models.client import ModelClient
from replay.models.limits import Limiter, Unlimited
from replay.pipeline import Engine, Retriever
from replay.prompting import PromptLimits
from replay.settings import Settings
from workers.handlers import Desk
from workers.traced import TracedGenerator, TracedRetriever

# Enough for a broker that restarts: the pauses between these tries add up to about ten seconds.
PATIENCE = 14


class SharedRetriever:
    """The corpus, loaded at most once: before the fork by a local worker, at first need by whoever else asks.

    Args:
        settings: Say where the corpus lies.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: Retriever | None = None

    def load(self) -> Retriever:
        """Return the index, loading it if it is not there yet.

        Raises:
            CorpusError: There is no corpus, or it is damaged.
        """
        if self._loaded is None:
            self._loaded = CurrentRetriever(
                self._settings.corpus_dir, self._settings, fusion.configured(self._settings)
            )
        return self._loaded

    def retrieve(self, task: ReplayTask) -> Bundle:
        """Return the bundle of a task."""
        return self.load().retrieve(task)


@dataclass(frozen=True)
class _Here:
    """What belongs to one process."""

    pid: int
    desk: Desk
    claims: Claims


class Runtime:
    """The parts of one worker.

    Args:
        settings: From the composition root.

    Raises:
        ConfigurationError: The gate is to leave out a rule that it has not, the prices cannot be read, or the key of
            messages is none.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.retriever = SharedRetriever(settings)
        # Made before the first task: met in each task, a mistake in it would end a whole batch.
        self._gate = gate_without(settings.gate_rules_off)
        prices.parse(settings.escalation_prices)
        self.keyring = Keyring.of(settings)
        # Of the model server, as it said when this worker started; 0: it was not asked, or does not say.
        self.slots = 0
        self._made: _Here | None = None

    @property
    def desk(self) -> Desk:
        """The handler's tools of this process."""
        return self._here().desk

    @property
    def claims(self) -> Claims:
        """The broker's side of this process's leases."""
        return self._here().claims

    def _here(self) -> _Here:
        # Connections do not survive a fork: every process makes its own, at its first task.
        if self._made is None or self._made.pid != os.getpid():
            client = connect(self.settings, patience=PATIENCE)
            limits = PromptLimits(exemplars=self.settings.exemplars_shown)
            model = ModelClient(self.settings, breaker=self._breaker(client), limiter=self._limiter(client))
            engine = Engine(
                TracedRetriever(self.retriever) if tracing.is_on() else self.retriever,
                TracedGenerator(model, self.settings) if tracing.is_on() else model,
                limits,
                self._gate,
                Answers.of(client, self.settings, self.keyring),
                self.settings.escalate_undecidable,
            )
            desk = Desk(client, engine, self.settings.max_starts, HandBack.of(client, self.settings), self.keyring)
            self._made = _Here(os.getpid(), desk, Claims(client, self.keyring))
        return self._made

    def _breaker(self, client: redis.Redis) -> Breaker:
        settings = self.settings
        if not settings.atomic_claim:
            # Its lanes have no doors: a task that was handed back would be here again at once.
            return Unbroken()
        return SharedBreaker(client, failures=settings.breaker_failures, pause_s=settings.breaker_pause_s)

    def _limiter(self, client: redis.Redis) -> Limiter:
        return SharedLimiter(client, self.settings) if self.settings.atomic_claim else Unlimited()
