"""The retrieval queries against the installed packages, so that none of them can rot.

On purpose nothing of this project is imported but names of files and packages: the yardstick must not be made by
what it measures. That the generator makes just these files is told by tests/acceptance/test_retrieval_claims.py.
"""

import hashlib
import re
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

from cli import samples
from tests.proving import deciding_lines, normal, occurs, rows

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data" / "retrieval"


def read(name: str) -> list[dict[str, Any]]:
    """The queries of a file."""
    return rows(FOLDER / f"{name}.jsonl")


GENERATED = read("generated")
BY_HAND = [*read("audit"), *read("playbook"), *read("written")]
ALL = [*BY_HAND, *GENERATED]


def test_there_are_enough_generated_queries_of_every_family_and_half_of_them_are_false() -> None:
    """At least 300, at least 30 of each of ten families, from many packages, 45 to 55 % false, a third held out."""
    families = Counter(query["family"] for query in GENERATED)
    packages = Counter(query["path"].split("/")[0] for query in GENERATED)
    assert len(GENERATED) >= 300
    assert len(families) == 10
    assert min(families.values()) >= 30, families
    assert len(packages) >= 25
    assert 0.45 <= sum(query["verdict"] == "fail" for query in GENERATED) / len(GENERATED) <= 0.55
    assert 0.28 <= sum(query.get("held_out", False) for query in GENERATED) / len(GENERATED) <= 0.39
    assert min(Counter(query["style"] for query in GENERATED).values()) >= 100


def test_ids_texts_and_facts_are_distinct() -> None:
    """No id and no text occurs twice, and no generated query asks for the line of another set."""
    assert len({query["query_id"] for query in ALL}) == len(ALL)
    assert len({query["text"] for query in ALL}) == len(ALL)
    taken = {(query["path"], query["pattern"]) for query in BY_HAND}
    assert [query["query_id"] for query in GENERATED if (query["path"], query["pattern"]) in taken] == []


def test_what_is_held_out_is_told_by_a_hash_of_family_and_subject() -> None:
    """Nobody chose which third is held out."""
    for query in GENERATED:
        digest = hashlib.sha256(f"held out\0{query['family']}\0{query['subject']}".encode()).digest()
        assert query.get("held_out", False) == (int.from_bytes(digest[:8], "big") % 3 == 0), query["query_id"]


def test_the_packages_are_pinned_and_installed_so() -> None:
    """The answers speak of the versions in requirements.lock, so an upgrade has to be noticed here first."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE))
    for package in samples.RETRIEVAL_PACKAGES:
        assert metadata.version(package) == pinned[package], f"{package}: run python -m benchmarks.retrieval_claims"


def test_each_deciding_line_is_found_once() -> None:
    """Each place of each answer names exactly one line of an installed file, or one behind its context."""
    places = [(query["query_id"], place) for query in ALL for place in (query, *query.get("also", []))]
    found = {(name, place["path"]): deciding_lines(place) for name, place in places}
    assert {where: lines for where, lines in found.items() if len(lines) != 1} == {}


def test_the_verdict_of_each_generated_query_follows_from_its_line() -> None:
    """The line holds what was found, the claim what is expected, and they are equal where the claim is true."""
    for query in GENERATED:
        name, expected, found = query["query_id"], query["expected"], query["found"]
        for place in (query, *query.get("also", [])):
            assert found in place["pattern"], name
        assert expected in query["text"], name
        claimed, real = normal(expected, None), normal(found, query.get("unit"))
        assert (claimed == real) == (query["verdict"] == "pass"), (name, claimed, real)
        if query["verdict"] == "fail" and claimed[0] == "text":
            assert not occurs(expected.strip("'`"), query["pattern"]), f"{name}: the false value stands in the line"


def test_the_audit_set_is_the_audit_tasks() -> None:
    """Each task has its query, word for word, with the line and the verdict of its gold answer."""
    tasks = {row["custom_id"]: row for row in rows(FOLDER.parent / "tasks" / "celery-audit.jsonl")}
    gold = {row["custom_id"]: row for row in rows(samples.GOLD)}
    audit = {query["query_id"]: query for query in read("audit")}
    assert audit.keys() == tasks.keys()
    for name, query in audit.items():
        assert query["text"] == tasks[name]["task"]
        for field in ("path", "pattern", "verdict"):
            assert query[field] == gold[name][field]
