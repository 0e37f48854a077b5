"""One case of the mutation suite: a task, what retrieval gave, an answer, and whether that answer is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from replay.contracts import Answer, Bundle, Message


@dataclass(frozen=True)
class Gold:
    """A right answer with the task and the bundle that it belongs to; what every mutation starts from."""

    task: str
    checklist: tuple[str, ...]
    bundle: Bundle
    answer: Answer


class MutationCase(Message):
    """One line of a suite file.

    `mutation` names the class of an injected fault; a harmless paraphrase has None there and its name in
    `paraphrase`. `whole_bundle` keeps a bundle with its lines, as answers by line need it; prose needs the texts alone.
    """

    case_id: str
    task: str
    checklist: tuple[str, ...] = ()
    bundle: Bundle
    output: Answer
    gold: Answer = Field(description="The right answer that it was made from; not written to a suite file.")
    mutation: str | None = None
    paraphrase: str | None = None
    whole_bundle: bool = Field(False, description="Write the bundle as it is stored, not as a list of records.")

    @property
    def accept(self) -> bool:
        """Whether a careful reader says that the answer is right."""
        return self.mutation is None

    def wire(self) -> dict[str, Any]:
        """The form of the shared sample: `case_id`, `task`, `bundle`, `output`, `label`."""
        label: dict[str, Any] = {"accept": self.accept, "mutation": self.mutation}
        if self.paraphrase is not None:
            label["paraphrase"] = self.paraphrase
        return {
            "case_id": self.case_id,
            "task": {"input": self.task, "checklist": list(self.checklist)},
            "bundle": self.bundle.wire() if self.whole_bundle else _plain_bundle(self.bundle),
            "output": _plain_answer(self.output),
            "label": label,
        }


def _plain_bundle(bundle: Bundle) -> dict[str, Any]:
    """The sample's fields of each record, and where it lies: `title`, `path`, `first_line`, `last_line`."""
    records = []
    for hit in (*bundle.playbook, *bundle.passages):
        record = hit.record
        plain = {"id": record.record_id, "kind": str(record.kind), "text": record.text, "title": record.title}
        lines = {"path": record.path, "first_line": record.first_line, "last_line": record.last_line}
        records.append({**plain, **{key: value for key, value in lines.items() if value is not None}})
    return {"records": records, "validation_steps": list(bundle.validation_steps)}


def _plain_answer(answer: Answer) -> dict[str, Any]:
    """The answer without the fields that are empty, as the sample has it."""
    findings = []
    for finding in answer.findings:
        written = finding.model_dump(mode="json")
        values = {key: written[key] for key in ("expected", "found") if written[key] is not None}
        cites = [{key: value for key, value in cite.items() if value is not None} for cite in written["cites"]]
        findings.append({"claim": finding.claim, **values, "cites": cites})
    return {
        "findings": findings,
        "checks": [check.model_dump(mode="json") for check in answer.checks],
        "verdict": str(answer.verdict),
        "proposals": list(answer.proposals),
    }
