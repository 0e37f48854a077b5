"""Reading a task: its tokens, their other forms, what it is about, and where."""

from __future__ import annotations

import pytest

from replay.corpus.abbreviations import forms
from replay.corpus.asking import Kind, asked
from replay.corpus.scope import Origins
from replay.corpus.tokens import query_tokens


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Verify that the pool size defaults to 4.", Kind.VALUE),
        ("Verify that the MongoDB document size is 16 MB.", Kind.VALUE),
        ("Check that a closed pool raises RuntimeError.", Kind.FAILURE),
        ("Check that acquire fails with a PoolError.", Kind.FAILURE),
        ("Verify that `size` is deprecated.", Kind.FAILURE),
        ("Verify that PoolError derives from RuntimeError.", Kind.CLASS),
        ("Verify that PoolError is a RuntimeError.", Kind.CLASS),
        ("Check that there is a Pool class.", Kind.CLASS),
        ("Check that the documentation of Pool names the error.", Kind.DOCUMENTATION),
    ],
)
def test_what_a_task_is_about_is_told_by_its_words(text: str, kind: Kind) -> None:
    """A value unless it speaks of failing, of classes or of documentation."""
    assert asked(text).kind is kind


def test_each_token_is_one_concept_with_its_other_forms() -> None:
    """Asked token first, none twice; words of asking find no record but tell lines apart."""
    text = "Verify that the maximum (max) timeout value is used."
    found = asked(text)
    assert found.tokens == query_tokens(text)
    assert found.concepts == (("max", "maximum"), ("timeout",), ("used",), ("value",))
    assert not {"value", "used"} & found.tokens
    assert asked("???").concepts == ()


def test_a_phrase_implies_the_word_that_code_has_for_it() -> None:
    """A duration is a timeout or the like, a bound a maximum; not where the task has the word itself."""
    (duration,) = asked("the pool waits 30 seconds").implied
    assert {"timeout", "interval", "ttl"} < set(duration)
    assert "wait" not in duration
    assert asked("the timeout is 30 seconds").implied == ()
    assert asked("at most 4 connections").implied == (("limit", "max", "maximum"),)
    assert asked("at least 4 connections").implied == (("min", "minimum"),)
    assert asked("a maximum of up to 4").implied == ()
    assert asked("the pool size is 4").implied == ()


def test_forms_go_both_ways_and_to_no_word_itself() -> None:
    """`config` finds `conf`, and `conf` finds `configuration`."""
    assert set(forms("configuration")) == {"configure", "config", "conf", "cfg"}
    assert "configuration" in forms("cfg")
    assert "max" not in forms("max")
    assert forms("timeout") == ()


def test_a_task_names_where_to_look() -> None:
    """By the name of a package or folder, with or without the affix that says Python."""
    origins = Origins(["celery 5.7.0", "redis 8.1.0", "python-dateutil 2.9", "my_app"])
    assert origins.named_in("Verify that Celery's task …") == {"celery 5.7.0"}
    assert origins.named_in("celery.app.defaults and celery/app.py") == {"celery 5.7.0"}
    assert origins.named_in("Celery's Redis backend") == {"celery 5.7.0", "redis 8.1.0"}
    assert origins.named_in("redis-py's Celery pool") == {"redis 8.1.0"}
    assert origins.named_in("dateutil") == origins.named_in("python-dateutil") == {"python-dateutil 2.9"}
    assert origins.named_in("my-app") == {"my_app"}
    assert origins.named_in("redis-client of nobody") == frozenset()
