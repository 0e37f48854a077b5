"""Saying a fact as an auditor would: by its identifier, half in words, or in words only, with a true or a false value.

Every choice is made by a hash of the fact and a purpose, so a claim depends on nothing but its fact and the seed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.retrieval_claims.facts import Fact, Value

SEED = "retrieval.v1"
STYLES = ("identifier", "mixed", "words")

Option = TypeVar("Option")
Forms = Mapping[str, Sequence[str]]
"""Sentences by what they say."""

NAMES = {
    "celery": "Celery",
    "redis": "redis-py",
    "jinja2": "Jinja",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "markdown_it": "markdown-it-py",
    "pydantic_settings": "pydantic-settings",
    "prompt_toolkit": "prompt-toolkit",
    "uvicorn": "Uvicorn",
    "starlette": "Starlette",
    "typer": "Typer",
    "click": "Click",
    "pydantic": "Pydantic",
    "rich": "Rich",
}

# What people write for what code abbreviates. Not a list for a retriever to learn: see data/README.md.
_SPOKEN = {
    "max": ("maximum", "highest", "most"),
    "min": ("minimum", "lowest", "smallest"),
    "num": ("number of",),
    "conn": ("connection",),
    "ttl": ("time to live", "TTL"),
    "msg": ("message",),
    "sec": ("seconds",),
    "secs": ("seconds",),
    "ms": ("milliseconds",),
    "db": ("database",),
    "auth": ("authentication",),
    "conf": ("configuration",),
    "env": ("environment",),
    "dir": ("directory",),
    "arg": ("argument",),
    "args": ("arguments",),
    "kwargs": ("keyword arguments",),
    "attr": ("attribute",),
    "param": ("parameter",),
    "params": ("parameters",),
    "req": ("request",),
    "resp": ("response",),
    "len": ("length",),
    "fmt": ("format",),
    "fun": ("function",),
    "func": ("function",),
    "ctx": ("context",),
    "exc": ("exception",),
    "buf": ("buffer",),
    "cmd": ("command",),
    "proc": ("process",),
    "tmp": ("temporary",),
    "init": ("initial",),
    "addr": ("address",),
    "info": ("information",),
    "async": ("asynchronous",),
    "retries": ("retries", "attempts"),
    "timeout": ("timeout", "time limit"),
    "size": ("size", "capacity"),
    "interval": ("interval", "pause"),
    "prefix": ("prefix",),
    "ssl": ("TLS", "SSL"),
    "str": ("string",),
    "int": ("integer",),
    "idx": ("index",),
    "concurrency": ("concurrency", "parallelism"),
}
_HEADS = frozenset({"timeout", "time limit", "limit", "size", "interval", "port"})
_DURATION = frozenset({"timeout", "interval", "delay", "wait", "sleep", "seconds", "secs", "deadline"})
_MILLISECONDS = frozenset({"ms", "millis", "milliseconds"})
_EXCEPTIONS = ("ValueError", "TypeError", "RuntimeError", "KeyError", "OSError", "LookupError", "AttributeError")
_WARNINGS = ("DeprecationWarning", "FutureWarning", "UserWarning", "PendingDeprecationWarning")
_WORD = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")

_NOUNS: dict[str, tuple[str, ...]] = {
    "docstring-number": ("the {n} of {o}",),
    "environment": ("the {n} of {o}",),
    "enum-member": ("the {n} member of {o}", "{n} of {o}"),
    "function-default": ("the {n} argument of {o}", "the {n} parameter of {o}", "the {n} of {o}"),
    "": ("the {n} of {o}", "{n} of {o}"),
}


@dataclass(frozen=True)
class Said:
    """A claim and what it asserts: `expected` as it stands in the text, `unit` of a bare found number."""

    text: str
    style: str
    expected: str
    unit: str | None


def pick(options: Sequence[Option], *key: str) -> Option:
    """One of several, by a hash of the key."""
    digest = hashlib.sha256("\0".join((SEED, *key)).encode()).digest()
    return options[int.from_bytes(digest[:8], "big") % len(options)]


def held_out(fact: Fact) -> bool:
    """Whether a fact is of the third that nobody may choose by: told by a hash of what it is about."""
    digest = hashlib.sha256(f"held out\0{fact.family}\0{subject(fact)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 3 == 0


def subject(fact: Fact) -> str:
    """The fact's identity without its place: what the hash of every choice hangs on."""
    about = fact.about.partition("\0")[0] if fact.family in {"raise", "docstring-number", "deprecation"} else ""
    return f"{'.'.join(fact.owner)}:{fact.name}{':' if about else ''}{about}"


