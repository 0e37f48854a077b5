"""An answer laid open, and its Markdown, out of which no text breaks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from replay import pipeline
from replay.contracts import (
    Answer,
    Attempt,
    Bundle,
    Check,
    Cite,
    Finding,
    Generation,
    Hit,
    Record,
    RecordKind,
    ReplayRun,
    Ruling,
    State,
    Tier,
)
from replay.gate import judge, judge_answer
from replay.study.explained_markdown import cell, code, marked, to_markdown
from replay.study.explaining import Explanation, explain
from tests.batches import make_run
from tests.factories import make_bundle, make_generation, make_task

QUOTE = "The pool opens at most 8 sockets."
TEXT = f"net.Pool: a pool\n\nIt is shared.\n{QUOTE}\nThey are closed.\n\nEnd."


def answered(
    *findings: Finding, text: str = TEXT, task: str = "Audit what is said of net.Pool", checks: Sequence[Check] = ()
) -> ReplayRun:
    """The evidence of an answer over one note, judged."""
    record = Record(record_id="r0", kind=RecordKind.NOTE, text=text, title="net.Pool")
    bundle = Bundle(playbook=(Hit(record=record, score=1.0, scorer="jaccard.v1"),))
    asked = make_task(task)
    answer = Answer(findings=findings, verdict=Ruling.PASS, checks=tuple(checks))
    return _run(asked, bundle, answer=answer, verdict=judge_answer(asked, bundle, answer))


def _run(task: object, bundle: Bundle, **fields: object) -> ReplayRun:
    attempt = Attempt.model_validate(
        {"attempt_id": "att_1", "tier": Tier.LOCAL, "repeat": 0, "prompt_hash": "sha256:0", **fields}
    )
    run = pipeline.end_without_attempt(task, State.REJECTED, "why", bundle=bundle)  # type: ignore[arg-type]  # a task
    return run.model_copy(update={"attempt": attempt})


def replied(generation: Generation) -> ReplayRun:
    """The evidence of a reply of which no answer could be read."""
    answer, verdict = judge(make_task(), make_bundle(), generation)
    return _run(make_task(), make_bundle(), generation=generation, answer=answer, verdict=verdict)


def finding(claim: str, quote: str | None = QUOTE, record_id: str = "r0") -> Finding:
    """A claim that cites the note."""
    return Finding(claim=claim, cites=(Cite(record_id=record_id, quote=quote),))


def test_a_cited_line_stands_with_its_number_among_its_neighbours() -> None:
    """Numbers count in the file where there is one, and else in the record."""
    (laid,) = explain(answered(finding(QUOTE))).findings
    (citation,) = laid.citations
    assert [(line.number, line.cited) for line in citation.lines] == [
        (2, False), (3, False), (4, True), (5, False), (6, False)
    ]  # fmt: skip
    assert (citation.left_out, citation.stands, citation.place) == (2, True, "net.Pool")
    (by_line,) = explain(make_run(make_task())).findings
    assert [line.number for line in by_line.citations[0].lines if line.cited] == [402]
    assert by_line.citations[0].place == "kombu/transport/redis.py:400-404"


def test_what_nothing_backs_is_placed_in_the_claim() -> None:
    """Beginning and end in characters, from the verdict's own audit."""
    (laid,) = explain(answered(finding(f"{QUOTE[:-1]} with quadratic cost."))).findings
    assert [laid.claim[start:end] for start, end in laid.unsupported] == ["quadratic cost"]
    assert marked(laid.claim, laid.unsupported).endswith("with ⟦quadratic cost⟧.")
    assert laid.score is not None
    assert laid.score < 1


def test_a_reason_stands_under_its_finding_and_the_rest_apart() -> None:
    """Of two findings the one that says what the reason is about."""
    explanation = explain(answered(finding(QUOTE), finding(f"{QUOTE[:-1]} with quadratic cost.")))
    first, second = explanation.findings
    assert (first.reasons, [reason.rule for reason in second.reasons]) == ((), ["support.unsupported"])
    assert (explanation.reasons, explanation.decision) == ((), "rejected")
    lacking = explain(answered(finding(QUOTE), task="Audit what is said of net.Pool and net.Server"))
    assert lacking.findings[0].reasons == ()
    assert {"verdict.pass_without_literal", "coverage.subject"} == {reason.rule for reason in lacking.reasons}


