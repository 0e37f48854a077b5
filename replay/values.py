"""Values in text, normalised so that the same value in another spelling compares equal.

A value has a kind and a set of forms; two values are the same when they share a form. `5 minutes`, `300`, `5 * 60`
and `300.0` share `number:300`; `True` and `enabled` share `boolean:true`; quotes and case are dropped from words.
A product counts as its result only: the `60` in `3 * 60` is not a value of that line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Literal

Kind = Literal["number", "boolean", "none", "word"]

_TRUE = frozenset({"true", "enabled", "on", "yes"})
_FALSE = frozenset({"false", "disabled", "off", "no"})
_NONE = frozenset({"none", "null", "nil", "unset", "not set"})
NUMBER_WORDS = {
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
    "twelve": "12",
    "hundred": "100",
    "thousand": "1000",
}
_SCALES = {
    "ms": (0.001, 1.0),
    "millisecond": (0.001, 1.0),
    "s": (1.0,),
    "sec": (1.0,),
    "second": (1.0,),
    "min": (60.0,),
    "minute": (60.0,),
    "h": (3600.0,),
    "hr": (3600.0,),
    "hour": (3600.0,),
    "day": (86400.0,),
    "week": (604800.0,),
    "kb": (1000.0, 1024.0),
    "kib": (1024.0,),
    "mb": (1e6, 1048576.0),
    "mib": (1048576.0,),
    "gib": (1073741824.0,),
    "gb": (1e9, 1073741824.0),
    "tb": (1e12, 1099511627776.0),
    "byte": (1.0,),
    "kilobyte": (1000.0, 1024.0),
    "megabyte": (1e6, 1048576.0),
    "gigabyte": (1e9, 1073741824.0),
    "%": (1.0, 0.01),
    "percent": (1.0, 0.01),
}
_SIZES = re.compile(r"(?:[kmgt]i?b|.*byte)")
# Each unit with its kind and with the scale that a quantity in it has among its kind.
PLAIN_UNITS = {
    unit: (scales[0], "share")
    if unit in ("%", "percent")
    else (scales[-1], "size")
    if _SIZES.fullmatch(unit)
    else (scales[0], "time")
    for unit, scales in _SCALES.items()
}
UNIT = "|".join(sorted((re.escape(unit) for unit in _SCALES), key=len, reverse=True))
_WORDS = "|".join(NUMBER_WORDS)
NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d[\d_]*)(?:\.\d+)?(?:e-?\d+)?"
_NUMERIC = re.compile(
    rf"(?<![\w.])(?P<product>-?{NUMBER}(?:\s*\*\s*{NUMBER})*|(?:{_WORDS})\b)(?:[\s-]?(?P<unit>{UNIT})s?(?![\w]))?(?![\w]|\.\d)",
    re.IGNORECASE | re.ASCII,
)
# An apostrophe inside a word opens no quotation; the prefix of a Python string is not a word.
_QUOTED = re.compile(
    r"(?:(?<!\w)|(?<=\b[bruf]))(?:'([^'\n]{1,80})'(?!\w)|\"([^\"\n]{1,80})\"(?!\w))|(?<!`)`++([^`\n]{1,80})`+",
    re.IGNORECASE,
)
# A quoted name with a number in it: the 8 of `utf-8` is no value.
_QUOTED_NAME = re.compile(r"(?P<quote>['\"`])[A-Za-z_][A-Za-z_.]*[-_.]\d[\w.-]*(?P=quote)")
# What a claim without literals says of its subject; the last group of words are no values in any claim.
_PREDICATE = re.compile(
    r"\b(?:is|are|to|be|as|at|uses?|sets?|using|by|equals?|has the value|holds)\s+"
    r"(?:an?\s+|the\s+)?([A-Za-z_]\w{2,})\b",
    re.IGNORECASE,
)
_NOT_SAID = frozenset(
    """
    the its set default used called named given allowed possible able made also meant soon well far much many
    nobody someone nothing what one
    """.split()  # noqa: SIM905  as a list of quoted words it is harder to read
)
# "is left alone", "is all that …" say nothing; "is left", with which a claim ends, says a value.
_SAID_LAST = frozenset(["all", "any", "each", "first", "last", "least", "left", "long", "most", "once", "value"])
_ENDING = re.compile(r"\s*(?:[.,;:!?)]|$|(?:by default|as long as|if|unless|until|when|where)\b)")
# When something is done is no value of it: "is set at startup".
_MOMENTS = re.compile(
    r"at\s+(?:the\s+)?(?:startup|start|shutdown|exit|end|import|runtime|once|rest|random|large|least|most)$",
    re.IGNORECASE,
)
_VERSION = re.compile(r"(?<![\w.])\d+(?:\.\d+){2,5}(?![\w]|\.\d)", re.ASCII)
_SWITCH = re.compile(
    r"\b(?:True|False|true|false|enabled|disabled|(?:switched|turned|is|are) (?:on|off)(?! the\b| an?\b)|"
    r"(?:as|to|at) (?:on|off)(?=\s*(?:[.,;:!?)]|$)))\b"
)
# "not set to 5", "not set in tests": there something is denied, and no value named.
NOT_SET = r"not set(?=\s+(?:by default|unless|until)\b|\s*(?:[^\w\s]|$))"
_NOTHING = re.compile(rf"\b(?:None\b|unset\b|{NOT_SET})")
_MOST_PLACES = 200  # at which a text is looked for: one of repeated characters stands everywhere in another
# What follows the name of a subject, and what precedes a value.
_SUBJECT_BEHIND = re.compile(
    r"\s+(?:options?|settings?|arguments?|parameters?|attributes?|flags?|fields?|constants?|variables?|propert(?:y|ies)|"
    r"members?|methods?|functions?|class|keyword|of|in|(?:is|are|was)(?! (?:the (?:default )?value|what)\b)|defaults|"
    r"counts|stands|comes|starts)\b",
    re.IGNORECASE,
)
_OWNER_BEFORE = re.compile(r"(?:\bof|'s)\s+(?:the\s+)?$", re.IGNORECASE)
_SAID_BEHIND = re.compile(
    r"\s+(?P<verb>is|are|was|at|as|holds|has|equals|defaults|counts|stands|starts|comes|means)\b", re.IGNORECASE
)
_VERB = re.compile(r"\b(?:is|are|was|comes|defaults|reads?|takes?|uses?)\b", re.IGNORECASE)
# What says that an error is raised, and what an error is called.
_RAISES = re.compile(
    r"\b(?:(?P<passive>(?:is|are) raised)|raises?|throws?|fails with|answers with|warns with|issues)\b",
    re.IGNORECASE,
)
_CAUGHT = re.compile(
    r"\b(?:[Cc]atch(?:es|ing)? (?:an? )?(?P<name>[A-Z]\w+) also (?:catch(?:es)?|handles?)|"
    r"except (?:clause|block|handler)s? for (?:an? )?(?P<clause>[A-Z]\w+) (?:also )?"
    r"(?:takes?(?: in)?|catch(?:es)?|handles?))\b"
)
# What a class derives from, in a claim. "is a Redis client" names no class: there the claim goes on.
_BASE = re.compile(
    r"\b(?:(?:inherits?|derives?|derived|descends?) from|extends|subclass(?:es)?(?: of)?|"
    r"(?P<kind>(?:is|as) an?(?= [A-Z]\w+\s*[.?]?\s*$))|(?:parent|superclass|base(?: class)?) of [^:;]{1,100}? is) "
    r"(?:an? |the )?(?P<name>[A-Z]\w*[a-z]\w*)\b"
)
# A text with places to be filled in: `reply.%s.pidbox`.
_FORMAT = re.compile(r"(?<![\w.%-])(?=[\w.%-]*(?<!\d)%[sdr])[\w.%-]*\w")
_ERROR_NAME = re.compile(
    r"(?<![\w.])[A-Z]\w*(?:Error|Exception|Warning|Failure|Timeout|Interrupt|Exit|Invalid\w*|Exists|Denied)\b"
)
_CLASS_NAME = re.compile(r"(?<![\w.])[A-Z]\w*[a-z]\w*\b")
# Where a claim begins to say with what message, or under what condition.
_CIRCUMSTANCE = re.compile(
    r":\s|\s\(|,?\s(?:if|when|whenever|unless|until|while|because|since|where|once|as soon as|as long as)\s"
)
_NEAR = 200  # characters before a name in which it is looked how it is introduced
_SOON = 4  # characters between the verb and the name: a blank, an article
_VALUE_BEFORE = frozenset(
    [
        "is",
        "are",
        "was",
        "be",
        "to",
        "as",
        "uses",
        "use",
        "using",
        "from",
        "with",
        "by",
        "than",
        "equals",
        "says",
        "means",
        "named",
        "called",
        "=",
    ]
)
IDENTIFIER = re.compile(r"[A-Za-z_][\w]*(?:[.\-/:][A-Za-z_][\w]*)*")


@dataclass(frozen=True)
class Value:
    """One value as it stands in a text, with the forms by which it compares."""

    text: str
    kind: Kind
    forms: frozenset[str]

    def same(self, other: Value) -> bool:
        """Do the two name the same value?"""
        return bool(self.forms & other.forms)


@lru_cache(maxsize=1024)  # every rule of the gate asks this of the same few texts
def parse(text: str) -> Value:
    """The value that a short text, such as `expected` or `found` of a finding, stands for."""
    stripped = text.strip().strip("`'\"").strip().rstrip(".,;")
    numeric = _NUMERIC.fullmatch(stripped)
    if numeric:
        return _number(numeric)
    return word(stripped)


@lru_cache(maxsize=256)  # see `parse`
def asserted(text: str) -> tuple[Value, ...]:
    """The literals that a claim commits itself to: numbers, booleans, and what it quotes or writes as an identifier."""
    return distinct((*_numbers(text, bare_words=False), *_versions(text), *quoted(text), *_special_words(text)))


def claimed(text: str) -> tuple[Value, ...]:
    """What a claim may be asserting of its subject: the values among its literals, or the name that it ends in.

    What a claim says is raised, or warned with, is its value, whatever its message quotes; so is what "whoever catches
    it also catches", and what a class is said to derive from. Otherwise, where a claim has a number, a switch or a
    quoted word, that is its value. Otherwise it is the last word that is written like a name; and where there is none,
    the words that its verbs say of the subject ("is pickle", "sets json as …"). A claim without any of these asserts
    nothing that could be compared.
    """
    subjects = _subjects(text)
    if (error := raised(text) or base(text)) is not None:
        return (word(error),)
    formats = [word(match[0]) for match in _FORMAT.finditer(_QUOTED.sub(" ", text))]
    literals = distinct(
        (
            *_numbers(text, bare_words=False),
            *_versions(text),
            *quoted(text),
            *switches(text),
            *_nothings(text),
            *formats,
        )
    )
    literals = tuple(value for value in literals if value.text not in subjects)
    if literals:
        return literals
    # `X` in "the X of … is read from the variable X" is its own value.
    written = [
        name
        for name in names(text)
        if (name.text not in subjects or text.count(name.text) > 1) and not _is_spoken_of(name.text, text)
    ]
    if written:
        return (max(written, key=lambda name: (text.rfind(name.text) + len(name.text), len(name.text))),)
    said = [
        match[1]
        for match in _PREDICATE.finditer(text)
        if match[1].lower() not in _NOT_SAID
        and match[1] not in subjects
        and (match[1].lower() not in _SAID_LAST or _ENDING.match(text, match.end()))
        and not _MOMENTS.match(match[0])
    ]
    return distinct([word(predicate) for predicate in said])


def _is_spoken_of(name: str, text: str) -> bool:
    """Is a name that of the subject: "the mode of Pool is …", "Pydantic's field_serializer is …"?"""
    at = text.rfind(name)
    said = _SAID_BEHIND.match(text, at + len(name))
    before = text[max(0, at - _NEAR) : at]
    if said is None or not _OWNER_BEFORE.search(before):
        return False
    # "is read from the value of X at startup": there the name is what is said.
    return said["verb"].lower() not in ("as", "at") or _VERB.search(before) is None


def is_raised(value: Value, text: str) -> bool:
    """Is a value the class of error that a claim says is raised?"""
    error = raised(text)
    return error is not None and value.same(word(error))


def raised(text: str) -> str | None:
    """The class of error that a claim says is raised, warned with, or caught together with another."""
    if (both := caught(text)) is not None:
        return both
    verb = _RAISES.search(text)
    if verb is None:
        return None if base(text) else _only_error(text)
    if verb["passive"]:
        named = _CLASS_NAME.findall(text[: verb.start()])
        return str(named[-1]) if named else None
    follows = _CLASS_NAME.search(text, verb.end())
    return str(follows[0]) if follows is not None and follows.start() - verb.end() <= _SOON else None


def caught(text: str) -> str | None:
    """The class of error of which a claim says that whoever catches it catches another one with it."""
    both = _CAUGHT.search(text)
    return str(both["name"] or both["clause"]) if both is not None else None


def base(text: str) -> str | None:
    """The class that a claim says another one derives from."""
    derived = _BASE.search(text)
    if derived is None:
        return None
    # "derived from Settings, is 3", "is 3, as a String": there the claim is of the value.
    beside = text if derived["kind"] else text[derived.end() :]
    return None if _numbers(beside, bare_words=False) or switches(beside) else str(derived["name"])


def message(text: str) -> str:
    """The message with which a claim says that an error is raised, as far as it says one."""
    _, colon, said = text.partition(": ")
    return said if colon and raised(text) is not None else ""


def before_message(text: str) -> str:
    """What a claim about an error says before it comes to the message or the condition."""
    return _CIRCUMSTANCE.split(text, maxsplit=1)[0]


def _only_error(text: str) -> str | None:
    """The one class of error before a claim's message or condition, where no other literal stands there."""
    said = _CIRCUMSTANCE.split(text, maxsplit=1)
    named = _ERROR_NAME.findall(said[0])
    if len(said) == 1 or len(named) != 1 or _numbers(said[0], bare_words=False) or quoted(said[0]) or switches(said[0]):
        return None
    return str(named[0])


