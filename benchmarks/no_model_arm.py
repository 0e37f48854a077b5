"""The arm without a model: the first line that retrieval offers and the first value in it, judged by the same gate.

A model tier earns its place by beating this. Measured on the audit tasks, on whose results the gate's thresholds were
chosen, and on the exemplars of the playbook as claims, which were not looked at for it. With --all also on the claims
of data/retrieval that were generated from 32 packages, over the corpus of all of them: those held out are the ones to
believe.

    python -m benchmarks.no_model_arm [--all] [--json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import line_recall
from cli import samples
from replay import answers, identity
from replay.contracts import Bundle, Generation, ReplayTask, Ruling, State, Verdict
from replay.corpus import snapshot, sources
from replay.corpus.retrieval import SnapshotRetriever
from replay.gate import judge
from replay.settings import Settings
from replay.study import top_line

ROOT = Path(__file__).parents[1]
PACKAGES = ("package:celery", "package:kombu", "package:redis")


@dataclass(frozen=True)
class Known:
    """A claim with its known ruling and the line that decides it."""

    name: str
    text: str
    checklist: tuple[str, ...]
    ruling: Ruling
    path: str
    line: str


@dataclass(frozen=True)
class Arm:
    """How the claims of one set came out.

    Attributes:
        right_offered: Claims for which the deciding line is offered with the value that decides.
        right_refused: Those of them whose right choice the gate refuses: its false rejects.
    """

    claims: str
    count: int
    right: int
    right_on_line: int
    wrong: int
    undecided: int
    right_offered: int
    right_refused: int


def audit_tasks() -> list[Known]:
    """The 40 tasks of data/tasks with their gold."""
    gold = {row["custom_id"]: row for row in _rows("data/gold/celery-audit.gold.jsonl")}
    return [
        Known(
            row["custom_id"],
            row["task"],
            tuple(row.get("checklist", ())),
            Ruling(gold[row["custom_id"]]["verdict"]),
            gold[row["custom_id"]]["path"],
            gold[row["custom_id"]]["pattern"],
        )
        for row in _rows("data/tasks/celery-audit.jsonl")
    ]


def playbook_claims() -> list[Known]:
    """The exemplars of the playbook, taken as claims."""
    found = []
    for row in _rows("data/playbooks/celery-playbook.jsonl"):
        if row["kind"] == "exemplar":
            said = dict(line.split(": ", 1) for line in row["text"].splitlines() if ": " in line)
            proof = row["proof"]
            found.append(Known(row["id"], row["title"], (), Ruling(said["Verdict"]), proof["path"], proof["pattern"]))
    return found


def generated_claims(*, held_out: bool) -> list[Known]:
    """The claims that were made from the sources; their deciding line may stand several times."""
    return [
        Known(query.query_id, query.text, (), Ruling(query.verdict), query.path, query.pattern)
        for query in line_recall.claims(frozenset(["generated"]))
        if query.held_out is held_out
    ]


def measure(name: str, claims: list[Known], retriever: SnapshotRetriever) -> Arm:
    """Judge the top line of each claim."""
    right = on_line = wrong = offered = refused = 0
    for claim in claims:
        hashed = identity.task_hash(claim.text, claim.checklist)
        task = ReplayTask(
            run_id="run_bench",
            batch_id="batch_bench",
            custom_id=claim.name,
            task_hash=hashed,
            text=claim.text,
            checklist=claim.checklist,
        )
        run = top_line.audit(task, retriever)
        judged = [verdict.accepted for verdict in _right_choices(claim, task, run.bundle)]
        offered += bool(judged)
        refused += bool(judged) and not any(judged)
        answer = run.attempt.answer if run.attempt is not None else None
        if answer is None or run.state is not State.ACCEPTED:
            continue
        if answer.verdict != claim.ruling:
            wrong += 1
            continue
        right += 1
        cite = answer.findings[0].cites[0]
        on_line += (run.bundle.records()[cite.record_id].path, cite.quote) == (claim.path, claim.line)
    return Arm(name, len(claims), right, on_line, wrong, len(claims) - right - wrong, offered, refused)


def _right_choices(claim: Known, task: ReplayTask, bundle: Bundle) -> Iterator[Verdict]:
    """What the gate says of each choice on the deciding line that leads to the known ruling."""
    records, lines = bundle.records(), {line.line_id: line for line in bundle.lines}
    for choice in answers.schema(task, bundle)["properties"]["findings"]["items"]["anyOf"]:
        line = lines.get(choice["properties"]["line"]["const"])
        if line is None or (records[line.record_id].path, line.text.strip()) != (claim.path, claim.line.strip()):
            continue
        values = (choice["properties"][name]["enum"] for name in ("found", "expected"))
        for found, expected in product(*values):
            finding = {"line": line.line_id, "found": found, "expected": expected}
            reply = {"findings": [finding], "checks": dict.fromkeys(answers.check_ids(task), "pass")}
            generation = Generation(
                model="none", endpoint="none", response_format="text", content=json.dumps(reply), finish_reason="stop"
            )
            answer, verdict = judge(task, bundle, generation)
            if answer is not None and answer.verdict is claim.ruling:
                yield verdict


def main() -> None:
    """Build the corpus in a temporary place, measure both sets, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--all", action="store_true", help="also the generated claims, over 32 packages")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        records = [record for package in PACKAGES for record in sources.read(package)[0]]
        retriever = SnapshotRetriever(snapshot.write(records, Path(folder)), Settings())
        arms = [
            measure("audit tasks", audit_tasks(), retriever),
            measure("playbook exemplars", playbook_claims(), retriever),
        ]
        if options.all:
            built = line_recall.build(Path(folder) / "all", samples.RETRIEVAL_PACKAGES)
            retriever = SnapshotRetriever(built, Settings())
            arms += [
                measure(f"generated, {name}", generated_claims(held_out=held_out), retriever)
                for name, held_out in (("looked at", False), ("held out", True))
            ]
    if options.json:
        print(json.dumps([asdict(arm) for arm in arms], indent=2))
        return
    print(
        f"{'claims':20} {'count':>5} {'right':>6} {'on line':>8} {'wrong':>6} {'undecided':>10} "
        f"{'right offered':>14} {'refused':>8}"
    )
    for arm in arms:
        print(
            f"{arm.claims:20} {arm.count:5} {arm.right:6} {arm.right_on_line:8} {arm.wrong:6} {arm.undecided:10} "
            f"{arm.right_offered:14} {arm.right_refused:8}"
        )


def _rows(path: str) -> list[dict[str, Any]]:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


if __name__ == "__main__":
    main()
