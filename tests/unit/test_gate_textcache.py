"""What the gate keeps from one judgement to the next: what it would make again, in bounded memory."""

from __future__ import annotations

from replay.gate.textcache import TextCache, per_text


def _counting(most: int) -> tuple[TextCache[int], list[str]]:
    made: list[str] = []

    def make(text: str) -> int:
        made.append(text)
        return len(text)

    return TextCache(make, most), made


def test_what_was_made_is_not_made_again() -> None:
    """A text is worked on once, however often it comes while it is remembered."""
    length, made = _counting(100)
    assert [length("abc"), length("de"), length("abc"), length("abc")] == [3, 2, 3, 3]
    assert made == ["abc", "de"]


def test_characters_are_bounded_whatever_comes() -> None:
    """Of a stream of texts no more than twice the bound is kept, and every answer is right."""
    length, _ = _counting(100)
    for number in range(1, 500):
        text = str(number) * (number % 40)
        assert length(text) == len(text)
        assert sum(map(len, {*length._younger, *length._older})) <= 200


def test_what_is_asked_for_again_outlives_what_is_not() -> None:
    """A text that keeps coming is kept while others pass by once."""
    length, made = _counting(100)
    for number in range(200):
        length("again and again")
        length(f"once: {number:05}")
    assert made.count("again and again") == 1


def test_a_text_longer_than_the_bound_is_not_kept() -> None:
    """One huge text pushes nothing out, and is made anew."""
    length, made = _counting(10)
    assert [length("small"), length("x" * 11), length("x" * 11), length("small")] == [5, 11, 11, 5]
    assert made == ["small", "x" * 11, "x" * 11]


def test_nothing_is_an_answer_too() -> None:
    """An answer that is false is remembered like any other."""
    made: list[str] = []

    @per_text(100)
    def nothing(text: str) -> None:
        made.append(text)

    nothing("a")
    nothing("a")
    assert made == ["a"]