def _subjects(text: str) -> frozenset[str]:
    """What a claim quotes as the name of its subject, and not as the value: "the `format` option of … is …"."""
    found = set()
    for match in _QUOTED.finditer(text):
        name = next(group for group in match.groups() if group is not None)
        before = text[max(0, match.start() - _NEAR) : match.start()].split()
        is_value = bool(before) and before[-1].lower() in _VALUE_BEFORE
        if not is_value and IDENTIFIER.fullmatch(name) and _SUBJECT_BEHIND.match(text, match.end()):
            found.add(name)
    return frozenset(found)


def names(text: str) -> tuple[Value, ...]:
    """The names in a text: identifiers that no English word looks like, and words in capitals."""
    return tuple(value for value in (*_special_words(text), *_capitals(text)) if value.kind == "word")


def shape(word: str) -> Literal["capitals", "camel", "lower", "figures"]:
    """How a word is written: a constant, a class, a version, or else. Different shapes name different things."""
    if not any(char.isalpha() for char in word):
        return "figures"
    letters = re.sub(r"[^A-Za-z]", "", word.rpartition(".")[2])
    if letters.isupper() and len(letters) > 1:
        return "capitals"
    return "camel" if letters[:1].isupper() and not letters.islower() else "lower"


def occurs(value: Value, text: str) -> bool:
    """Does the value stand in the text, in whatever spelling?"""
    if value.kind == "number":
        return any(value.same(_number(match)) for match in _NUMERIC.finditer(text))
    if value.kind == "none" and _NOTHING.search(text):
        return True
    if value.kind in ("boolean", "none"):
        return any(value.same(word(token)) for token in re.findall(r"\w+", text))
    written = value.text.lower()
    if IDENTIFIER.fullmatch(written):
        return stands_whole(written, text.lower())
    return stands_whole(_plain(value.text), _plain(text))


