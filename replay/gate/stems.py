"""English words without their inflections."""

from __future__ import annotations

import re
from functools import lru_cache

_IRREGULAR = {
    form: base
    for base, forms in {
        "begin": "began begun beginning",
        "bind": "bound",
        "break": "broke broken",
        "build": "built",
        "choose": "chose chosen",
        "fall": "fell fallen",
        "find": "found",
        "forbid": "forbade forbidden",
        "freeze": "froze frozen",
        "get": "got gotten getting",
        "give": "gave given",
        "grow": "grew grown",
        "hide": "hid hidden",
        "hold": "held",
        "keep": "kept",
        "know": "knew known",
        "leave": "left",
        "lose": "lost losing",
        "make": "made",
        "mean": "meant",
        "meet": "met",
        "run": "ran",
        "send": "sent",
        "show": "shown",
        "shrink": "shrank shrunk",
        "speak": "spoke spoken",
        "spend": "spent",
        "take": "took taken",
        "tell": "told",
        "throw": "threw thrown",
        "write": "wrote written",
    }.items()
    for form in forms.split()
}

_VOWEL = re.compile("[aeiouy]")


@lru_cache(maxsize=1 << 16)  # pure, and the same words come again and again
def stem(word: str) -> str:
    """A lower-case word without its inflection: `creates`, `created` and `creating` give one stem.

    Suffix stripping after M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, reduced to the
    inflections of nouns and verbs: derived words (`creation`) are other words here.
    """
    if word in _IRREGULAR:
        word = _IRREGULAR[word]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-3] + "y" if word.endswith("ies") and len(word) > 4 else word[:-1]
        if word.endswith(("sse", "she", "che", "xe", "zze")):
            word = word[:-1]
    for ending in ("ing", "ied", "ed"):
        rest = word[: -len(ending)]
        if word.endswith(ending) and not word.endswith("eed") and len(rest) >= 3 and _VOWEL.search(rest):
            word = rest + "y" if ending == "ied" else rest
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiou":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word
