"""The suite of prose answers: what each class of faults and paraphrases promises, on real docstrings."""

import json
import re
from collections.abc import Sequence
from functools import cache
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.contracts import Record
from replay.corpus import sources
from replay.study.mutations import FAULTS, PARAPHRASES, MutationCase, cases, numerals
from replay.study.mutations.editing import cited_text, normal, overlap, stands_in
from replay.study.mutations.meaning import flipped
from replay.study.mutations.synonyms import replaced

PER_CLASS = 3


@cache
def records() -> Sequence[Record]:
    """Docstrings of two schools."""
    return [record for package in ("rich", "jinja2") for record in sources.stream(f"package:{package}")]


@cache
def suite() -> tuple[MutationCase, ...]:
    """A few cases of every class."""
    return tuple(cases(records(), seed=1, per_class=PER_CLASS))


def of_class(name: str) -> list[MutationCase]:
    """The cases of one class."""
    return [case for case in suite() if name in (case.mutation, case.paraphrase)]


def wire_bytes(seed: int) -> str:
    """A small suite as it would be written to a file."""
    made = cases(records()[-300:], seed=seed, per_class=1, classes=("wrong_number", "hedge", "synonym"))
    return "\n".join(json.dumps(case.wire(), sort_keys=True) for case in made)


@pytest.mark.parametrize("name", [*FAULTS, *PARAPHRASES])
def test_each_class_yields_the_cases_that_were_asked_for(name: str) -> None:
    """Two libraries offer enough places for every class."""
    assert len(of_class(name)) == PER_CLASS


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    """A suite can be made again anywhere."""
    assert wire_bytes(3) == wire_bytes(3)
    assert wire_bytes(3) != wire_bytes(4)


def test_a_case_has_the_form_of_the_shared_sample() -> None:
    """What reads the sample reads a suite file."""
    for case in suite():
        wire = case.wire()
        assert set(wire) == {"case_id", "task", "bundle", "output", "label"}
        assert set(wire["task"]) == {"input", "checklist"}
        assert set(wire["output"]) == {"findings", "checks", "verdict", "proposals"}
        assert all({"id", "kind", "text", "title"} <= set(record) for record in wire["bundle"]["records"])
        assert wire["label"]["accept"] is (wire["label"]["mutation"] is None)
        assert ("paraphrase" in wire["label"]) is wire["label"]["accept"]


def test_gold_answers_have_three_to_eight_findings_over_eight_records() -> None:
    """Untouched answers are as long as was asked for, and each quote stands verbatim in its record."""
    for case in of_class("untouched"):
        assert 3 <= len(case.output.findings) <= 8
        assert len(case.bundle.records()) == 8
        for finding in case.output.findings:
            for cite in finding.cites:
                assert cite.quote
                assert cite.quote in case.bundle.records()[cite.record_id].text
                assert cite.quote in finding.claim


@pytest.mark.parametrize("name", ["wrong_number", "wrong_unit", "wrong_identifier", "polarity_flip", "misbound_number"])
def test_a_changed_claim_no_longer_stands_in_what_it_cites(name: str) -> None:
    """Somewhere a claim departs from every sentence of its record."""
    for case in of_class(name):
        departing = [
            finding
            for finding in case.output.findings
            if any(normal(cite.quote or "") not in normal(finding.claim) for cite in finding.cites)
            or not re.search(r"[\w.]+\.\w+", finding.claim)
            or any(word not in cited_text(finding, case.bundle) for word in re.findall(r"\w+\.[\w.]*\w", finding.claim))
        ]
        assert departing


def test_a_wrong_number_stands_nowhere_in_the_cited_records() -> None:
    """Neither in digits nor in words, so that nothing could support it."""
    for case in of_class("wrong_number"):
        fresh = [
            value
            for finding in case.output.findings
            for value in numerals.values(finding.claim) - numerals.values(cited_text(finding, case.bundle))
        ]
        assert fresh


def test_a_misbound_number_does_stand_in_the_cited_records() -> None:
    """The number is right; it belongs to another thing."""
    for case in of_class("misbound_number"):
        for finding in case.output.findings:
            assert numerals.values(finding.claim) <= numerals.values(cited_text(finding, case.bundle))


def test_a_swapped_citation_does_not_support_the_claim_as_well() -> None:
    """Some finding cites a record of the bundle that shares little with its claim or lacks the quote."""
    for case in of_class("swapped_citation"):
        assert any(
            not stands_in(cite.quote or "", case.bundle.records()[cite.record_id].text)
            or overlap(finding.claim, cited_text(finding, case.bundle)) < 0.8
            for finding in case.output.findings
            for cite in finding.cites
        )


