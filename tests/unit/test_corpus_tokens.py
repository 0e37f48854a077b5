"""The tokenizer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.corpus.tokens import STOP_WORDS, query_tokens, singular, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("visibility_timeout", {"visibility_timeout", "visibility", "timeout"}),
        ("BlockingConnectionPool", {"blockingconnectionpool", "blocking", "connection", "pool"}),
        ("HTTPServer", {"httpserver", "http", "server"}),
        ("__init__", {"__init__", "init"}),
        ("app.conf.serializer", {"app.conf.serializer", "conf.serializer", "app", "conf", "serializer"}),
        ("celery/app/beat.py", {"celery/app/beat.py", "beat.py", "celery", "app", "beat", "py"}),
        ("max-tasks-per-child", {"max_tasks_per_child", "max", "task", "per", "child"}),
        ("3_600 3,600 3600", {"3600"}),
        ("60.0", {"60.0", "60"}),
        ("0.25", {"0.25"}),
        ("10ms", {"10ms", "10", "ms"}),
        ("5.7.0", {"5.7.0"}),
        ("Größe", {"größe"}),
        ("f(1, 2,300)", {"f", "1", "2300"}),
        ("… --- ()", set()),
        ("", set()),
    ],
)
def test_what_a_text_gives(text: str, expected: set[str]) -> None:
    """Identifiers, dotted names, paths and numbers are found whole and in parts, lower-cased."""
    assert tokens(text) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("limits", "limit"),
        ("retries", "retry"),
        ("class", "class"),
        ("redis", "redis"),
        ("status", "status"),
        ("s", "s"),
    ],
)
def test_plural(word: str, expected: str) -> None:
    """A plural loses its ending; a word that merely ends in s does not."""
    assert singular(word) == expected


def test_words_of_asking_are_dropped_from_the_query_only() -> None:
    """A query drops `verify that … defaults to`; a record may well be about a default."""
    assert query_tokens("Verify that the pool limit defaults to 10.") == {"pool", "limit", "10"}
    assert {"verify", "that", "default"} <= tokens("verify that it defaults")


def test_a_stop_word_inside_a_name_stays() -> None:
    """`default_port` keeps both its parts: the name is what is asked about."""
    assert query_tokens("default_port") == {"default_port", "default", "port"}
    assert "default" in STOP_WORDS


@given(st.text())
def test_tokens_are_lower_case_words_of_any_text(text: str) -> None:
    """Any text has tokens, none is empty, and the query's are among them."""
    found = tokens(text)
    assert all(token and token == token.lower() for token in found)
    assert query_tokens(text) <= found
