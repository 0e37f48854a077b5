"""Identity: canonical bytes and derived ids."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay import identity

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_canonical_json_is_one_form_and_loses_nothing(value: object) -> None:
    """Reading the bytes back and writing them again gives the same bytes."""
    try:
        written = identity.canonical_json(value)
    except UnicodeEncodeError:
        return  # a lone surrogate has no UTF-8 form
    assert identity.canonical_json(json.loads(written)) == written


def test_key_order_does_not_matter_and_content_does() -> None:
    """The digest is of the value, not of its spelling."""
    assert identity.digest({"a": 1, "b": 2}) == identity.digest({"b": 2, "a": 1}) != identity.digest({"a": 1, "b": 3})


def test_not_a_number_is_refused() -> None:
    """NaN has no canonical form."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        identity.canonical_json(float("nan"))


def test_ids_are_stable_for_ever() -> None:
    """These bytes are in logs already written; a change here would orphan them."""
    hashed = identity.task_hash("x", ())
    assert hashed == "sha256:04735b80e39b9d72e6543743b411820d22fc09b72dae49af44b6ee656c838d5b"
    run = identity.run_id("batch_1", "c", hashed)
    assert run == "run_82ae7be9647b4e72d8012858"
    assert identity.attempt_id(run, "local", 0) == "att_86ebf7380e91a936d8cf0312"
    assert len({identity.attempt_id(run, tier, repeat) for tier in ("local", "escalation") for repeat in (0, 1)}) == 4
