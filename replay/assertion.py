"""What a claim asserts: of the values that stand in it, the one that it gives to its subject.

Claims are sentences by people: "the retries of Pool are 8", "the worker agent is not set", "PoolError inherits from
OSError", "raises KeyError if the key is missing". What is read here is what the schema offers as the expected value,
and what the gate compares.
"""

from __future__ import annotations

import re

from replay import values
from replay.values import Value

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
        return (values.word(error),)
    formats = [values.word(match[0]) for match in _FORMAT.finditer(values.QUOTED.sub(" ", text))]
    literals = values.distinct(
        (
            *values.numbers(text),
            *values.versions(text),
            *values.quoted(text),
            *values.switches(text),
            *values.nothings(text),
            *formats,
        )
    )
    literals = tuple(value for value in literals if value.text not in subjects)
    if literals:
        return literals
    # `X` in "the X of … is read from the variable X" is its own value.
    written = [
        name
        for name in values.names(text)
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
    return values.distinct([values.word(predicate) for predicate in said])


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
    return error is not None and value.same(values.word(error))


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
    return None if values.numbers(beside) or values.switches(beside) else str(derived["name"])


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
    if (
        len(said) == 1
        or len(named) != 1
        or values.numbers(said[0])
        or values.quoted(said[0])
        or values.switches(said[0])
    ):
        return None
    return str(named[0])


def _subjects(text: str) -> frozenset[str]:
    """What a claim quotes as the name of its subject, and not as the value: "the `format` option of … is …"."""
    found = set()
    for match in values.QUOTED.finditer(text):
        name = next(group for group in match.groups() if group is not None)
        before = text[max(0, match.start() - _NEAR) : match.start()].split()
        is_value = bool(before) and before[-1].lower() in _VALUE_BEFORE
        if not is_value and values.IDENTIFIER.fullmatch(name) and _SUBJECT_BEHIND.match(text, match.end()):
            found.add(name)
    return frozenset(found)
