"""Foreign text is spelt out where it would not be seen, or would steer what shows it."""

from __future__ import annotations

import json

import pytest

from replay.study.visible import json_line, one_line, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [b]text[/b]", "plain [b]text[/b]"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J\x7f\x00", r"\x9b2J\x7f\x00"),
        ("a\u202eb\u2066c\u200b", r"a\u202eb\u2066c\u200b"),
        ("\U000e0041", r"\U000e0041"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\u4f60\u3000\u597d\u00a0\u0645", "\u4f60\u3000\u597d\u00a0\u0645"),
        ("\ud800", r"\ud800"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    """Controls, marks of direction and unpaired surrogates; letters of every script stay."""
    assert visible(text) == shown
    assert visible(text + "\n", keep="\n") == (shown.replace(r"\n", "\n") + "\n")


def test_one_line_is_one_line_and_is_cut() -> None:
    """White space is levelled before the length counts."""
    assert one_line(" a \n\t b\x1b ") == r"a b\x1b"
    assert one_line("abcdef", 4) == "abc…"
    assert one_line("abcd", 4) == "abcd"


@pytest.mark.parametrize("text", ["\x1b\x9b\u202e", "\U000e0041 \u4f60", 'a"\\\x7f'])
def test_a_line_of_json_says_the_same_and_steers_nothing(text: str) -> None:
    """What is spelt out reads back as it was."""
    line = json_line({"text": text})
    assert json.loads(line) == {"text": text}
    assert line.isprintable()
