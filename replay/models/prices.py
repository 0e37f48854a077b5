"""What a model's tokens cost, by `REPLAY_ESCALATION_PRICES`.

Amounts are counted in billionths of the currency: a whole number for each token at any usual price, so that sums are
exact wherever they are made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from replay.errors import ConfigurationError

_BILLION = 1_000_000_000
_HINT = "Set it to MODEL=PROMPT/COMPLETION,… in money for a million tokens, e.g. vendor/model=0.5/1.5"

# The name under which a price stands that is that of every model without one of its own.
ANY = ""


@dataclass(frozen=True)
class Price:
    """Money for a million tokens: read, and written."""

    prompt: float
    completion: float

    def nano(self, prompt_tokens: int, completion_tokens: int) -> int:
        """What a call costs, in billionths, rounded up."""
        return math.ceil(round((self.prompt * prompt_tokens + self.completion * completion_tokens) * 1000, 6))


def parse(text: str) -> dict[str, Price]:
    """Prices by model.

    Raises:
        ConfigurationError: The text is no list of prices.
    """
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        model, _, numbers = part.rpartition("=")
        prompt, slash, completion = numbers.partition("/")
        try:
            price = Price(float(prompt), float(completion))
        except ValueError:
            slash = ""
        if not slash or not all(math.isfinite(n) and n >= 0 for n in (price.prompt, price.completion)):
            raise ConfigurationError(f"REPLAY_ESCALATION_PRICES: {part!r} is no price", hint=_HINT)
        found[model.strip()] = price
    return found


def of(model: str, known: Mapping[str, Price]) -> Price | None:
    """The price of a model, or that of all, or None."""
    return known.get(model) or known.get(ANY)


def nano(money: float) -> int:
    """An amount in billionths."""
    return round(money * _BILLION)


def money(billionths: float) -> float:
    """An amount as people say it."""
    return billionths / _BILLION
