"""Plausible claims that a line does not decide, beside the nearest ones that it does."""

from __future__ import annotations

from itertools import product

import pytest

from replay import assertion
from replay.answers import schema
from replay.contracts import Ruling
from replay.gate import judge
from tests.factories import make_bundle, make_generation, make_reply, make_task


def _accepted(claim: str, source: str, title: str = "pkg.module.get") -> set[Ruling]:
    """The verdicts that the gate accepts, of all that a model can answer under the schema."""
    task, bundle = make_task(claim), make_bundle(source, title=title, path="pkg/module.py")
    found = set()
    for choice in schema(task, bundle)["properties"]["findings"]["items"]["anyOf"][:-1]:
        fields = choice["properties"]
        for value, expected in product(fields["found"]["enum"], fields["expected"]["enum"]):
            reply = make_reply(fields["line"]["const"], value, expected)
            answer, verdict = judge(task, bundle, make_generation(reply))
            if answer is not None and verdict.accepted:
                found.add(answer.verdict)
    return found


RAISES = "def get(key):\n    if not key:\n        raise KeyError(\n            'the key is not a word'\n        )\n"


@pytest.mark.parametrize(
    ("claim", "decided"),
    [
        ("get raises KeyError: the key is not a word.", {Ruling.PASS}),
        ("get raises ValueError: the key is not a word.", {Ruling.FAIL}),
        ("An empty key gives KeyError: the key is empty.", set()),
        ("get raises KeyError: not the key.", set()),
        ("get swallows KeyError if the key is not a word.", set()),
        ("get ignores KeyError if the key is a word.", set()),
        ("get hides ValueError if the key is a word.", set()),
    ],
)
def test_an_error_is_the_one_that_is_raised_and_with_its_message(claim: str, decided: set[Ruling]) -> None:
    """Another message, a "not" said of something else, and an error that is swallowed are not what is raised."""
    assert _accepted(claim, RAISES) == decided


@pytest.mark.parametrize(("state", "decided"), [("missing", {Ruling.PASS}), ("present", set())])
def test_a_condition_is_not_the_opposite_of_what_is_raised(state: str, decided: set[Ruling]) -> None:
    """Raised where the key is missing, it is not raised where it is present."""
    source = "def get(key):\n    if key is missing:\n        raise KeyError('the key is missing')\n"
    assert _accepted(f"get raises KeyError if the key is {state}.", source) == decided


@pytest.mark.parametrize(
    ("claim", "decided"),
    [
        ("Whoever catches BaseError also catches TimeoutError.", {Ruling.PASS}),
        ("Catching BaseError also catches TimeoutError.", {Ruling.PASS}),
        ("Catching TimeoutError also catches BaseError.", set()),
        ("An except clause for TimeoutError also catches BaseError.", set()),
        ("Code that handles TimeoutError also handles BaseError.", set()),
        ("Whoever catches RootError also catches TimeoutError.", set()),  # which BaseError may derive from
    ],
)
def test_who_is_caught_with_whom_has_a_direction(claim: str, decided: set[Ruling]) -> None:
    """And a base that is not shown may derive from what is claimed."""
    assert _accepted(claim, "class TimeoutError(BaseError):\n    pass\n", "pkg.module") == decided


@pytest.mark.parametrize(("base", "decided"), [("ValueError", {Ruling.FAIL}), ("IndexError", set())])
def test_what_python_itself_derives_is_known(base: str, decided: set[Ruling]) -> None:
    """`IndexError` is caught with `LookupError`, `ValueError` is not."""
    claim = "Whoever catches LookupError also catches PlaceError."
    assert _accepted(claim, f"class PlaceError({base}):\n    pass\n", "pkg.module") == decided


@pytest.mark.parametrize(
    ("claim", "decided"),
    [
        ("The retry_delay of Client is not set.", {Ruling.PASS}),
        ("The retry_delay of Client is not set by default.", {Ruling.PASS}),
        ("The retry_delay of Client is not set to None.", set()),
        ("The retry_delay of Client is not set anywhere but in tests.", set()),
        ("If retry_delay is not set, the delay of Client is 4.", set()),
    ],
)
def test_not_set_is_a_value_only_where_nothing_follows(claim: str, decided: set[Ruling]) -> None:
    """Before a value it denies it, and in a condition it is none that is claimed."""
    assert _accepted(claim, "class Client:\n    retry_delay = None\n", "pkg.module.Client") == decided


@pytest.mark.parametrize(
    ("claim", "text", "decided"),
    [
        ("The default dialect of Client is PostgreSQL.", "sqlite", {Ruling.FAIL}),
        ("The default dialect of Client is PostgreSQL.", "postgres", set()),
        ("The default dialect of Client is `ansi-sql`.", "ansi_sql", set()),
        ("The default dialect of Client is localhost.", "127.0.0.1", set()),
    ],
)
def test_another_spelling_refutes_nothing(claim: str, text: str, decided: set[Ruling]) -> None:
    """A text that may be the claimed word written otherwise, in short or in figures, is no counter-value."""
    source = f"class Client:\n    dialect = '{text}'\n"
    assert _accepted(claim, source, "pkg.module.Client") == decided


TABLES = """\
TABLES = Namespace(
    beat=Namespace(
        worker=Namespace(
            pool=Option('solo'),
        ),
    ),
)
"""
CALL = """\
def start(app, worker=None):
    pool = 'solo'
"""


@pytest.mark.parametrize(
    ("claim", "source", "decided"),
    [
        ("worker_pool is 'solo'.", TABLES, {Ruling.PASS}),
        ("worker_pool is 'prefork'.", TABLES, {Ruling.FAIL}),
        ("beat_pool is 'solo'.", TABLES, set()),
        ("worker_pool is 'solo'.", CALL, set()),
    ],
)
def test_a_name_is_made_of_its_own_table_and_key(claim: str, source: str, decided: set[Ruling]) -> None:
    """Not of a table further out, and not of an argument of the function that the line is in."""
    assert _accepted(claim, source, "pkg.module") == decided


def test_catches_it_names_no_class() -> None:
    """The name of a class begins with a capital."""
    assert assertion.caught("whoever catches it also catches more") is None
