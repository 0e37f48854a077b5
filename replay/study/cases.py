"""Cases for the gate: a task, a bundle, what a model answered, and what ought to become of it, one JSON object a line.

A line is::

    {"case_id": "c1",
     "task": {"input": "…", "checklist": ["…"]},
     "bundle": {"records": [{"id": "r1", "kind": "source", "text": "…", "path": "net/pool.py", "first_line": 1}],
                "validation_steps": ["…"]},
     "output": {"findings": [{"claim": "…", "cites": [{"record_id": "r1", "quote": "…"}]}], "checks": [],
                "verdict": "pass", "proposals": []},
     "label": {"accept": true, "mutation": null}}

`bundle` may be a whole stored bundle, with its scores and lines; `output` a whole stored answer, or a text, which is a
model's reply as it came. `label` may be missing. Other fields are left aside, except in `output`: what is not of the
answer's form is no answer, and that is for the gate to say, not a fault of the line.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    StringConstraints,
    ValidationError,
)

from replay import identity
from replay.contracts import (
    MAX_TASK_BYTES,
    Answer,
    Bundle,
    Generation,
    Hit,
    NonEmpty,
    Reason,
    Record,
    RecordKind,
    ReplayTask,
    Verdict,
)
from replay.corpus.jsonlines import MAX_LINE_BYTES, RawLine
from replay.gate import DEFAULT_GATE, Gate, judge, judge_answer
from replay.study.scoring import Label

BATCH = "cases"
_SCORER = "given"
_Read = TypeVar("_Read", bound=BaseModel)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class BadCase(Exception):
    """A line that gives no case: the field at fault (empty: the line itself) and why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


@dataclass(frozen=True)
class NoAnswer:
    """An output that is an object and not an answer: where it departs from the form."""

    departure: str


@dataclass(frozen=True)
class GateCase:
    """One case.

    Attributes:
        case_id: As the line names it, or `line-N`.
        task: What was asked.
        bundle: What the answer may rest on.
        output: An answer in its stored form, a reply as it came from a model, or what is neither.
        label: What ought to become of it, where somebody knows.
    """

    case_id: str
    task: ReplayTask
    bundle: Bundle
    output: Answer | Generation | NoAnswer
    label: Label | None

    def verdict(self, gate: Gate = DEFAULT_GATE) -> Verdict:
        """What a gate says of it."""
        match self.output:
            case Answer():
                return judge_answer(self.task, self.bundle, self.output, gate)
            case Generation():
                return judge(self.task, self.bundle, self.output, gate)[1]
        reason = Reason(rule="form.not_the_format", message=f"the output is not the format: {self.output.departure}")
        return Verdict(gate_version=gate.version, accepted=False, score=0.0, reasons=(reason,))


def parse(line: RawLine) -> GateCase:
    """Read one line.

    Raises:
        BadCase: It gives no case.
    """
    if line.content is None:
        raise BadCase("", f"{line.length:,} bytes: longer than {MAX_LINE_BYTES:,}")
    held = _object(line.content)
    case_id = _case_id(held.get("case_id"), line.number)
    return GateCase(case_id, _task(held, case_id), _bundle(held), _output(held), _label(held))


# --- the forms that a line may have ----------------------------------------------------------------------------------


