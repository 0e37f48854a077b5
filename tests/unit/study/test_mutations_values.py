"""The suite of answers by line: gold lines with proof, and each fault against them."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from replay.contracts import Ruling
from replay.corpus import snapshot, sources
from replay.corpus.retrieval import SnapshotRetriever
from replay.settings import Settings
from replay.study.mutations import VALUE_FAULTS, VALUE_PARAPHRASES, Claim, MutationCase, claim_of, value_cases
from replay.study.mutations.value_faults import holds

ROOT = Path(__file__).parents[3]
PACKAGES = ("typer", "starlette")


@cache
def claims() -> tuple[Claim, ...]:
    """Claims with proved lines about two libraries."""
    lines = (ROOT / "data" / "retrieval" / "generated.jsonl").read_text(encoding="utf-8").splitlines()
    found = [claim_of(json.loads(line)) for line in lines]
    return tuple(claim for claim in found if claim is not None and claim.package in PACKAGES)


@cache
def suite() -> tuple[MutationCase, ...]:
    """A few cases of every class."""
    with TemporaryDirectory() as folder:
        records = [record for package in PACKAGES for record in sources.stream(f"package:{package}")]
        retriever = SnapshotRetriever(snapshot.write(records, Path(folder)), Settings())
        return tuple(value_cases(claims(), retriever.retrieve, seed=1, per_class=6))


def of_class(name: str) -> list[MutationCase]:
    """The cases of one class."""
    return [case for case in suite() if name in (case.mutation, case.paraphrase)]


# The two libraries have hardly a duration and few names twice; the whole split has.
@pytest.mark.parametrize(
    "name", [n for n in (*VALUE_FAULTS, *VALUE_PARAPHRASES) if n not in ("value_unit", "value_owner")]
)
def test_each_class_yields_cases(name: str) -> None:
    """The claims of two libraries offer places for it."""
    assert len(of_class(name)) >= 3


def test_the_right_answer_cites_a_shown_line_that_holds_the_found_value() -> None:
    """Gold answers resolve: id, record and quote are one shown line, and the value stands in it."""
    for case in of_class("value_untouched"):
        cite = case.output.findings[0].cites[0]
        line = next(line for line in case.bundle.lines if line.line_id == cite.line_id)
        assert (cite.record_id, cite.quote) == (line.record_id, line.text)
        assert (case.output.findings[0].found or "\n") in line.text


def test_a_case_keeps_its_whole_bundle_and_the_values() -> None:
    """Lines, paths and scores are there to judge by, and the finding has both values and the line's id."""
    wire = of_class("value_untouched")[0].wire()
    assert wire["bundle"]["lines"]
    assert {"claim", "expected", "found", "cites"} == set(wire["output"]["findings"][0])
    assert "line_id" in wire["output"]["findings"][0]["cites"][0]


def test_a_changed_value_is_not_in_the_cited_line() -> None:
    """Nothing in the line could be the value that is said to be found there."""
    for case in of_class("value_found"):
        finding = case.output.findings[0]
        assert not holds(finding.found or "", finding.cites[0].quote or "")


def test_verdicts_are_turned_both_ways() -> None:
    """One class fails what agrees, the other passes what differs."""
    assert {case.output.verdict for case in of_class("value_verdict")} == {Ruling.FAIL}
    assert {case.output.verdict for case in of_class("value_pass_over_fail")} == {Ruling.PASS}


def test_a_swapped_line_is_another_shown_line() -> None:
    """It is in the bundle, so only what it says can tell that it is wrong."""
    for case in of_class("value_line"):
        cite = case.output.findings[0].cites[0]
        assert any((line.line_id, line.text) == (cite.line_id, cite.quote) for line in case.bundle.lines)


def test_a_claim_without_a_deciding_line_is_left_out() -> None:
    """What does not exist has only a nearest line, which decides nothing."""
    row = {"query_id": "a", "text": "t", "verdict": "fail", "path": "p", "pattern": "x", "expected": "1"}
    assert claim_of({**row, "found": None}) is None
    assert claim_of({**row, "found": "2", "absent": "no_such_thing"}) is None
    assert claim_of({**row, "found": "2"}) is not None
