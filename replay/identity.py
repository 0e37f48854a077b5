"""Content-derived identity: the same thing has the same id on every machine, in every process, in every year.

Changing `canonical_json` changes every hash in every log ever written, so it does not change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

Json = Any  # a recursive JSON type would force a cast at every dump of a message


def canonical_json(value: Json) -> bytes:
    """The one byte form of a JSON value: sorted keys, no spaces, UTF-8, no NaN.

    Raises:
        ValueError: A float is NaN or infinite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Json) -> str:
    """SHA-256 of the canonical form, tagged with the algorithm: `sha256:` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()


def task_hash(text: str, checklist: Sequence[str]) -> str:
    """Identity of what is asked, whoever asks it and in whatever batch."""
    return digest({"text": text, "checklist": list(checklist)})


def batch_id(run_keys: Sequence[tuple[str, str]], nonce: str) -> str:
    """Identity of a submission: its (custom_id, task_hash) pairs in order, and a nonce for a deliberate repeat."""
    return "batch_" + digest({"runs": [list(key) for key in run_keys], "nonce": nonce})[7:23]


def run_id(batch: str, custom_id: str, hashed_task: str) -> str:
    """Identity of one task within one batch; enqueuing it twice is enqueuing it once."""
    return "run_" + digest({"batch": batch, "custom_id": custom_id, "task": hashed_task})[7:31]


def attempt_id(run: str, tier: str, repeat: int) -> str:
    """Identity of one generation of a run: the idempotency key of the evidence log."""
    return "att_" + digest({"run": run, "tier": tier, "repeat": repeat})[7:31]