class _Form(BaseModel):
    """A part of a line as a person or another program writes it; what it has beside its fields is left aside."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Task(_Form):
    input: NonEmpty
    checklist: tuple[NonEmpty, ...] = ()


class _Record(_Form):
    id: Annotated[str, StringConstraints(min_length=1)] = Field(validation_alias=AliasChoices("id", "record_id"))
    kind: RecordKind
    text: str
    title: str = ""
    path: str | None = None
    first_line: int | None = Field(None, ge=0)
    last_line: int | None = Field(None, ge=0)
    tags: tuple[str, ...] = ()
    origin: str = ""

    def record(self) -> Record:
        return Record(record_id=self.id, **self.model_dump(exclude={"id"}))


class _Bundle(_Form):
    records: tuple[_Record, ...]
    validation_steps: tuple[str, ...] = ()

    def bundle(self) -> Bundle:
        records = [given.record() for given in self.records]
        hits = [Hit(record=record, score=0.0, scorer=_SCORER) for record in records]
        return Bundle(
            playbook=tuple(hit for hit in hits if hit.record.kind is not RecordKind.SOURCE),
            passages=tuple(hit for hit in hits if hit.record.kind is RecordKind.SOURCE),
            exemplars=tuple(record.record_id for record in records if record.kind is RecordKind.EXEMPLAR),
            warnings=tuple(record.record_id for record in records if record.kind is RecordKind.WARNING),
            validation_steps=self.validation_steps,
        )


class _Label(_Form):
    accept: StrictBool
    mutation: StrictStr | None = None


# --- reading them ----------------------------------------------------------------------------------------------------


def _object(content: bytes) -> dict[str, Any]:
    try:
        held = json.loads(content.decode("utf-8"), object_pairs_hook=_without_twins, parse_constant=_refuse_constant)
        if _SURROGATE.search(content):
            json.dumps(held, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadCase("", "not text: half of a surrogate pair") from None
    except UnicodeDecodeError as error:
        raise BadCase("", f"not UTF-8: byte {error.start + 1} of the line") from None
    except RecursionError:
        raise BadCase("", "not JSON that can be read: nested too deeply") from None
    except ValueError as error:
        raise BadCase("", f"not JSON: {error}") from None
    if not isinstance(held, dict):
        raise BadCase("", "not a JSON object")
    return held


def _case_id(value: Any, number: int) -> str:
    if value is None:
        return f"line-{number}"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise BadCase("case_id", "not a string, or blank")
    return value


def _task(held: dict[str, Any], case_id: str) -> ReplayTask:
    given = _read(_Task, _wanted(held, "task"), "task")
    if (size := len(given.input.encode())) > MAX_TASK_BYTES:
        raise BadCase("task.input", f"{size:,} bytes, the limit is {MAX_TASK_BYTES:,}")
    hashed = identity.task_hash(given.input, given.checklist)
    return ReplayTask(
        run_id=identity.run_id(BATCH, case_id, hashed),
        batch_id=BATCH,
        custom_id=case_id,
        task_hash=hashed,
        text=given.input,
        checklist=given.checklist,
    )


def _bundle(held: dict[str, Any]) -> Bundle:
    value = _wanted(held, "bundle")
    if not isinstance(value, dict) or "records" in value:
        bundle = _read(_Bundle, value, "bundle").bundle()
    else:
        bundle = _read(Bundle, value, "bundle")
    known = bundle.records()
    if len(known) != len(bundle.playbook) + len(bundle.passages):
        raise BadCase("bundle", "two records have one id")
    for number, line in enumerate(bundle.lines):
        if line.record_id not in known:
            raise BadCase(f"bundle.lines.{number}", f"of record {line.record_id!r}, which is not in the bundle")
    return bundle


def _output(held: dict[str, Any]) -> Answer | Generation | NoAnswer:
    value = _wanted(held, "output")
    if isinstance(value, str):
        return Generation(
            model=BATCH, endpoint="", response_format="text", content=value, finish_reason="stop", generate_ms=0.0
        )
    try:
        return Answer.model_validate(_with_items(value))
    except ValidationError as error:
        fault = _first(error)
        return NoAnswer(f"field {fault[0]}: {fault[1]}" if fault[0] else fault[1])


def _with_items(value: Any) -> Any:
    """An answer whose checks may name a validation step as `step`; it is an item like any other."""
    if not isinstance(value, dict) or not isinstance(value.get("checks"), list):
        return value
    checks = [
        {"item" if key == "step" and "item" not in check else key: held for key, held in check.items()}
        if isinstance(check, dict)
        else check
        for check in value["checks"]
    ]
    return value | {"checks": checks}


def _label(held: dict[str, Any]) -> Label | None:
    if held.get("label") is None:
        return None
    given = _read(_Label, held["label"], "label")
    return Label(given.accept, given.mutation)


def _wanted(held: dict[str, Any], field: str) -> Any:
    if field not in held:
        raise BadCase(field, "missing")
    return held[field]


def _read(form: type[_Read], value: Any, field: str) -> _Read:
    try:
        return form.model_validate(value)
    except ValidationError as error:
        path, reason = _first(error)
        raise BadCase(f"{field}.{path}" if path else field, reason) from None


def _first(error: ValidationError) -> tuple[str, str]:
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    match fault["type"]:
        case "missing":
            reason = "missing"
        case "extra_forbidden":
            reason = "unknown field"
        case "model_type" | "model_attributes_type":
            reason = "not an object"
        case "string_too_short":
            reason = "empty"
        case _:
            reason = fault["msg"][0].lower() + fault["msg"][1:]
    return ".".join(str(part) for part in fault["loc"])[:200], reason


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return held


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")
