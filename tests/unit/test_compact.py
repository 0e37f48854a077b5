from __future__ import annotations

from replay.compact import FirstNumbers, TextSet


def test_a_set_knows_what_is_in_it_and_nothing_else() -> None:
    """Many texts share each bucket, and none is taken for another."""
    count = 60_000
    texts = TextSet(f"run_{number}" for number in range(count))
    assert len(texts) == count
    assert not texts.add("run_7")
    assert all(f"run_{number}" in texts for number in range(count))
    assert not any(f"run_{number}" in texts for number in range(count, 2 * count))
    assert 7 not in texts


def test_sets_are_compared_by_what_is_in_them() -> None:
    """With each other, whatever the order, and with Python's own."""
    assert TextSet(["a", "b"]) == TextSet(["b", "a", "a"])
    assert TextSet(["a", "b"]) != TextSet(["a", "c"])
    assert TextSet(["a", "\ud800"]) == {"\ud800", "a"}
    assert TextSet(["a"]) != {"a", "b"}
    assert TextSet(["a"]) != 1


def test_the_first_number_of_a_text_stays() -> None:
    """What comes again is told where it came first; numbers beyond four bytes are kept whole."""
    numbers = FirstNumbers()
    assert [numbers.put(f"line-{number}", number + 2**33) for number in range(30_000)] == [None] * 30_000
    assert [numbers.put(f"line-{number}", 1) for number in range(30_000)] == [n + 2**33 for n in range(30_000)]
