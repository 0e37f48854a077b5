"""What a batch would take, from what earlier attempts in this data directory took; and what cannot be known is None.

Attempts of other tasks, on the same models as far as the evidence says: an estimate, and no promise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evidence import ledger
from evidence.ledger import Tokens
from evidence.reader import EvidenceReader
from replay.contracts import Tier
from replay.models import prices
from replay.models.routing import model_for
from replay.settings import Settings


@dataclass(frozen=True)
class Estimate:
    """What a number of tasks would take.

    Attributes:
        tasks: How many.
        may_escalate: How many of them the large model may be asked for.
        attempts: Measured attempts that this rests on; at 0 everything else is None.
        escalated_share: The share of local answers that went on to the large model.
        large_model_calls: So many tasks would.
        prompt_tokens: Of both tiers.
        completion_tokens: Of both tiers.
        model_seconds: Seconds of generation, one after the other.
        seconds: Until the end, at the rate at which runs ended lately; None where too few did.
        money: For the large model, in the currency of `escalation_prices`; None where it has no price.
    """

    tasks: int
    may_escalate: int
    attempts: int
    escalated_share: float | None = None
    large_model_calls: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    model_seconds: float | None = None
    seconds: float | None = None
    money: float | None = None

    @property
    def unknown(self) -> list[str]:
        """What cannot be known, and why, in words."""
        if not self.attempts:
            return ["tokens, seconds and money: no attempt was measured in this data directory yet"]
        words = []
        if self.large_model_calls is None:
            words.append("large-model calls and tokens: no answer of the local model was judged yet")
        elif self.large_model_calls and self.prompt_tokens is None:
            words.append("tokens and money: the large model was not measured yet")
        if self.seconds is None:
            words.append("seconds until the end: too few runs have ended lately to tell a rate")
        if self.money is None and self.prompt_tokens is not None:
            words.append("money: REPLAY_ESCALATION_PRICES has no price of the large model")
        return words


def estimate(tasks: int, may_escalate: int, settings: Settings) -> Estimate:
    """Say what so many tasks would take.

    Args:
        tasks: How many.
        may_escalate: How many of them the large model may be asked for.
        settings: Where the evidence is, and what tokens cost.

    Raises:
        ConfigurationError: The prices cannot be read.
    """
    found = ledger.measured(EvidenceReader(settings.evidence_log))
    local, large = (found.tokens.get(tier.value, Tokens()) for tier in Tier)
    attempts = local.attempts + large.attempts
    seconds = tasks / found.ends_per_s if found.ends_per_s else None
    if found.escalated is None or not local.attempts:
        return Estimate(tasks, may_escalate, attempts, seconds=seconds)
    calls = round(found.escalated * may_escalate)
    known = Estimate(tasks, may_escalate, attempts, found.escalated, calls, seconds=seconds)
    if calls and not large.attempts:
        return known
    parts = [(local, tasks / local.attempts), (large, calls / large.attempts if large.attempts else 0.0)]
    return Estimate(
        tasks=tasks,
        may_escalate=may_escalate,
        attempts=attempts,
        escalated_share=found.escalated,
        large_model_calls=calls,
        prompt_tokens=round(sum(took.prompt * times for took, times in parts)),
        completion_tokens=round(sum(took.completion * times for took, times in parts)),
        model_seconds=sum(took.generate_s * times for took, times in parts),
        seconds=seconds,
        money=cost(round(large.prompt * parts[1][1]), round(large.completion * parts[1][1]), settings, free=not calls),
    )


def cost(prompt_tokens: int, completion_tokens: int, settings: Settings, *, free: bool = False) -> float | None:
    """What tokens of the large model cost; None where it has no price.

    Args:
        prompt_tokens: Read.
        completion_tokens: Written.
        settings: With the prices.
        free: It is not asked at all.

    Raises:
        ConfigurationError: The prices cannot be read.
    """
    price = prices.of(model_for(Tier.ESCALATION, settings), prices.parse(settings.escalation_prices))
    if price is None:
        return None
    return 0.0 if free else prices.money(price.nano(prompt_tokens, completion_tokens))


def cost_of(by_model: Mapping[str, Tokens], settings: Settings) -> float | None:
    """What the attempts of the large models cost; None where one of them has no price.

    Raises:
        ConfigurationError: The prices cannot be read.
    """
    known = prices.parse(settings.escalation_prices)
    if not known:
        return None
    total = 0
    for model, took in by_model.items():
        price = prices.of(model, known)
        if price is None:
            return None
        total += price.nano(took.prompt, took.completion)
    return prices.money(total)
