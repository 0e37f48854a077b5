"""The memory of answers that all workers share (`replay.reuse`): what was asked before is not asked again.

A table of a fixed number of places, each a string that expires. A question has one place, by its digest; another one
that has the same place takes it over. So the memory is bounded by its making: no list of what is in it, no eviction, no
script. Losing any of it costs a generation and nothing else; so does a broker that is gone or full.
"""

from __future__ import annotations

import logging
from typing import Any

import redis
from pydantic import ValidationError
from redis.exceptions import RedisError

from broker.signing import UNSIGNED, Keyring
from replay import identity
from replay.contracts import Message, Tier
from replay.models.breaker import Target, chain
from replay.reuse import Memory, NoMemory, Question, Remembered
from replay.settings import Settings

logger = logging.getLogger(__name__)

PREFIX = "replay.answers"
MAX_BYTES = 16 * 1024


class _Kept(Message):
    """What lies in a place."""

    digest: str
    answer: Remembered


class Answers:
    """Answers by question, model, endpoint and sampling.

    Args:
        client: The broker.
        settings: Which models are asked and how, and how much is kept.
        keyring: Signs what is kept; what bears no good signature is not read.
    """

    def __init__(self, client: redis.Redis, settings: Settings, keyring: Keyring = UNSIGNED) -> None:
        self._client = client
        self._settings = settings
        self._keyring = keyring
        self._first: dict[Tier, Target] = {}

    @classmethod
    def of(cls, client: redis.Redis, settings: Settings, keyring: Keyring = UNSIGNED) -> Memory:
        """The memory that the settings want."""
        return cls(client, settings, keyring) if settings.result_cache else NoMemory()

    def recall(self, question: Question) -> Remembered | None:
        """The answer that the model which would be asked first has given to this question, if it is known."""
        digest = self._digest(question)
        try:
            # No more than may be there, whatever is there.
            found: Any = self._client.getrange(self._place(digest), 0, MAX_BYTES)
        except RedisError as error:
            logger.warning("no answer is looked up: %s", error)
            return None
        return self._read(digest, question.tier, found) if found else None

    def keep(self, question: Question, remembered: Remembered) -> None:
        """Remember an answer of the model that is asked first; one of a fallback is nobody's second choice."""
        digest = self._digest(question)
        if not self._is_of(self._target(question.tier), remembered):
            return
        body = identity.canonical_json({"digest": digest, "answer": remembered.wire()})
        value = (self._keyring.sign(PREFIX, digest, body) or "").encode() + b"\n" + body
        if len(value) > MAX_BYTES:
            return
        try:
            self._client.set(self._place(digest), value, ex=self._settings.result_cache_ttl_s)
        except RedisError as error:
            logger.warning("an answer is not kept for others: %s", error)

    def _read(self, digest: str, tier: Tier, value: bytes) -> Remembered | None:
        signature, _, body = value.partition(b"\n")
        told = signature.decode("ascii", "replace") or None
        if len(value) > MAX_BYTES or self._keyring.fault(PREFIX, digest, body, told) is not None:
            return None
        try:
            kept = _Kept.model_validate_json(body)
        except ValidationError:
            return None
        # Another question may have the same place.
        if kept.digest != digest or not self._is_of(self._target(tier), kept.answer):
            return None
        return kept.answer

    def _digest(self, question: Question) -> str:
        settings, target = self._settings, self._target(question.tier)
        return identity.digest(
            {
                "tier": question.tier,
                "task": question.task_hash,
                "corpus": question.corpus_version,
                "prompt": question.prompt_hash,
                "gate": question.gate_version,
                "target": target.name,
                "sampling": [settings.temperature, settings.seed, settings.max_tokens],
            }
        )

    def _place(self, digest: str) -> str:
        return f"{PREFIX}:{int(digest[-16:], 16) % self._settings.result_cache_entries}"

    def _target(self, tier: Tier) -> Target:
        # The settings of a process do not change.
        if tier not in self._first:
            self._first[tier] = chain(tier, self._settings)[0]
        return self._first[tier]

    @staticmethod
    def _is_of(target: Target, remembered: Remembered) -> bool:
        generation = remembered.generation
        return (generation.model, generation.endpoint) == (target.model, target.endpoint.base_url)