def stands_whole(part: str, text: str) -> bool:
    """Does a part stand in a text without being cut out of a longer word or number?"""
    start = text.find(part)
    if start < 0:
        return False
    first, last = _joins(part[:1]), _joins(part[-1:])
    for _ in range(_MOST_PLACES):
        if start < 0:
            return False
        end = start + len(part)
        if not (first and _joins(text[start - 1 : start])) and not (last and _joins(text[end : end + 1])):
            return True
        start = text.find(part, start + 1)
    return False


def _joins(char: str) -> bool:
    return char.isalnum() or char == "_"


def numbers_at(text: str) -> list[tuple[Value, int, int]]:
    """The numbers in a text, units and number words included, with where each begins and ends."""
    return [(_number(match), match.start(), match.end()) for match in _NUMERIC.finditer(text)]


def _numbers(text: str, *, bare_words: bool) -> list[Value]:
    values = [value for value, _, _ in numbers_at(_QUOTED_NAME.sub(" ", text))]
    # "between two looks": a number word is a value only beside a unit, or where a number is looked for.
    return [value for value in values if bare_words or value.text.lower() not in NUMBER_WORDS]


def product(written: str) -> float:
    """The value of a written number, or of a product of several: `3 * 60` is 180.

    Raises:
        ValueError: It is no number, such as a version of three parts.
    """
    digits = re.sub("[_,]", "", NUMBER_WORDS.get(written, written))
    return prod(float(part) for part in digits.split("*"))