def parts(name: str) -> list[str]:
    """The lower-case words of an identifier."""
    return [part.lower() for part in _WORD.findall(name)]


def say(
    fact: Fact, *, truly: bool, others: Sequence[Value], crowded: bool, forms: Forms, telling: int = 0
) -> Said | None:
    """Make a claim of a fact; None where no false value can be found for it.

    Args:
        fact: What the source says.
        truly: Whether the claim is to be true.
        others: Values of the same kind in the same package: a false value is one of these where it can be.
        crowded: Whether the package has several classes of the owner's name, so that the module has to be named too.
        forms: Its sentences: a claim that is held out has others than the rest.
        telling: Another number tells the same fact in another way: style, words, sentence and false value.
    """
    key = f"{subject(fact)}\0{telling}" if telling else subject(fact)
    value = fact.value if truly else _false(fact, others, key)
    if value is None and not truly:
        return None
    style = pick(STYLES, key, "style")
    said, unit = _value(value, fact, key)
    form = pick(forms[_form(fact)], key, "form")
    about = _about(fact, said, key)
    text = form.format(s=_subject(fact, style, key, crowded=crowded), v=said, a=about)
    return Said(text[0].upper() + text[1:], style, said, unit)


def _form(fact: Fact) -> str:
    match fact.family:
        case "deprecation":
            return fact.about if fact.about in {"since", "instead"} else "warning"
        case "environment":
            return "environment-name" if fact.about == "name" else "environment-default"
        case "exception-base" | "raise" | "enum-member" | "docstring-number":
            return fact.family
    if isinstance(fact.value, bool) or fact.value is None:
        return "switch"
    return "default" if fact.family in {"function-default", "setting"} else "constant"


def _subject(fact: Fact, style: str, key: str, *, crowded: bool) -> str:
    """What the claim is about, with its package: "the `timeout` argument of redis-py's BlockingConnectionPool"."""
    package = NAMES.get(fact.owner[0], fact.owner[0])
    by_name = style == "identifier" or (style == "mixed" and pick((True, False), key, "which"))
    by_scope = style == "identifier" or (style == "mixed" and not by_name)

    def called(name: str) -> str:
        return pick((f"`{name}`", name), key, "quotes") if by_name else _phrase(name, key, style)

    if fact.family == "setting":
        return _setting(fact, package, called, key)
    if fact.family == "exception-base":
        return f"{package}'s {fact.name}" if style != "words" else f"the {_phrase(fact.name, key, style)} of {package}"
    owner = _owner(fact, package, key, style, by_scope=by_scope, crowded=crowded)
    named = fact.name and fact.family not in {"raise", "deprecation"}
    return (
        pick(_NOUNS.get(fact.family, _NOUNS[""]), key, "noun").format(n=called(fact.name), o=owner) if named else owner
    )


def _setting(fact: Fact, package: str, called: Callable[[str], str], key: str) -> str:
    if not fact.depth:
        return f"the {called(fact.name)} option of {package}'s command line"
    whole = f"{fact.owner[1]}_{fact.name}" if fact.owner[1] != "section" else fact.name
    forms = ("{p}'s {n}", "the {n} setting of {p}", "{p}'s setting {n}", "{n} in {p}")
    return pick(forms, key, "setting").format(p=package, n=called(whole))


def _owner(fact: Fact, package: str, key: str, style: str, *, by_scope: bool, crowded: bool) -> str:
    """The class, function or module of a fact: "redis-py's Pool.get" or "get method of redis-py's pool"."""
    scope = fact.owner[len(fact.owner) - fact.depth :] if fact.depth else ()
    module = fact.owner[1 : len(fact.owner) - fact.depth]
    if not scope:
        if not module:
            return package
        where = ".".join((fact.owner[0], *module))
        return where if by_scope else f"{package}'s {_module(module, key)}"
    where = f"{_module(module, key)} " if crowded and module else ""
    if by_scope:
        name = ".".join(scope)
        if where:
            return f"{name} in {package}'s {where}".rstrip()
        return pick((f"{package}'s {name}", f"{name} in {package}"), key, "scope")
    words = [_phrase(part, key, style) for part in scope]
    if fact.function:
        words[-1] += " method" if len(scope) > 1 else " function"
    inner = "".join(f"{word} of " for word in reversed(words[1:]))
    return pick((f"{inner}{package}'s {where}{words[0]}", f"{inner}the {where}{words[0]} in {package}"), key, "scope")


