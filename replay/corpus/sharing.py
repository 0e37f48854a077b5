"""Passages that several sources share: one record, which names all of them, so that no task is shown it twice.

Its origin is the first of them by name, and `also` names the others as `ORIGIN/ID`. So the record depends on nothing
but which sources have the passage, in whatever order they were read; it goes when the last of them does.
"""

from __future__ import annotations

from collections.abc import Collection

from replay.contracts import Record


def origins_of(record: Record) -> frozenset[str]:
    """All sources that a passage comes from."""
    return frozenset((record.origin, *(name.removesuffix(f"/{record.record_id}") for name in record.also)))


def with_origins(record: Record, origins: Collection[str]) -> Record:
    """The passage as it comes from these sources."""
    first, *others = sorted(origins)
    return record.model_copy(
        update={"origin": first, "also": tuple(f"{origin}/{record.record_id}" for origin in others)}
    )


def is_same(one: Record, other: Record) -> bool:
    """Are two records of one id one passage, wherever they come from?"""
    unsaid = {"origin": "", "also": ()}
    return one.model_copy(update=unsaid) == other.model_copy(update=unsaid)
