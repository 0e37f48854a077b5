"""Choosing among the facts: unambiguous ones, from many packages, so many of each family, half of them told falsely."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

from benchmarks.retrieval_claims.facts import FAMILIES, Fact, Value, facts
from benchmarks.retrieval_claims.sentences import FORMS, HELD_OUT_FORMS
from benchmarks.retrieval_claims.wording import SEED, Said, held_out, parts, pick, say, subject
from cli.samples import RETRIEVAL_PACKAGES as PACKAGES

OURS = frozenset({"celery", "kombu", "redis"})
PER_FAMILY = 50
PER_PACKAGE, PER_PACKAGE_OF_OURS = 6, 14
CONTEXT_LINES = 30
_LEFT_OUT = ("/test", "/_vendor/", "/v1/", "/medusa/", "/__pyinstaller/", "/fixups/", "/lexers/", "/_unicode_data/")
_VALUES = frozenset({"function-default", "class-constant", "module-constant", "setting"})
_DULL = frozenset(
    """
    name type value key data default x y a b n args kwargs id description cls self fn func
    """.split()  # noqa: SIM905  as prose
)


@cache
def lines_of(path: str) -> tuple[str, ...]:
    """The lines of an installed file; `path` starts at site-packages."""
    at = Path(str(metadata.distribution(PACKAGES[0]).locate_file(path)))
    return tuple(at.read_text(encoding="utf-8").split("\n"))


@cache
def harvest() -> tuple[Fact, ...]:
    """Every fact of the packages, in the order of their paths."""
    found: list[Fact] = []
    for package in PACKAGES:
        files = sorted(str(file) for file in metadata.distribution(package).files or ())
        for path in files:
            if path.endswith(".py") and ".dist-info" not in path and not any(part in path for part in _LEFT_OUT):
                found += facts("\n".join(lines_of(path)), path)
    return tuple(found)


def place(fact: Fact) -> dict[str, str] | None:
    """Where the fact stands, so that it is found again after small edits; None where no close line tells it apart."""
    lines = [line.strip() for line in lines_of(fact.path)]
    pattern = lines[fact.line - 1]
    if lines.count(pattern) == 1:
        return {"path": fact.path, "pattern": pattern}
    for number in range(fact.line - 1, max(0, fact.line - 1 - CONTEXT_LINES), -1):
        context = lines[number - 1]
        if context == pattern:
            return None
        if len(parts(context)) > 1 and lines.count(context) == 1:
            return {"path": fact.path, "pattern": pattern, "context": context}
    return None


def chosen(taken: Iterable[tuple[str, str]]) -> Iterator[tuple[Fact, list[dict[str, str]], bool, Said]]:
    """The chosen facts with their places (twins included), whether each is told truly, and its claim.

    Args:
        taken: Path and deciding line of facts that another set already asks about.
    """
    asked = set(taken)
    groups = alike(fact for fact in harvest() if worth_asking(fact))
    pools, crowded = values_of(harvest()), crowded_names(harvest())
    for family in FAMILIES:
        count, per_package = 0, Counter[str]()
        for fact, twins in ordered(groups, family):
            package = fact.owner[0]
            limit = PER_PACKAGE_OF_OURS if package in OURS or family == "setting" else PER_PACKAGE
            if count == PER_FAMILY or per_package[package] == limit:
                continue
            places = [found for twin in (fact, *twins) if (found := place(twin))]
            if len(places) != 1 + len(twins) or any((p["path"], p["pattern"]) in asked for p in places):
                continue
            truly = count % 2 == 0
            forms = HELD_OUT_FORMS if held_out(fact) else FORMS
            if said := say(
                fact, truly=truly, others=pools[family, package], crowded=scope(fact) in crowded, forms=forms
            ):
                count += 1
                per_package[package] += 1
                yield fact, places, truly, said


def worth_asking(fact: Fact) -> bool:
    if fact.name.startswith("__") or fact.name.lower() in _DULL or len(lines_of(fact.path)[fact.line - 1]) > 200:
        return False
    if fact.family in _VALUES:
        return len("".join(parts(fact.name))) >= 5 and _telling(fact)
    if fact.family == "enum-member":
        return str(fact.value).lower() != fact.name.lower() and len(fact.name) > 2
    return not (fact.family == "environment" and fact.about == "name" and len(parts(fact.name or fact.owner[-1])) < 2)


def _telling(fact: Fact) -> bool:
    """Whether a value says something, and is not of a kind that is everywhere: a few of these are enough."""
    match fact.value:
        case None | "":
            return pick(range(12), subject(fact), "none wanted") == 0
        case bool():
            return fact.family == "setting" or pick(range(3), subject(fact), "switch wanted") == 0
        case str(text):
            return text.lower() != fact.name.lower()
        case float(number):
            return math.isfinite(number)
    return not fact.found.startswith(("0x", "0o", "0b"))


def alike(found: Iterable[Fact]) -> dict[tuple[str, str, tuple[str, ...]], list[Fact]]:
    """Facts that the same words name, as a synchronous class and its asynchronous twin are."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[Fact]] = defaultdict(list)
    for fact in found:
        scope = fact.owner[len(fact.owner) - fact.depth :] if fact.depth else fact.owner[-2:]
        words = {word for part in (*scope, fact.name) for word in parts(part)} - {"async", "default"}
        said = fact.about if fact.family in {"raise", "docstring-number", "deprecation"} else ""
        kind = "value" if fact.family in _VALUES else fact.family
        groups[kind, fact.owner[0], (*sorted(words), said.partition("\0")[0])].append(fact)
    return groups


def ordered(
    groups: Mapping[tuple[str, str, tuple[str, ...]], Sequence[Fact]], family: str
) -> list[tuple[Fact, list[Fact]]]:
    """Facts of a family with their twins, in the order of a hash; words that name different values name nothing."""
    single = [group for group in groups.values() if group[0].family == family and len({f.found for f in group}) == 1]
    pairs = [(group[0], list(group[1:])) for group in single if len(group) <= 3]
    return sorted(pairs, key=lambda pair: hashlib.sha256(f"{SEED}\0{subject(pair[0])}".encode()).digest())


def values_of(found: Iterable[Fact]) -> dict[tuple[str, str], list[Value]]:
    pools: dict[tuple[str, str], dict[Value, None]] = defaultdict(dict)
    for fact in found:
        pools[fact.family, fact.owner[0]][fact.value] = None
    return {key: list(values) for key, values in pools.items()}


def scope(fact: Fact) -> tuple[str, str]:
    return fact.owner[0], fact.owner[len(fact.owner) - fact.depth] if fact.depth else ""


def crowded_names(found: Iterable[Fact]) -> set[tuple[str, str]]:
    """Packages and names of outermost classes or functions that more than one of their modules has."""
    modules: dict[tuple[str, str], set[str]] = defaultdict(set)
    for fact in found:
        modules[scope(fact)].add(fact.path)
    return {scope for scope, paths in modules.items() if len(paths) > 1}
