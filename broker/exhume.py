"""Taking a letter off the dead queue: its message goes back to work, or nowhere, and the evidence says who did it."""

from __future__ import annotations

from typing import Any, cast

import redis

from broker import starts
from broker.claims import KEEP, MOVED_BACK, Push
from broker.evidence_stream import FIELD, SIGNATURE, signature_of
from broker.signing import UNSIGNED, Keyring
from replay.topology import EVIDENCE_STREAM, Queue

_TAKE = (
    KEEP
    + """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
keep(KEYS[2], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
if ARGV[6] ~= '' then
  redis.call('DEL', KEYS[4])
  redis.call('LPUSH', KEYS[3], ARGV[6])
  redis.call('INCR', KEYS[5])
end
return 1"""
)


def take(
    client: redis.Redis,
    item: bytes,
    action: bytes,
    *,
    message: Push | None = None,
    attempt_id: str = "",
    keyring: Keyring = UNSIGNED,
) -> bool:
    """Take a letter off the dead queue in one step with what comes of it; False if somebody else has taken it.

    Args:
        client: The broker.
        item: The letter's bytes on the dead queue.
        action: The record of what is done, for the evidence.
        message: What goes to which queue instead; None where nothing does.
        attempt_id: The attempt that this message asks for: its starts are forgotten.
        keyring: Signs the record.
    """
    back = message or Push(Queue.DEAD.value, b"")
    keys = [Queue.DEAD.value, EVIDENCE_STREAM, back.list_name, starts.key(attempt_id), MOVED_BACK]
    args: list[Any] = [item, FIELD, action, SIGNATURE, signature_of(action, keyring) or "", back.message]
    return bool(cast("int", client.register_script(_TAKE)(keys=keys, args=args)))
