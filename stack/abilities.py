"""What each tier's endpoint can do: asked with one short generation, since servers do not say it of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from replay.contracts import Tier
from replay.errors import ModelRefused, ModelUnavailable
from replay.models import routing, slots
from replay.models.breaker import Target
from replay.models.client import ModelClient
from replay.settings import Settings
from stack.finding import Finding, ok, warn

_PATIENCE_S = 30.0


def abilities(settings: Settings) -> Iterator[Finding]:
    """Does each endpoint obey a JSON schema, does its model think aloud, how many slots has it?

    An endpoint that does not answer is left out: the group `models` tells of it. OpenRouter is not asked: it costs.
    """
    hurried = settings.model_copy(
        update={
            "connect_timeout_s": min(settings.connect_timeout_s, 5.0),
            "read_timeout_s": min(settings.read_timeout_s, _PATIENCE_S),
            "transport_tries": 1,
        }
    )
    with closing(ModelClient(hurried)) as client:
        for tier in Tier:
            model = routing.model_for(tier, settings)
            endpoint = routing.route(model, tier, settings)
            name = f"abilities, {tier}"
            if endpoint.name == routing.OPENROUTER:
                yield ok(name, f"{model} at OpenRouter is not asked, since an answer costs")
                continue
            if not client.health(endpoint, model).ok:
                continue
            try:
                found = client.abilities(tier, Target(model, endpoint))
            except (ModelUnavailable, ModelRefused) as error:
                yield warn(name, error.message, error.hint or "Look at the log of that server.")
                continue
            count = slots.total(endpoint)
            width = f", {count} slots" if count else ", it does not say how many slots it has"
            quiet = ", told not to think aloud" if found.silences_reasoning else ""
            if found.json_schema:
                yield ok(name, f"obeys JSON schemas{quiet}{width}")
            else:
                mend = "The same form is asked for in text, and more replies will miss it: use a server with schemas."
                yield warn(name, f"ignores JSON schemas{quiet}{width}", mend)
