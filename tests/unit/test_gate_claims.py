"""Claims in prose: what the gate accepts of an answer that quotes its records, and each fault that it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from replay.contracts import Answer, Bundle, Check, Cite, Finding, Hit, Record, RecordKind, Ruling
from replay.gate import judge_answer
from tests.factories import make_task

POOL = (
    "net.Pool: The pool opens at most 8 sockets. A socket that is idle for 90 seconds is closed. Names are resolved "
    "before a socket is opened (see `resolve_host`). Proxies cannot be chained. Only pinned hosts skip the check. "
    "The limit was raised from 4 to 8 in version 2.1. If a host is unknown, LookupError is raised."
)
CACHE = (
    "net.Cache: Entries expire after 15 minutes. The cache holds 4096 entries and 64 MB of data. Entries are always "
    "written to disk. Since release 5.2 the default size is 4096; before, it was 1024."
)
WRITER = "log.Writer: The writer flushes its buffer every 500 ms. Each segment has 16 MB."


def bundle(*extra: str, **fields: Any) -> Bundle:
    """Three records, and more where a test needs them."""
    records = [
        Record(record_id=f"r{number}", kind=RecordKind.EXEMPLAR, text=text)
        for number, text in enumerate((POOL, CACHE, WRITER, *extra))
    ]
    return Bundle(playbook=tuple(Hit(record=record, score=1.0, scorer="jaccard.v1") for record in records), **fields)


def said(claim: str, quote: str | None, record: str = "r0") -> Finding:
    """A finding in prose."""
    return Finding(claim=claim, cites=(Cite(record_id=record, quote=quote),))


def rules(*findings: Finding, task: str = "Audit what is said of net.Pool", **fields: Any) -> set[str]:
    """The rules that object to an answer of these findings."""
    given = fields.pop("bundle", None) or bundle()
    answer = Answer(findings=findings, verdict=fields.pop("verdict", Ruling.PASS), **fields)
    return {reason.rule for reason in judge_answer(make_task(task), given, answer).reasons}


SOCKETS = "The pool opens at most 8 sockets."
IDLE = "A socket that is idle for 90 seconds is closed."
RESOLVED = "Names are resolved before a socket is opened (see `resolve_host`)."


@pytest.mark.parametrize(
    ("claim", "quote"),
    [
        pytest.param(SOCKETS, SOCKETS, id="verbatim"),
        pytest.param(f"The documentation of net.Pool says: {SOCKETS}", SOCKETS, id="introduced"),
        pytest.param(f"net.Pool: {SOCKETS}", SOCKETS, id="named"),
        pytest.param(
            "According to the docs of net.Pool, the pool opens up to eight sockets.", SOCKETS, id="number word"
        ),
        pytest.param("A socket that is idle for 90 s is closed.", IDLE, id="short unit"),
        pytest.param("A socket which is idle for 1.5 minutes is shut.", IDLE, id="other unit and synonym"),
        pytest.param("Names are resolved before a socket is opened.", RESOLVED, id="without the bracket"),
        pytest.param("Proxies can't be chained.", "Proxies cannot be chained.", id="contraction"),
        pytest.param("Proxies are not able to be chained.", "Proxies cannot be chained.", id="phrase"),
        pytest.param(
            "LookupError is raised if a host is unknown.", "If a host is unknown, LookupError is raised.", id="clauses"
        ),
        pytest.param("If a host is unknown, it throws LookupError.", POOL.rpartition(". ")[2], id="active voice"),
        pytest.param(
            "The limit was raised from 4 to 8.", "The limit was raised from 4 to 8 in version 2.1.", id="short"
        ),
    ],
)
def test_accepts_what_its_source_says_in_other_words(claim: str, quote: str) -> None:
    """Prefixes, units, number words, synonyms, contractions, dropped brackets and moved clauses change nothing."""
    assert rules(said(claim, quote)) == set()


@pytest.mark.parametrize(
    ("claim", "quote", "rule"),
    [
        ("The pool opens at most 9 sockets.", SOCKETS, "literals.number"),
        ("The pool opens at most 8 seconds.", SOCKETS, "literals.unit"),
        ("A socket that is idle for 90 minutes is closed.", IDLE, "literals.unit"),
        ("A socket that is idle for 90 lines is closed.", IDLE, "literals.unit"),
        ("The pool opens at least 8 sockets.", SOCKETS, "polarity.opposite"),
        ("Proxies can be chained.", "Proxies cannot be chained.", "polarity.negation"),
        ("Sockets that are idle for 90 seconds are not closed.", IDLE, "polarity.negation"),
        ("Names are resolved after a socket is opened.", RESOLVED, "polarity.opposite"),
        ("Pinned hosts skip the check.", "Only pinned hosts skip the check.", "polarity.strength"),
        ("A socket that is idle for 90 seconds is always closed.", IDLE, "polarity.strength"),
        ("A socket that is idle for 90 seconds is closed without a lock.", IDLE, "support.unsupported"),
        ("The pool opens at most 8 sockets, tracked as ISSUE-4471.", SOCKETS, "literals.unknown"),
        ("The pool opens at most 8 sockets, see net/pool.py:88-102.", SOCKETS, "literals.path"),
        ("The pool opens at most 8 sockets and is deprecated.", SOCKETS, "support.unsupported"),
        ("Names are resolved before a socket is opened (see `resolve_name`).", RESOLVED, "literals.unknown"),
        ("Names are resolved before a socket is opened (see `net.Pool`).", RESOLVED, "binding.name"),
        (f"net.Cache: {SOCKETS}", SOCKETS, "literals.not_cited"),
        ("The limit is 4.", "The limit was raised from 4 to 8 in version 2.1.", "binding.stale"),
        ("It might be that the pool opens at most 8 sockets.", SOCKETS, "form.hedge"),
        ("As an AI language model, I believe the pool opens at most 8 sockets.", SOCKETS, "form.hedge"),
        ("The pool opens at most 8", SOCKETS, "form.truncated"),
        ("The pool opens at most 8 sock", SOCKETS, "form.truncated"),
        ("Names are resolved before a socket is opened (see", RESOLVED, "form.truncated"),
        (f"{SOCKETS} {SOCKETS} {SOCKETS}", SOCKETS, "form.repetition"),
        ("The pool opens \u202eat most 8 sockets.", SOCKETS, "form.unseen_characters"),
        ("…", SOCKETS, "form.empty_claim"),
        ("x " * 2000, SOCKETS, "form.too_long"),
        (SOCKETS, "The pool opens at most 80 sockets.", "citations.altered_quote"),
        (SOCKETS, "The pool opens at most 8 sock", "citations.altered_quote"),
        (SOCKETS, " ", "citations.empty_quote"),
        ("net.Pool is fast and cheap.", SOCKETS, "support.restated"),
    ],
)
def test_refuses_what_its_source_does_not_say(claim: str, quote: str, rule: str) -> None:
    """Each fault is refused by the rule that is about it."""
    assert rule in rules(said(claim, quote))


def test_a_number_of_another_thing_is_refused() -> None:
    """Two numbers that have changed places are both in the quote, and still wrong."""
    quote = "The cache holds 4096 entries and 64 MB of data."
    task = "Audit what is said of net.Cache"
    assert rules(said("The cache holds 4096 entries and 64 MB.", quote, "r1"), task=task) == set()
    assert "binding.number" in rules(said("The default size is 1024.", CACHE.rpartition(". ")[2], "r1"), task=task)
    assert rules(said("The cache holds 64 entries and 4096 MB of data.", quote, "r1"), task=task) & {
        "literals.number",
        "binding.number",
    }


def test_a_whole_record_is_cited_by_no_quote() -> None:
    """Without a quote the sentence of the record that the claim is about is compared."""
    assert rules(said("A socket that is idle for 90 seconds is closed.", None)) == set()
    assert "literals.number" in rules(said("A socket that is idle for 15 seconds is closed.", None))


def test_an_exemplar_that_is_copied_to_another_task_is_refused() -> None:
    """True sentences of a record that the task did not ask about do not answer it."""
    assert "echo.other_subject" in rules(
        said(WRITER.partition(". ")[0][12:] + ".", "The writer flushes its buffer every 500 ms.", "r2")
    )


def test_every_named_subject_is_answered() -> None:
    """A task about two things is not answered by one finding on one of them."""
    task = "Audit what is said of net.Pool and net.Cache"
    both = (said(SOCKETS, SOCKETS), said("Entries expire after 15 minutes.", "Entries expire after 15 minutes.", "r1"))
    assert rules(*both, task=task) == set()
    assert rules(*both[::-1], task=task) == set()
    assert "coverage.subject" in rules(both[0], task=task)


def test_one_finding_is_not_said_twice() -> None:
    """The same claim with and without its introduction is one finding."""
    assert rules(said(SOCKETS, SOCKETS), said(f"net.Pool: {SOCKETS}", SOCKETS)) == {"form.repetition"}


@pytest.mark.parametrize(
    "report",
    [
        "The required check is missing.",
        "No implementation of this was found in the module.",
        "This does not exist; the search found nothing.",
        "The verification did not pass.",
        "The test for this is broken.",
        "This step failed with an error.",
        "Nothing enforces this.",
        "No test covers this.",
        "The limit is not enforced anywhere.",
        "Verdict: fail",
    ],
)
def test_nothing_passes_over_a_reported_failure(report: str) -> None:
    """A finding that reports something failed or missing forbids a pass, and is ground for a fail."""
    record = f"net.Pool: {SOCKETS} {report}"
    given = bundle(record)
    findings = (said(SOCKETS, SOCKETS, "r3"), said(f"net.Pool: {report}", report, "r3"))
    assert "verdict.pass_over_negative" in rules(*findings, bundle=given)
    assert rules(*findings, bundle=given, verdict=Ruling.FAIL) == set()


@pytest.mark.parametrize(
    "sentence",
    [
        "If no handler is found, KeyError is raised.",
        "None is returned if the attribute is not present.",
        "This method is not implemented on Windows.",
        "Return True if the test failed.",
        "Missing values are replaced by zero.",
        "There is no noticeable overhead.",
        "Redirects are not followed by default.",
        "Support for the old format has been removed in 3.0.",
        "Failed tasks are retried.",
    ],
)
def test_a_described_failure_is_no_reported_one(sentence: str) -> None:
    """What happens when something is missing is behaviour, and passes."""
    assert rules(said(sentence, sentence, "r3"), bundle=bundle(f"net.Pool: {sentence}")) == set()


def test_a_fail_needs_a_ground() -> None:
    """An answer that only repeats the source may pass; a fail has to say otherwise than the task."""
    task = "Verify that net.Pool opens at most 16 sockets"
    assert rules(said("The pool opens at most 8 sockets, not 16.", SOCKETS), task=task, verdict=Ruling.FAIL) == set()
    assert rules(said(SOCKETS, SOCKETS), verdict=Ruling.FAIL) == {"verdict.fail_without_ground"}


def test_a_pass_does_not_rest_on_a_claim_that_denies_the_task() -> None:
    """The task says that proxies can be chained; a source that says they cannot does not pass it."""
    claim = "Proxies cannot be chained."
    assert "verdict.pass_against_claim" in rules(
        said(claim, claim), task="Verify that proxies of net.Pool can be chained"
    )


def test_validation_steps_are_answered_or_declared_unknown() -> None:
    """A stored answer says of each step of its bundle how it came out."""
    given = bundle(validation_steps=("Verify the number of sockets.",))
    assert rules(said(SOCKETS, SOCKETS), bundle=given) == {"coverage.unanswered_step"}
    checks = (Check(item="Verify the number of sockets.", result="unknown"),)
    assert rules(said(SOCKETS, SOCKETS), bundle=given, checks=checks) == set()


CODE = "class Pool:\n    max_sockets = 8\n    idle_timeout = 90\n    keep_alive = True\n"


@pytest.mark.parametrize(
    ("claim", "quote", "rule"),
    [
        ("max_sockets is set to 8 in net/pool.py.", "max_sockets = 8", None),
        ("net/pool.py:12 sets idle_timeout to 90 seconds.", "idle_timeout = 90", None),
        ("keep_alive is enabled.", "keep_alive = True", None),
        ("The idle timeout is 90 (net/pool.py:10-13).", None, None),
        ("max_sockets is set to 8 in net/core/pool.py.", "max_sockets = 8", "literals.path"),
        ("net/pool.py:19 sets idle_timeout to 90.", "idle_timeout = 90", "literals.lines"),
        ("net/pool.py:11 sets idle_timeout to 90.", "idle_timeout = 90", "literals.lines"),
        ("idle_timeout is 90 in lines 40-50 of net/pool.py.", "idle_timeout = 90", "literals.lines"),
        ("The max sockets are 90.", None, "literals.number"),
        ("max_sockets is 90.", "idle_timeout = 90", "literals.not_cited"),
        ("The sockets are 90.", "idle_timeout = 90", "binding.name"),
        ("keep_alive is disabled.", "keep_alive = True", "polarity.opposite"),
        ("max_sockets is 8 seconds.", "max_sockets = 8", "literals.unit"),
    ],
)
def test_claims_about_code(claim: str, quote: str | None, rule: str | None) -> None:
    """Names, paths, lines, switches and units of a claim are those of the cited line."""
    record = Record(
        record_id="code",
        kind=RecordKind.SOURCE,
        text=CODE,
        title="net.pool.Pool",
        path="net/pool.py",
        first_line=10,
        last_line=13,
    )
    given = Bundle(passages=(Hit(record=record, score=1.0, scorer="containment.v2"),))
    found = rules(said(claim, quote, "code"), task="Audit the values of net.pool.Pool", bundle=given)
    assert found == set() if rule is None else rule in found


def _verdict(text: str, claim: str, *quotes: str) -> set[str]:
    record = Record(record_id="r1", kind=RecordKind.NOTE, text=text, title="acme.retry")
    bundle = Bundle(playbook=(Hit(record=record, score=1.0, scorer="x"),))
    cites = tuple(Cite(record_id="r1", quote=quote) for quote in quotes)
    answer = Answer(findings=(Finding(claim=claim, cites=cites),), verdict=Ruling.PASS)
    task = make_task("Audit what the documentation says about acme.retry")
    return {reason.rule for reason in judge_answer(task, bundle, answer).reasons}


def test_parts_of_sentences_put_together_are_no_quotation() -> None:
    """Quotes that leave out the negation between them do not make a claim verbatim; whole sentences do."""
    text = "It must not be shared between threads. It is closed at exit."
    assert _verdict(text, "It must be shared between threads.", "It must", "be shared between threads.")
    whole = ("It must not be shared between threads.", "It is closed at exit.")
    assert _verdict(text, f"acme.retry says: {' '.join(whole)}", *whole) == set()


def test_a_quote_does_not_leave_its_negation_behind() -> None:
    """A wrapped sentence that is cited from its second line on is judged with what stands before."""
    text = "It must never be\nshared between threads."
    assert "polarity.negation" in _verdict(text, "acme.retry: shared between threads.", "shared between threads.")


def test_units_are_never_synonyms() -> None:
    """A claim that counts in another unit than its source is refused, with and without a number beside it."""
    text = "The number of characters that a line may have. Time in seconds between two looks."
    assert "literals.unit" in _verdict(
        text, "The number of words that a line may have.", "The number of characters that a line may have."
    )
    assert "literals.unit" in _verdict(
        text, "Time in milliseconds between two looks.", "Time in seconds between two looks."
    )


def test_a_sentence_that_only_attributes_is_no_claim() -> None:
    """`"…" is what X documents`: the words before count; with nothing before, nothing is said."""
    text = "It is closed at exit."
    assert _verdict(text, '"It is closed at exit." is what acme.retry documents.', text) == set()
    assert "support.restated" in _verdict(text, "This is what acme.retry documents.", text)
