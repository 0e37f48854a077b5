"""What was spent before a broker lost its data, found again in the evidence.

Done by who reads the log, once for each count: it adds what the index knows of the same period before the count began.
Retries and probes leave no record, so of these nothing is found; what the evidence does not know was not spent by it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

import redis

from broker.limits import budget
from broker.limits.bounds import Period
from broker.limits.budget import Spent
from evidence.reader import EvidenceReader
from replay.contracts import Tier
from replay.models import prices
from replay.models.prices import Price
from replay.settings import Settings

logger = logging.getLogger(__name__)

_DAY_S = 86400


def recount(client: redis.Redis, settings: Settings, tier: Tier = Tier.ESCALATION) -> bool:
    """Complete the counts of what a lane has spent, where that was not done yet; False where it was, or cannot be.

    Both of them, of the day and of all: the workers' settings say which of the two is limited, and need not be at hand.

    Raises:
        RedisError: The broker does not answer.
        ConfigurationError: The prices cannot be read.
        EvidenceDamaged: The log cannot be read.
    """
    known = prices.parse(settings.escalation_prices)
    completed = [_complete(client, settings, tier, period, known) for period in Period]
    return any(completed)


def _complete(client: redis.Redis, settings: Settings, tier: Tier, period: Period, known: Mapping[str, Price]) -> bool:
    count = budget.opened(client, tier, period)
    if count.recounted or not settings.evidence_log.exists():
        return False
    since = float(count.since)
    begin = since - since % _DAY_S if period is Period.DAY else 0.0
    earlier = Spent()
    for used in EvidenceReader(settings.evidence_log).usage(tier, _iso(begin), _iso(since)):
        price = prices.of(used.model, known)
        cost = 0 if price is None else price.nano(used.prompt_tokens, used.completion_tokens)
        earlier += Spent(used.calls, used.prompt_tokens + used.completion_tokens, cost)
    added = budget.add_earlier(client, tier, period, count, earlier)
    if added and earlier.calls:
        logger.info("%s: %d calls (%s) are in the evidence, and count", tier, earlier.calls, period)
    return added


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
