"""The answer format `answer.v1`: what the model is asked to write, and how it becomes the stored `Answer`.

The model points, code judges: under the schema a citation can only be the id of a line that was shown, and the quote
is taken from that line by code, so it is verbatim by construction. The order of the keys is the order of thought:
where it is written, what stands there, what was claimed, the verdict.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from replay.contracts import Answer, Bundle, Check, Cite, Finding, ReplayTask, Ruling

MAX_FINDINGS = 2
_FENCED = re.compile(r"^```(?:json)?\s*\n(.*?)\n?```$", re.DOTALL)


class _Pointed(BaseModel):
    """One finding as the model writes it."""

    model_config = ConfigDict(extra="forbid")

    line: str
    found: str
    expected: str


class _Reply(BaseModel):
    """The whole reply as the model writes it."""

    model_config = ConfigDict(extra="forbid")

    findings: Annotated[list[_Pointed], Field(max_length=8)]
    checks: dict[str, Literal["pass", "fail", "unknown"]] = {}
    verdict: Ruling
    proposals: list[str] = []


def schema(task: ReplayTask, bundle: Bundle) -> dict[str, Any]:
    """The JSON schema of a reply to this task over this bundle.

    Without evidence lines (the baseline) `line` is free text: the model may name any source it believes in.
    """
    line: dict[str, Any] = {"type": "string", "maxLength": 120}
    if bundle.lines:
        line = {"type": "string", "enum": [line.line_id for line in bundle.lines]}
    finding = {
        "type": "object",
        "properties": {
            "line": line,
            "found": {"type": "string", "maxLength": 80},
            "expected": {"type": "string", "maxLength": 80},
        },
        "required": ["line", "found", "expected"],
        "additionalProperties": False,
    }
    properties: dict[str, Any] = {
        "findings": {"type": "array", "items": finding, "minItems": 1, "maxItems": MAX_FINDINGS}
    }
    if task.checklist:
        item = {"type": "string", "enum": ["pass", "fail", "unknown"]}
        names = check_ids(task)
        properties["checks"] = {
            "type": "object",
            "properties": dict.fromkeys(names, item),
            "required": names,
            "additionalProperties": False,
        }
    properties["verdict"] = {"type": "string", "enum": [ruling.value for ruling in Ruling]}
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
        reply = _Reply.model_validate(json.loads(fenced.group(1) if fenced else text))
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at character {error.pos}: {error.msg}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "reply"
        raise ValueError(f"field {field}: {first['msg']}") from error

    shown = {line.line_id: line for line in bundle.lines}
    findings = []
    for pointed in reply.findings:
        line = shown.get(pointed.line)
        cite = (
            Cite(record_id=line.record_id, quote=line.text, line_id=line.line_id)
            if line
            else Cite(record_id=pointed.line, quote=None)
        )
        findings.append(Finding(found=pointed.found, expected=pointed.expected, cites=(cite,)))
    named = dict(zip(check_ids(task), task.checklist, strict=True))
    checks = tuple(Check(item=named.get(name, name), result=result) for name, result in reply.checks.items())
    return Answer(findings=tuple(findings), checks=checks, verdict=reply.verdict, proposals=tuple(reply.proposals))
