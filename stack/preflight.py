"""What the local stack needs before a start is worth trying: told at once, not by four failed starts and a log."""

from __future__ import annotations

from collections.abc import Collection

from broker.signing import Keyring
from replay.contracts import Tier
from replay.errors import ModelFileError
from replay.settings import Settings


def check_needs(settings: Settings, wanted: Collection[str]) -> None:
    """Look for the model files and the corpus that these programs need, and for settings that would stop them.

    Raises:
        ConfigurationError: A model's endpoint or key is missing or cannot be used, the gate has no such rule, or
            the key of messages is none.
        CorpusError: There is no corpus for the local worker.
        ModelFileError: The file of an embedded model is not here.
    """
    # What only a start needs; who asks for the status of what was started loads this module too.
    from replay.corpus import snapshot  # noqa: PLC0415
    from replay.gate import gate_without  # noqa: PLC0415
    from replay.models import catalogue, files, routing  # noqa: PLC0415

    gate_without(settings.gate_rules_off)
    Keyring.of(settings)
    for tier in Tier:
        name = routing.embedded_model(tier, settings)
        if name is not None and f"model-{tier}" in wanted:
            model = catalogue.find(name)
            if not files.is_ready(model, settings.cache_dir):
                raise ModelFileError(
                    f"The file of {model.name} is not in {settings.cache_dir}.",
                    hint="Fetch it with `replay models pull`, or set REPLAY_BASE_URL to an endpoint of your own.",
                )
    if "worker-local" in wanted and snapshot.current_version(settings.corpus_dir) is None:
        snapshot.load(settings.corpus_dir)  # raises, and says how to build one
