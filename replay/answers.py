"""The answer format `answer.v1`: what the model is asked to write, and how it becomes the stored `Answer`.

The model points, code judges. Under the schema a finding can only name a line that was shown, a value that stands in
that line, and a value that the task claims; quotes are taken from the bundle by code. The verdict is not asked for:
it follows from comparing the two values, so a model's opinion has no place to stand in. The order of the keys is the
order of thought: where it is written, what stands there, what was claimed.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from replay import assertion, values
from replay.contracts import Answer, Bundle, Check, Cite, Finding, ReplayTask, Ruling
from replay.corpus.tokens import query_tokens
from replay.statements import gives_alone, stated
from replay.values import Value

NO_LINE = "none"
_MAX_CHOICES = 24
_CLASS = re.compile(r"\s*class\s+(?P<name>\w+)\s*\(")
_FENCED = re.compile(r"^```(?:json)?\s*\n(.*?)\n?```$", re.DOTALL)


class _Pointed(BaseModel):
    """One finding as the model writes it."""

    model_config = ConfigDict(extra="forbid")

    line: str
    found: str = ""
    expected: str = ""


class _Reply(BaseModel):
    """The whole reply as the model writes it."""

    model_config = ConfigDict(extra="forbid")

    findings: Annotated[list[_Pointed], Field(max_length=8)]
    checks: dict[str, Literal["pass", "fail", "unknown"]] = {}
    proposals: list[str] = []


def schema(task: ReplayTask, bundle: Bundle) -> dict[str, Any]:
    """The JSON schema of a reply to this task over this bundle.

    A line that holds no value of the claimed kind cannot decide the claim and is not offered. Without evidence lines
    (the baseline) all is free text: the model may name any source it believes in.
    """
    if bundle.lines:
        finding: dict[str, Any] = {"anyOf": [*_choices(task, bundle), _object({"line": {"const": NO_LINE}})]}
    else:
        text = {"type": "string", "maxLength": 120}
        finding = _object({"line": text, "found": text, "expected": text})
    properties: dict[str, Any] = {"findings": {"type": "array", "items": finding, "minItems": 1, "maxItems": 1}}
    if task.checklist:
        item = {"type": "string", "enum": ["pass", "fail", "unknown"]}
        properties["checks"] = _object(dict.fromkeys(check_ids(task), item))
    return _object(properties)


def _choices(task: ReplayTask, bundle: Bundle) -> list[dict[str, Any]]:
    """For each line that can decide: its id, the values that stand in it, and the values that the task claims."""
    claimed = assertion.claimed(task.text)[:_MAX_CHOICES]
    choices = []
    about = query_tokens(task.text)
    for line in bundle.lines:
        found: dict[str, None] = {}
        for value in claimed:
            found.update(dict.fromkeys(candidate.text for candidate in _deciding(line.text, value, about, task.text)))
        if found:
            choices.append(
                _object(
                    {
                        "line": {"const": line.line_id},
                        "found": {"enum": list(found)[:_MAX_CHOICES]},
                        "expected": {"enum": [value.text for value in claimed]},
                    }
                )
            )
    return choices


def _deciding(line: str, claimed: Value, about: frozenset[str], task: str) -> list[Value]:
    """The values of a line that can confirm or refute the claimed one.

    Where the claimed value itself stands there, no other value beside it refutes the claim. Another word of the claim
    names its subject, and so does the name of a class in its own header; neither can decide, unless it is all that the
    line gives.
    """
    candidates = stated(line, claimed, about)
    if same := [candidate for candidate in candidates if candidate.same(claimed)]:
        return same
    header = _CLASS.match(line)
    defined = header["name"] if header else None
    # A switch or a number is no name: "the no_ack of …" says nothing of its value.
    return [
        candidate
        for candidate in candidates
        if candidate.text != defined
        and (
            not (candidate.kind == "word" and values.occurs(candidate, task))
            or gives_alone(line, candidate.text, claimed, task)
        )
    ]


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def check_ids(task: ReplayTask) -> list[str]:
    """Names of the checklist items in prompt and reply: C1, C2, …."""
    return [f"C{number}" for number, _ in enumerate(task.checklist, start=1)]


def parse(content: str, task: ReplayTask, bundle: Bundle) -> Answer:
    """Read a reply strictly and resolve its pointers.

    A line id that was not shown is kept as a citation of an unknown record, for the gate to name.

    Raises:
        ValueError: The reply is not the JSON object that was asked for; the message says where it departs.
    """
    text = content.strip()
    fenced = _FENCED.match(text)
    try:
        written = json.loads(fenced.group(1) if fenced else text, object_pairs_hook=_without_twins)
        json.dumps(written, ensure_ascii=False).encode()
        reply = _Reply.model_validate(written)
    except UnicodeEncodeError as error:
        # JSON can spell half of a surrogate pair, which no evidence could hold.
        raise ValueError("holds half of a surrogate pair") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at character {error.pos}: {error.msg}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "reply"
        raise ValueError(f"field {field}: {first['msg']}") from error

    shown = {line.line_id: line for line in bundle.lines}
    findings = []
    for pointed in reply.findings:
        if pointed.line == NO_LINE:
            continue
        line = shown.get(pointed.line)
        cite = (
            Cite(record_id=line.record_id, quote=line.text, line_id=line.line_id)
            if line
            else Cite(record_id=pointed.line, quote=None)
        )
        findings.append(Finding(found=pointed.found, expected=pointed.expected, cites=(cite,)))
    named = dict(zip(check_ids(task), task.checklist, strict=True))
    checks = [Check(item=named.get(name, name), result=result) for name, result in reply.checks.items()]
    # The model is not asked for the validation steps of the bundle's records: it declares none of them answered.
    answered = {check.item for check in checks}
    steps = dict.fromkeys(step for step in bundle.validation_steps if step not in answered)
    checks += [Check(item=step, result="unknown") for step in steps]
    return Answer(
        findings=tuple(findings),
        checks=tuple(checks),
        verdict=_ruling(findings),
        proposals=tuple(reply.proposals),
    )


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ: of two with one name JSON readers keep one each, and not the same one."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return dict(pairs)


def _ruling(findings: list[Finding]) -> Ruling:
    """`pass` where every finding has what was claimed, `fail` where one has not, `unsure` without findings."""
    if not findings:
        return Ruling.UNSURE
    same = [values.parse(finding.found or "").same(values.parse(finding.expected or "")) for finding in findings]
    return Ruling.PASS if all(same) else Ruling.FAIL
