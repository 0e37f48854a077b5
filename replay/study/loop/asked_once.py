"""The same question is asked once in a study: at temperature 0 its answer is the same in every arm and round.

Five arms over several rounds ask mostly what was asked before: the frozen arm nothing else, the others wherever
admission has not changed the bundle. So each answer is kept beside the study, under the digest of all that the model
was given, and the study costs what its arms differ in. Tokens and seconds are counted as they were when it was asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from replay import identity
from replay.contracts import Generation, Tier
from replay.identity import canonical_json
from replay.pipeline import Generator


class AskedOnce:
    """A generator that remembers in a file what it was told, also from one start to the next.

    Args:
        asked: Who answers what was not asked yet.
        models: The model of each tier, and whatever else of the sampling makes another answer.
        path: Where answers are kept, one JSON object a line.
    """

    def __init__(self, asked: Generator, models: Sequence[object], path: Path) -> None:
        self._asked = asked
        self._models = models
        self._known = _read(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("ab")
        if self._file.tell() and not path.read_bytes().endswith(b"\n"):
            self._file.write(b"\n")  # a line that a kill has torn stays alone

    def generate(self, tier: Tier, messages: list[dict[str, str]], schema: dict[str, Any]) -> Generation:
        """Return what is known for the very same question, or ask.

        Raises:
            ModelUnavailable: No answer; nothing is kept.
            ModelRefused: The endpoint said no; nothing is kept.
        """
        question = identity.digest({"tier": tier, "messages": messages, "schema": schema, "models": list(self._models)})
        if question not in self._known:
            answer = self._asked.generate(tier, messages, schema)
            kept = {"question": question, "generation": answer.model_dump(mode="json")}
            self._file.write(canonical_json(kept) + b"\n")
            self._file.flush()
            self._known[question] = answer
        return self._known[question]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _read(path: Path) -> dict[str, Generation]:
    known = {}
    for line in path.read_bytes().split(b"\n") if path.exists() else []:
        try:
            kept = json.loads(line)
            known[str(kept["question"])] = Generation.model_validate(kept["generation"])
        except (ValueError, KeyError, TypeError, ValidationError):
            continue  # torn, and so asked again
    return known
