"""Lines of cases: what gives a case, and what is said of one that gives none."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replay.contracts import Answer, Generation
from replay.corpus.jsonlines import RawLine
from replay.study import cases
from replay.study.cases import BadCase, NoAnswer
from replay.study.scoring import Label
from tests.factories import SOURCE, make_bundle, make_reply, make_task

QUOTE = "visibility_timeout = 3600  # 1 hour"
LINE: dict[str, Any] = {
    "case_id": "c1",
    "task": {"input": make_task().text, "checklist": []},
    "bundle": {
        "records": [
            {"id": "r1", "kind": "source", "text": SOURCE, "path": "kombu/redis.py", "first_line": 400, "score": 3},
            {"id": "r2", "kind": "exemplar", "text": "Another thing."},
            {"id": "r3", "kind": "warning", "text": "Beware."},
        ],
        "validation_steps": [],
    },
    "output": {
        "findings": [
            {"claim": "", "expected": "1 hour", "found": "3600", "cites": [{"record_id": "r1", "quote": QUOTE}]}
        ],
        "checks": [],
        "verdict": "pass",
        "proposals": [],
    },
    "label": {"accept": True, "mutation": None},
}


def raw(content: Any, number: int = 1) -> RawLine:
    """A line of a file; what is not bytes becomes JSON."""
    encoded = content if isinstance(content, bytes) else json.dumps(content).encode()
    return RawLine(number, encoded, len(encoded))


def test_a_line_becomes_what_the_gate_judges() -> None:
    """Sources are passages, other records the playbook; exemplars and warnings are named; what is unknown is left."""
    case = cases.parse(raw(LINE))
    assert [hit.record.record_id for hit in case.bundle.passages] == ["r1"]
    assert [hit.record.record_id for hit in case.bundle.playbook] == ["r2", "r3"]
    assert (case.bundle.exemplars, case.bundle.warnings) == (("r2",), ("r3",))
    assert (case.case_id, case.label) == ("c1", Label(accept=True))
    assert case.verdict().accepted


def test_a_wrong_answer_is_rejected() -> None:
    """The verdict is the gate's own."""
    output = LINE["output"] | {"verdict": "fail"}
    verdict = cases.parse(raw(LINE | {"output": output})).verdict()
    assert "verdict.contradicts_findings" in {reason.rule for reason in verdict.reasons}


def test_a_stored_bundle_and_a_reply_as_it_came() -> None:
    """With its lines a bundle can be pointed into, and a text is what a model wrote."""
    line = LINE | {"bundle": make_bundle().wire(), "output": make_reply()}
    case = cases.parse(raw(line))
    assert isinstance(case.output, Generation)
    assert case.bundle == make_bundle()
    assert case.verdict().accepted
    assert not cases.parse(raw(line | {"output": "no JSON"})).verdict().accepted


def test_a_stored_answer_and_a_step_as_item() -> None:
    """`step` names a validation step, which is an item like any other."""
    stored = Answer.model_validate(LINE["output"]).wire()
    checks = [{"step": "Check it.", "result": "pass"}, {"item": "B", "result": "unknown"}]
    case = cases.parse(raw(LINE | {"output": stored | {"checks": checks}}))
    assert isinstance(case.output, Answer)
    assert [check.item for check in case.output.checks] == ["Check it.", "B"]


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (None, "not an object"),
        ([], "not an object"),
        ({}, "field verdict: missing"),
        (LINE["output"] | {"mood": "good"}, "field mood: unknown field"),
        (LINE["output"] | {"checks": [{"item": "x", "result": "maybe"}]}, "field checks.0.result: input should be"),
    ],
)
def test_an_output_of_another_form_is_the_models_fault(output: Any, told: str) -> None:
    """It is rejected as such, with the place where it departs; the line is good."""
    case = cases.parse(raw(LINE | {"output": output}))
    assert isinstance(case.output, NoAnswer)
    (reason,) = case.verdict().reasons
    assert reason.rule == "form.not_the_format"
    assert told in reason.message