def _versions(text: str) -> list[Value]:
    """Numbers of three parts and more are names of versions."""
    return [Value(version, "word", frozenset({f"word:{version}"})) for version in _VERSION.findall(text)]


def _number(match: re.Match[str]) -> Value:
    written = match["product"].lower()
    scales = _SCALES[match["unit"].lower()] if match["unit"] else (1.0,)
    forms = frozenset(f"number:{product(written) * scale:.12g}" for scale in scales)
    return Value(match[0].strip(), "number", forms)


def quoted(text: str) -> list[Value]:
    """What stands in quotes or backticks."""
    return [parse(next(group for group in match.groups() if group is not None)) for match in _QUOTED.finditer(text)]


def _special_words(text: str) -> list[Value]:
    """Booleans, None, and identifiers that no English word looks like: snake_case, dotted, CamelCase."""
    values = []
    for match in IDENTIFIER.finditer(text):
        token = match[0]
        if token in ("True", "False", "None") or token.lower() in ("enabled", "disabled"):
            values.append(word(token))
        elif "_" in token or re.search(r"[a-z][A-Z]|[A-Z]{2}[a-z]{2}", token) or re.search(r"\w\.\w", token):
            values.append(Value(token, "word", frozenset({f"word:{token.lower()}"})))
    return values


