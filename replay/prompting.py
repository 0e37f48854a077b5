"""Bundle and task -> chat messages.

The static part comes first and the task last, so that a server's prefix cache can serve what stays the same; records
stand in the order of their ids, not of their scores, for the same reason. No time, no run id: the same bundle and
task give the same prompt.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from replay import answers, identity
from replay.contracts import Bundle, EvidenceLine, Reason, Record, ReplayTask

PROMPT_VERSION = "prompt.v1"

_RULES = """\
You audit one claim about source code. Numbered evidence lines from the real sources are given.
Reply with one JSON object and nothing else. In findings name the one evidence line that states the very thing the \
claim is about:
- line: its id, or "none" if no line states it. A line that only lists possible values, or is about another thing, \
does not state it.
- found: the value written in that line.
- expected: the value that the claim states.
Found and expected may differ: claims can be false."""

_BASELINE_RULES = """\
You audit one claim about source code from memory; no evidence is given.
Reply with one JSON object and nothing else. In findings:
- line: the file and line that state what the claim is about.
- found: the value written there.
- expected: the value that the claim states.
Found and expected may differ: claims can be false."""


# What a line of a file may hold and a reader of the prompt may take for the beginning of another line.
_BREAKS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")


@dataclass(frozen=True)
class PromptLimits:
    """How much of a bundle is shown; the bundle itself stays whole in the evidence."""

    exemplars: int = 2
    warnings: int = 1
    steps: int = 2


@dataclass(frozen=True)
class Prompt:
    """What is sent to a model, and its digest."""

    messages: list[dict[str, str]]
    schema: dict[str, Any]
    hash: str


def build(task: ReplayTask, bundle: Bundle, reasons: tuple[Reason, ...], limits: PromptLimits) -> Prompt:
    """Assemble the chat of one attempt. `reasons` is what the gate held against an earlier answer, if there was one."""
    schema = answers.schema(task, bundle)
    system = (_RULES if bundle.retrieval else _BASELINE_RULES) + _checks_rule(task)
    parts = [*_playbook_parts(bundle, limits), *_evidence_part(bundle), _task_part(task, reasons)]
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "\n\n".join(parts)}]
    return Prompt(messages, schema, identity.digest({"messages": messages, "schema": schema, "v": PROMPT_VERSION}))


def _checks_rule(task: ReplayTask) -> str:
    if not task.checklist:
        return ""
    return '\n- checks: for each item C1, C2, …: "pass", "fail" or "unknown".'


def _playbook_parts(bundle: Bundle, limits: PromptLimits) -> list[str]:
    records = bundle.records()
    parts = [_example(records[record_id]) for record_id in sorted(bundle.exemplars[: limits.exemplars])]
    parts += [f"Warning: {records[record_id].text}" for record_id in sorted(bundle.warnings[: limits.warnings])]
    if steps := bundle.validation_steps[: limits.steps]:
        parts.append("Steps:\n" + "\n".join(f"- {step}" for step in steps))
    return parts


def _example(record: Record) -> str:
    """An exemplar as a worked example in exactly the form that is asked for; as it stands where it has another form."""
    fields: dict[str, str] = {}
    for line in record.text.splitlines():
        name, colon, value = line.partition(": ")
        if colon:
            fields.setdefault(name, value)
    if not {"Claim", "Evidence", "Expected", "Found"} <= fields.keys():
        return f"Example:\n{record.text}"
    reply = {"findings": [{"line": "L1", "found": fields["Found"], "expected": fields["Expected"]}]}
    return f"Example:\nL1 {fields['Evidence']}\nClaim: {fields['Claim']}\n{json.dumps(reply, ensure_ascii=False)}"


def _evidence_part(bundle: Bundle) -> list[str]:
    if not bundle.lines:
        return []
    records = bundle.records()
    return ["Evidence:\n" + "\n".join(_shown(line, records[line.record_id]) for line in bundle.lines)]


def _shown(line: EvidenceLine, record: Record) -> str:
    text = _BREAKS.sub(" ", line.text)
    return f"{line.line_id} [{record.title or record.path or record.record_id}] {text}"


def _task_part(task: ReplayTask, reasons: tuple[Reason, ...]) -> str:
    parts = [f"Claim: {task.text}"]
    parts += [f"{name}: {item}" for name, item in zip(answers.check_ids(task), task.checklist, strict=True)]
    if reasons:
        parts.append("An earlier answer was rejected: " + "; ".join(reason.message for reason in reasons[:3]))
    return "\n".join(parts)