@pytest.mark.parametrize(
    ("line", "field", "told"),
    [
        (b"{", "", "not JSON"),
        (b"[]", "", "not a JSON object"),
        (b"\xff", "", "not UTF-8: byte 1"),
        (b'{"a": 1, "a": 2}', "", "a key stands twice"),
        (b'{"a": NaN}', "", "NaN is no JSON value"),
        (b'{"a": "\\ud800"}', "", "half of a surrogate pair"),
        (b"[" * 100_000, "", "nested too deeply"),
        (LINE | {"case_id": ["c"]}, "case_id", "not a string"),
        ({**LINE, "task": {}}, "task.input", "missing"),
        ({**LINE, "task": {"input": " "}}, "task.input", "empty"),
        ({**LINE, "task": {"input": "x" * 32769}}, "task.input", "32,769 bytes"),
        ({**LINE, "task": {"input": "x", "checklist": "y"}}, "task.checklist", "valid tuple"),
        ({**LINE, "bundle": 3}, "bundle", "not an object"),
        ({**LINE, "bundle": {"records": [{"id": "a", "kind": "x", "text": ""}]}}, "bundle.records.0.kind", "exemplar"),
        ({**LINE, "bundle": {"records": [LINE["bundle"]["records"][0]] * 2}}, "bundle", "two records have one id"),
        ({**LINE, "bundle": {"passages": [1]}}, "bundle.passages.0", "not an object"),
        ({**LINE, "bundle": make_bundle().wire() | {"passages": []}}, "bundle.lines.0", "not in the bundle"),
        (
            {**LINE, "bundle": make_bundle().wire() | {"lines": [make_bundle().lines[0].wire() | {"record_id": ""}]}},
            "bundle.lines.0",
            "of record ''",
        ),
        ({**LINE, "label": {"accept": "yes"}}, "label.accept", "valid boolean"),
        ({key: LINE[key] for key in LINE if key != "output"}, "output", "missing"),
    ],
)
def test_a_bad_line_is_named_by_field_and_reason(line: Any, field: str, told: str) -> None:
    """The field is dotted where it is nested, and empty where the line as a whole is bad."""
    with pytest.raises(BadCase, match=re.escape(told)) as caught:
        cases.parse(raw(line))
    assert caught.value.field == field


def test_a_line_without_a_name_is_called_by_its_number() -> None:
    """A number as name will do, too."""
    assert cases.parse(raw({key: LINE[key] for key in LINE if key != "case_id"}, 7)).case_id == "line-7"
    assert cases.parse(raw(LINE | {"case_id": 12})).case_id == "12"


def test_an_overlong_line_is_not_read() -> None:
    """Its content was never held."""
    with pytest.raises(BadCase, match="longer than"):
        cases.parse(RawLine(1, None, 9_000_000))


_ODD = st.sampled_from(["", "\x00", "\u202e", "\u4f60", "r1", QUOTE, "pass", "3600", "L3", "\x1b[2J", "{"]) | st.text(
    max_size=8
)
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_ODD, inner, max_size=3),
    max_leaves=6,
)
_CITE = st.fixed_dictionaries({"record_id": _ODD}, optional={"quote": _ODD | _ANY, "line_id": _ODD})
_FINDING = st.fixed_dictionaries({"claim": _ODD, "cites": st.lists(_CITE, max_size=2)}, optional={"found": _ODD | _ANY})
_OUTPUT = st.fixed_dictionaries(
    {"findings": st.lists(_FINDING, max_size=2), "verdict": st.sampled_from(["pass", "fail", "unsure", "x"])},
    optional={"checks": _ANY, "proposals": _ANY, "extra": _ANY},
)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    line=st.fixed_dictionaries(
        {},
        optional={
            "case_id": _ODD | _ANY,
            "task": st.just(LINE["task"]) | st.fixed_dictionaries({"input": _ODD}) | _ANY,
            "bundle": st.just(LINE["bundle"]) | st.just(make_bundle().wire()) | _ANY,
            "output": _OUTPUT | _ODD | _ANY,
            "label": st.just(LINE["label"]) | _ANY,
        },
    ).map(lambda line: {"task": LINE["task"], "bundle": LINE["bundle"]} | line)
    | _ANY
)
def test_no_line_makes_it_raise(line: Any) -> None:
    """A line gives a case with a verdict, or is a bad one."""
    with suppress(BadCase):
        verdict = cases.parse(raw(line)).verdict()
        assert verdict.accepted is (not verdict.reasons)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(content=st.binary(max_size=60) | st.text("{}[]\"':,\\u0d8 \x00e1n", max_size=40).map(str.encode))
def test_no_bytes_make_it_raise(content: bytes) -> None:
    """Whatever stands in a file."""
    with pytest.raises(BadCase):
        cases.parse(raw(content))