def _capitals(text: str) -> list[Value]:
    return [word(capitals) for capitals in re.findall(r"\b[A-Z]{3,}\b", text)]


def _nothings(text: str) -> list[Value]:
    """What says that a thing has no value."""
    return [word(match[0]) for match in _NOTHING.finditer(text)]


def switches(text: str) -> list[Value]:
    """What says on or off; a plain "on" in a sentence does not."""
    return [word(match[0].split()[-1]) for match in _SWITCH.finditer(text)]


def distinct(values: Iterable[Value]) -> tuple[Value, ...]:
    """Each value once, in order."""
    found: dict[tuple[Kind, frozenset[str]], Value] = {}
    for value in values:
        found.setdefault((value.kind, value.forms), value)
    return tuple(found.values())


def word(text: str) -> Value:
    """A value that is no number: a switch, a none, or a word."""
    lowered = text.lower()
    if lowered in _TRUE:
        return Value(text, "boolean", frozenset({"boolean:true"}))
    if lowered in _FALSE:
        return Value(text, "boolean", frozenset({"boolean:false"}))
    if lowered in _NONE:
        return Value(text, "none", frozenset({"none:none"}))
    return Value(text, "word", frozenset({f"word:{_plain(text)}"}))


@lru_cache(maxsize=64)  # one bundle's texts are searched for several values
def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"[`'\"]", "", text)).strip().lower()