def _module(module: Sequence[str], key: str) -> str:
    """`transport.redis` is said "redis transport"."""
    said = [" ".join(parts(part)) for part in reversed(module[-2:])]
    if len(said) == 2 and said[1].endswith("s"):
        said[1] = said[1].removesuffix("s")
    return " ".join([*said, pick(("", "module"), key, "module word") if len(said) == 1 else ""]).strip()


def _phrase(name: str, key: str, style: str) -> str:
    """An identifier in words; in words only, abbreviations are spoken out and the head may come first."""
    words = [word for word in parts(name) if word != "default"] or parts(name) or [name]
    spoken = [
        pick((word, *_SPOKEN[word], *_SPOKEN[word]), key, "spoken", word) if word in _SPOKEN else word for word in words
    ]
    if style == "words" and len(spoken) > 1 and spoken[-1] in _HEADS:
        return pick((" ".join(spoken), f"{spoken[-1]} of the {' '.join(spoken[:-1])}"), key, "turned")
    return " ".join(spoken)


def _about(fact: Fact, said: str, key: str) -> str:
    text = fact.about.partition("\0")[0]
    if fact.family == "docstring-number":
        before, _, after = text.partition(fact.found)
        return " ".join([*_loosely(before, key)[-9:], said, *_loosely(after, key)[:6]])
    return " ".join(_loosely(text, key)[:12])


def _loosely(text: str, key: str) -> list[str]:
    """Its words, now and then without one: nobody quotes word for word."""
    words = re.findall(r"[A-Za-z_][\w.'-]*\w|\d+|a\b", text)
    return [word for n, word in enumerate(words) if pick(range(7), key, "dropped", str(n), word)]


def _value(value: Value, fact: Fact, key: str) -> tuple[str, str | None]:
    if value is None:
        return pick(("None", "not set", "unset"), key, "none"), None
    if isinstance(value, bool):
        on = ("True", "enabled", "switched on", "on")
        off = ("False", "disabled", "switched off", "off")
        return pick(on if value else off, key, "switch"), None
    if isinstance(value, str):
        quoted = fact.family not in {"exception-base", "raise", "environment", "deprecation"}
        return pick((f"`{value}`", f"'{value}'", value), key, "quoted") if quoted and value else value or "''", None
    unit = _unit(fact)
    if unit is None or value < 0:
        return _plain(value), None
    if unit == "s" and value and value % 60 == 0 and pick((True, True, False), key, "minutes"):
        whole, word = (value // 3600, "hour") if value % 3600 == 0 else (value // 60, "minute")
        return f"{_plain(whole)} {word}{'' if whole == 1 else 's'}", unit
    word = "second" if unit == "s" else pick(("ms", "millisecond"), key, "ms")
    return f"{_plain(value)} {word}{'' if word == 'ms' or value == 1 else 's'}", unit


def _unit(fact: Fact) -> str | None:
    if fact.family not in {"function-default", "class-constant", "module-constant", "setting"}:
        return None
    words = set(parts(fact.name))
    return "ms" if words & _MILLISECONDS else "s" if words & _DURATION else None


def _plain(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)


def _false(fact: Fact, others: Sequence[Value], key: str) -> Value:
    """A value that the line does not hold: one that the package gives something of the same kind, if there is one."""
    value = fact.value
    if isinstance(value, bool):
        return not value
    candidates: list[Value]
    if isinstance(value, (int, float)):
        pool = [value * 2, value * 10, value * 3, value * 5] if value else [1, 2, 5, 10, 30]
        candidates = [pick(pool, key, "number", str(n)) for n in range(12)]
    elif value is None:
        candidates = [pick((5, 10, 30, 60, 100), key, "instead of none")]
    else:
        known = [other for other in others if isinstance(other, str)]
        known += {"exception-base": _EXCEPTIONS, "raise": _EXCEPTIONS, "deprecation": _WARNINGS}.get(fact.family, ())
        if fact.family == "deprecation":
            like = _kind(value)
            known = [other for other in known if _kind(other) == like]
        candidates = [pick(known, key, "text", str(n)) for n in range(12)] if known else []
    return next((other for other in candidates if other != value and _differs(other, fact)), None)


def _kind(text: str) -> str:
    return "warning" if text.endswith("Warning") else "version" if text[:1].isdigit() else "name"


def _differs(other: Value, fact: Fact) -> bool:
    text = _plain(other) if isinstance(other, (int, float)) else str(other)
    stated = fact.found.strip("'\"")
    return bool(text) and text not in fact.found and text != fact.name and not (stated and stated in text)
