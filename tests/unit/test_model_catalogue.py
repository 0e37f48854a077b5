"""The embedded models' facts."""

from __future__ import annotations

import pytest

from replay.contracts import Tier
from replay.errors import InputError
from replay.models.catalogue import catalogue, find
from replay.settings import EMBEDDED_ESCALATION, EMBEDDED_LOCAL


def test_holds_the_pair_that_the_settings_name() -> None:
    """One model for each tier, under the names of the settings."""
    assert {model.tier: model.name for model in catalogue()} == {
        Tier.LOCAL: EMBEDDED_LOCAL,
        Tier.ESCALATION: EMBEDDED_ESCALATION,
    }


def test_finds_a_model_by_name_and_by_tier() -> None:
    """The command line takes either."""
    assert find("local") is find(EMBEDDED_LOCAL)


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    """A mistyped name is not a dead end."""
    with pytest.raises(InputError) as caught:
        find("gpt-2")
    assert EMBEDDED_LOCAL in caught.value.hint


def test_parts_are_pinned_and_numbered_from_first_to_last() -> None:
    """Each part is one version of one package and one file in its wheel."""
    parts = find("escalation").parts
    assert parts.numbers == range(1, 23)
    assert parts.requirement(3).endswith("-part3==0.2.0")
    assert parts.member(3).endswith("/data/part03.bin")
