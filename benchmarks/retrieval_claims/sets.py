"""The files of data/retrieval and data/study, made from the gold, the playbook and the installed packages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.retrieval_claims import generated, study_set
from benchmarks.retrieval_claims.facts import Fact, facts
from benchmarks.retrieval_claims.study_set import StudyTask
from benchmarks.retrieval_claims.wording import Said, held_out, subject
from replay.corpus.queries import Place, Query, numbers

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data" / "retrieval"
STUDY = ROOT / "data" / "study"
WRITTEN = FOLDER / "written.jsonl"
"""Written by hand, and so the one file here that is read and not made."""

_FIRST = ("query_id", "set", "family", "verdict", "text")


def files() -> dict[Path, str]:
    """Each made file and its content."""
    audit, playbook = list(_audit()), list(_playbook())
    taken = [(query.path, query.pattern) for query in (*audit, *playbook, *written())]
    made = list(_generated(taken))
    taken += [(query.path, query.pattern) for query in made]
    study = list(study_set.tasks(taken))
    # Whoever mends something because of what the first set showed needs another one to show that it helps.
    taken += [(place["path"], place["pattern"]) for task in study for place in task.places]
    second = list(study_set.tasks(taken))
    again = list(study_set.reworded(second))
    return {
        FOLDER / "audit.jsonl": _jsonl(audit),
        FOLDER / "playbook.jsonl": _jsonl(playbook),
        FOLDER / "generated.jsonl": _jsonl(made),
        **_study(STUDY, study),
        **_study(STUDY / "second", second),
        STUDY / "second" / "reworded.jsonl": _lines(task.task() for task in again),
        STUDY / "second" / "reworded-gold.jsonl": _lines(task.gold() for task in again),
    }


def _study(folder: Path, tasks: Iterable[StudyTask]) -> dict[Path, str]:
    made = list(tasks)
    return {
        folder / "work.jsonl": _lines(task.task() for task in made if task.part == "work"),
        folder / "probe.jsonl": _lines(task.task() for task in made if task.part != "work"),
        folder / "gold.jsonl": _lines(task.gold() for task in made),
    }


def written() -> list[Query]:
    """The claims that were written by hand."""
    return [Query.model_validate(row) for row in _rows(WRITTEN)]


def _audit() -> Iterator[Query]:
    gold = {row["custom_id"]: row for row in _rows(ROOT / "data/gold/celery-audit.gold.jsonl")}
    for task in _rows(ROOT / "data/tasks/celery-audit.jsonl"):
        answer = gold[task["custom_id"]]
        yield Query(
            query_id=task["custom_id"],
            set="audit",
            family=family_of(answer),
            text=task["task"],
            verdict=answer["verdict"],
            path=answer["path"],
            pattern=answer["pattern"],
            context=answer.get("context"),
            expected=answer["expected"],
            found=answer["found"],
            unit=answer.get("unit"),
            absent=answer["absent"],
        )


def _playbook() -> Iterator[Query]:
    for row in _rows(ROOT / "data/playbooks/celery-playbook.jsonl"):
        if row["kind"] == "exemplar":
            said = dict(line.split(": ", 1) for line in row["text"].splitlines() if ": " in line)
            yield Query(
                query_id=row["id"],
                set="playbook",
                family=family_of(row["proof"]),
                text=row["title"],
                verdict=said["Verdict"],
                path=row["proof"]["path"],
                pattern=row["proof"]["pattern"],
                context=row["proof"].get("context"),
                expected=said["Expected"],
                found=said["Found"],
            )


def _generated(taken: Iterable[tuple[str, str]]) -> Iterator[Query]:
    for fact, places, truly, said in generated.chosen(taken):
        yield _query(fact, places, said, truly=truly)


def _query(fact: Fact, places: list[dict[str, str]], said: Said, *, truly: bool) -> Query:
    about = subject(fact)
    name = hashlib.sha256(f"{fact.family}\0{fact.path}\0{about}".encode()).hexdigest()[:8]
    return Query.model_validate(
        {
            "query_id": f"{fact.family}-{name}",
            "set": "generated",
            "family": fact.family,
            "text": said.text,
            "verdict": "pass" if truly else "fail",
            **places[0],
            "also": places[1:],
            "held_out": held_out(fact),
            "style": said.style,
            "subject": about,
            "expected": said.expected,
            "found": fact.found,
            "unit": said.unit,
        }
    )


def family_of(place: Mapping[str, Any]) -> str:
    """The family of a fact that a person has found, by the line that states it."""
    lines = {number: line.strip() for number, line in enumerate(generated.lines_of(place["path"]), 1)}
    at = numbers(Place(path=place["path"], pattern=place["pattern"], context=place.get("context")), lines)
    found = facts("\n".join(generated.lines_of(place["path"])), place["path"])
    return next((fact.family for fact in found if fact.line in at), "other")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def _jsonl(queries: Iterable[Query]) -> str:
    """One query a line, without the fields that are empty."""
    rows = (query.model_dump(mode="json", exclude_defaults=True) for query in queries)
    return _lines({name: row[name] for name in (*_FIRST, *row) if name in row} for row in rows)


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