def test_a_foreign_citation_names_something_outside_of_the_bundle() -> None:
    """No record of the bundle has that id."""
    for case in of_class("foreign_citation"):
        known = case.bundle.records()
        assert any(cite.record_id not in known for finding in case.output.findings for cite in finding.cites)


def test_an_altered_quote_is_not_in_its_record() -> None:
    """Not even when marks, case and spaces are left aside."""
    for case in of_class("altered_quote"):
        assert any(
            not stands_in(cite.quote or "", case.bundle.records()[cite.record_id].text)
            for finding in case.output.findings
            for cite in finding.cites
        )


def test_the_evidence_of_a_stale_fact_has_both_values() -> None:
    """The old value is in the cited record, and the claim is not what the record says today."""
    for case in of_class("stale_fact"):
        stale = [
            finding
            for finding in case.output.findings
            if not any(cite.quote and cite.quote in finding.claim for cite in finding.cites)
        ]
        assert stale
        for finding in stale:
            assert numerals.values(finding.claim) <= numerals.values(cited_text(finding, case.bundle))


def test_a_copied_exemplar_says_nothing_about_what_the_task_names() -> None:
    """Its findings are right about their own records, and no name of those stands in the task."""
    for case in of_class("copied_exemplar"):
        for finding in case.output.findings:
            name = case.bundle.records()[finding.cites[0].record_id].title
            assert not re.search(rf"{re.escape(name)}(?![\w.]*\w)", case.task)


def test_wrong_places_are_not_those_of_the_record() -> None:
    """A wrong path or range of lines occurs nowhere in the record that is cited."""
    pattern = re.compile(r"[\w./-]+\.py(?::| lines |, lines )\d+-\d+")
    for case in (*of_class("wrong_path"), *of_class("wrong_lines")):
        assert any(
            re.sub(r",? lines ", ":", place) not in cited_text(finding, case.bundle)
            for finding in case.output.findings
            for place in pattern.findall(finding.claim)
        )


def test_classes_are_made_in_many_ways() -> None:
    """No class is one template: of the words that thirty hedges put in, many differ."""
    made = cases(records(), seed=9, per_class=30, classes=("hedge",))
    added = set()
    for case in made:
        for finding in case.output.findings:
            quoted = " ".join(cite.quote or "" for cite in finding.cites)
            added |= {word for word in normal(finding.claim).split() if word not in normal(quoted)}
    assert (
        len(added & {"probably", "possibly", "perhaps", "likely", "presumably", "think", "seems", "guess", "may"}) > 4
    )


@pytest.mark.parametrize(
    ("sentence", "opposite"),
    [
        ("It can be called twice.", "It cannot be called twice."),
        ("The value is never read.", "The value is always read."),
        ("Defaults to True.", "Defaults to False."),
        ("Runs before the request.", "Runs after the request."),
        ("Returns None.", "Never returns None."),
    ],
)
def test_polarity_is_flipped_in_several_ways(sentence: str, opposite: str) -> None:
    """Among the draws is the opposite that a reader expects."""
    assert opposite in {flipped(sentence, Random(seed)) for seed in range(30)}  # noqa: S311  a draw, no secret


@pytest.mark.parametrize("sentence", ["Check whether it is open", "See how this can be done"])
def test_a_question_has_no_opposite(sentence: str) -> None:
    """A negated question asks the same, and is left alone."""
    assert all(
        " not " not in (flipped(sentence, Random(seed)) or "").removeprefix("Do not ")  # noqa: S311  a draw
        for seed in range(20)
    )


@given(st.sampled_from(["4", "two", "0.5", "100", "12", "seven"]), st.integers(0, 10**6), st.text(max_size=30))
def test_another_number_is_never_one_that_the_evidence_has(written: str, seed: int, evidence: str) -> None:
    """Whatever stands in the evidence, the new number differs from it and from the old one."""
    new = numerals.another(written, evidence, Random(seed))  # noqa: S311  a draw, no secret
    if new is not None:
        assert numerals.value(new) != numerals.value(written)
        assert numerals.value(new) not in numerals.values(evidence)


def test_synonyms_leave_names_and_compounds_alone() -> None:
    """No replacement within backticks, and none where the pair does not mean the same."""
    assert replaced("Calls `creates` once") == []
    assert replaced("a multiple of three") == []
    assert "It gives an additional hint".replace("additional", "further").replace("an ", "a ") in replaced(
        "It gives an additional hint"
    )