def test_citations_that_do_not_hold_are_told() -> None:
    """A record that is not there, a quote that is not in it, and a record cited as a whole."""
    explanation = explain(answered(finding("a", "x", "gone"), finding("b", "not there"), finding("c", None)))
    gone, altered, whole = (laid.citations[0] for laid in explanation.findings)
    assert (gone.kind, gone.stands) == ("", False)
    assert (altered.kind, altered.stands) == ("note", False)
    assert (whole.stands, whole.lines[0].number, whole.left_out) == (True, 1, 0)


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (
            make_run(make_task(), State.FAILED, None, reason="poison: started 3 times"),
            "ended without an attempt: poison",
        ),
        (_run(make_task(), make_bundle(), fault="connection refused"), "says nothing of the task: connection refused"),
        (replied(make_generation("{", finish_reason="length")), "did not arrive whole"),
        (replied(make_generation("One hour.")), "not of the answer's form"),
    ],
)
def test_why_there_is_no_answer_is_told_honestly(run: ReplayRun, told: str) -> None:
    """A transport fault is not the model's, and a bad form is."""
    explanation = explain(run)
    assert told in explanation.no_answer
    assert explanation.findings == ()
    assert told in to_markdown(explanation)


def test_an_answer_of_an_early_gate_is_measured_now() -> None:
    """And it says so."""
    explanation = explain(make_run(make_task()))
    assert (explanation.measured_now, explanation.findings[0].score) == (True, 1.0)
    assert not explain(answered(finding(QUOTE))).measured_now


HOSTILE = [
    "| a | b |\n|---|---|",
    "```\n# Heading\n```",
    "`` ` ``",
    "<script>alert(1)</script> <b>x</b> &amp;",
    "[link](http://evil.example) ![img](x) <http://evil.example>",
    "# Heading\n- item\n> quote\n---\n**bold**",
    "\\| \\` \\",
    "~~~\n````\n~~~",
    "⟦mine⟧ \x1b[2J \u202e",
]


def tokens(explanation: Explanation) -> set[str]:
    """What a reader of Markdown makes of an explanation: the types of its tokens, but for the text."""
    found: set[str] = set()
    for token in MarkdownIt("commonmark").enable("table").parse(to_markdown(explanation)):
        found |= {token.type, *(child.type for child in token.children or ())}
    return found


OURS = tokens(
    explain(
        answered(finding(QUOTE), finding("It is 9.", "no"), finding("x", None), checks=[Check(item="i", result="pass")])
    )
)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_breaks_out_of_the_markdown(text: str) -> None:
    """Task, claim, quote, record and check bring no token of their own."""
    explanation = explain(
        answered(
            finding(text),
            finding(f"{QUOTE} {text}", text),
            text=f"{text}\n{QUOTE}\n{text}",
            task=f"Audit {text}",
            checks=[Check(item=text, result="pass")],
        )
    )
    assert tokens(explanation) <= OURS
    document = to_markdown(explanation)
    assert not set(document) & {"\x1b", "\u202e"}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(text=st.text("`|\\ ab*<&\n\x1b", max_size=12))
def test_any_text_is_one_code_span(text: str) -> None:
    """In a paragraph and in a cell; a reader gets back what is shown."""
    (inline,) = [t for t in MarkdownIt("commonmark").parse(f"x {code(text)} y") if t.type == "inline"]
    assert [child.type for child in inline.children or ()] == ["text", "code_inline", "text"]
    parsed = MarkdownIt("commonmark").enable("table").parse(f"| a | b |\n|---|---|\n| {cell(text)} | z |\n")
    inner = [t for t in parsed if t.type == "inline"][2:]
    assert [[child.type for child in t.children or ()] for t in inner] == [["code_inline"], ["text"]]
