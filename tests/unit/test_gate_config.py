"""The gate as a value: rules switched off, thresholds moved, and a version that says so."""

from __future__ import annotations

import pytest

from replay.contracts import Answer, Bundle, Cite, Finding, Hit, Record, RecordKind, Ruling, Verdict
from replay.errors import ConfigurationError
from replay.gate import (
    CODES,
    DEFAULT_GATE,
    FAMILIES,
    GATE_VERSION,
    GATES,
    Gate,
    Thresholds,
    gate_without,
    judge,
    judge_answer,
)
from tests.factories import make_bundle, make_generation, make_reply, make_task

QUOTE = "The pool opens at most 8 sockets."


def judged(claim: str, gate: Gate) -> Verdict:
    """A claim on one record, judged by a gate."""
    record = Record(record_id="r0", kind=RecordKind.NOTE, text=f"net.Pool: {QUOTE}")
    answer = Answer(findings=(Finding(claim=claim, cites=(Cite(record_id="r0", quote=QUOTE),)),), verdict=Ruling.PASS)
    bundle = Bundle(playbook=(Hit(record=record, score=1.0, scorer="jaccard.v1"),))
    return judge_answer(make_task("Audit what is said of net.Pool"), bundle, answer, gate)


def test_a_rule_that_is_off_does_not_object_and_the_verdict_says_so() -> None:
    """One rule off is named in the version; the others still judge."""
    gate = gate_without("form.hedge")
    hedged = "The pool may open at most 8 sockets."
    assert [reason.rule for reason in judged(hedged, DEFAULT_GATE).reasons] == ["form.hedge"]
    assert judged(hedged, gate).accepted
    assert judged(hedged, gate).gate_version == f"{GATE_VERSION}-form.hedge"
    assert not judged("The pool may open at most 9 sockets.", gate).accepted


def test_versions_tell_gates_apart() -> None:
    """The default has its name; several rules off, or a moved threshold, give a hash that the order does not change."""
    assert DEFAULT_GATE.version == GATE_VERSION == gate_without("").version
    one, other = gate_without("form.hedge, echo.other_subject"), gate_without("echo.other_subject form.hedge")
    assert one.version == other.version
    assert len({DEFAULT_GATE.version, one.version, Gate(thresholds=Thresholds(rival_lead=0.2)).version}) == 3


def test_an_unknown_rule_is_a_mistake_of_configuration() -> None:
    """A code that no rule has is refused with the list of those that exist."""
    with pytest.raises(ConfigurationError, match=r"no rule 'form.hegde'") as caught:
        gate_without("form.hegde")
    assert "form.hedge" in caught.value.hint


def test_each_rule_can_be_switched_off() -> None:
    """Every code gives a gate of its own version, and with all off an answer of any content passes."""
    assert len({gate_without(code).version for code in CODES}) == len(CODES)
    assert judged("Nonsense 17.", Gate(off=CODES)).accepted


def test_the_transport_and_format_rules_are_rules_like_others() -> None:
    """A cut reply that can be read is judged where its rule is off; one that cannot be read is never accepted."""
    cut = make_generation(make_reply(), finish_reason="length")
    assert judge(make_task(), make_bundle(), cut, gate_without("transport.truncated"))[1].accepted
    prose = make_generation("no JSON")
    assert not judge(make_task(), make_bundle(), prose, Gate(off=CODES))[1].accepted


def test_history_can_be_judged_by_name() -> None:
    """The registry holds the current gate and the structural one, which lets inventions through."""
    assert GATES[GATE_VERSION] == DEFAULT_GATE
    assert all(gate.version == name for name, gate in GATES.items())
    structural = GATES[f"{GATE_VERSION}-structural"]
    assert judged("The pool opens at most 9 sockets, by policy.", structural).accepted
    assert not judged("", structural).accepted


def test_every_code_belongs_to_one_family_of_rules() -> None:
    """Codes are `family.what`, and each is given by some rule."""
    given = [code for family in FAMILIES for rule in family for code in rule.codes]
    assert {code.partition(".")[0] for code in CODES} == {
        "transport",
        "form",
        "citations",
        "literals",
        "binding",
        "polarity",
        "verdict",
        "support",
        "coverage",
        "echo",
    }
    assert set(given) <= CODES
