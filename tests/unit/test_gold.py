"""The sample tasks, their gold answers and the playbook against the installed packages, so that none of them can rot.

On purpose nothing of this project is imported: the yardstick must not be made by what it measures.
"""

import ast
import json
import re
from fractions import Fraction
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data"
PACKAGES = ("celery", "kombu", "redis")
CONTEXT_WINDOW = 30
MAX_TITLE_OVERLAP = 0.6

TRUE_WORDS = frozenset({"true", "yes", "on", "enabled"})
FALSE_WORDS = frozenset({"false", "no", "off", "disabled"})
SECONDS = {
    "ms": Fraction(1, 1000),
    "millisecond": Fraction(1, 1000),
    "s": Fraction(1),
    "second": Fraction(1),
    "minute": Fraction(60),
    "hour": Fraction(3600),
    "day": Fraction(86400),
}
STEP_WORDS = ("Verify", "Check", "Assert", "Ensure", "Confirm")
EXEMPLAR = re.compile(
    r"Claim: (?P<claim>.+)\n"
    r"Evidence: (?P<path>[^:\n]+):(?P<line>\d+): (?P<quote>.+)\n"
    r"Expected: (?P<expected>.+)\n"
    r"Found: (?P<found>.+)\n"
    r"Verdict: (?P<verdict>pass|fail)\n"
    r"(?P<step>(?:Verify|Check) .+)"
)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file, in its order."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


TASKS = read_jsonl(DATA / "tasks" / "celery-audit.jsonl")
QUICKSTART = read_jsonl(DATA / "tasks" / "quickstart.jsonl")
GOLD = read_jsonl(DATA / "gold" / "celery-audit.gold.jsonl")
PLAYBOOK = read_jsonl(DATA / "playbooks" / "celery-playbook.jsonl")
EXEMPLARS = [record for record in PLAYBOOK if record["kind"] == "exemplar"]

each_gold = pytest.mark.parametrize("gold", [pytest.param(gold, id=gold["custom_id"]) for gold in GOLD])
each_task = pytest.mark.parametrize("task", [pytest.param(task, id=task["custom_id"]) for task in TASKS])
each_record = pytest.mark.parametrize("record", [pytest.param(record, id=record["id"]) for record in PLAYBOOK])
each_exemplar = pytest.mark.parametrize("record", [pytest.param(record, id=record["id"]) for record in EXEMPLARS])


@cache
def package_root(package: str) -> Path:
    """The installed folder of a package, found without importing it and whatever its module does to itself."""
    return Path(str(metadata.distribution(package).locate_file(package)))


@cache
def source_lines(path: str) -> tuple[str, ...]:
    """The stripped lines of an installed file; `path` is relative to site-packages."""
    file = package_root(path.split("/", maxsplit=1)[0]).parent / path
    assert file.is_file(), f"{path} is not in the installed package"
    return tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines())


@cache
def whole_source(package: str) -> str:
    """Every Python file of an installed package in one case-folded text."""
    files = sorted(package_root(package).rglob("*.py"))
    return "\n".join(file.read_text(encoding="utf-8") for file in files).casefold()


def deciding_lines(path: str, pattern: str, context: str | None = None) -> list[int]:
    """Numbers of the lines that equal `pattern`; with `context` only the first one that follows it closely."""
    lines = source_lines(path)
    hits = [number for number, line in enumerate(lines, 1) if line == pattern]
    if context is None:
        return hits
    anchors = [number for number, line in enumerate(lines, 1) if line == context]
    assert len(anchors) == 1, f"the context {context!r} occurs {len(anchors)} times in {path}; it has to occur once"
    return [hit for hit in hits if anchors[0] < hit <= anchors[0] + CONTEXT_WINDOW][:1]


def occurs(value: str, text: str) -> bool:
    """Whether `value` stands in `text` as a whole, not as a part of a longer word or number."""
    return re.search(rf"(?<!\w)(?<!\d\.){re.escape(value)}(?!\w|\.\d)", text) is not None


def constant(node: ast.expr) -> Fraction:
    """The value of a number or a product of numbers; ValueError for anything else."""
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return Fraction(str(node.value))
        case ast.BinOp(op=ast.Mult()):
            return constant(node.left) * constant(node.right)
        case _:
            raise ValueError(ast.dump(node))


def normal(value: str, unit: str | None = None) -> tuple[str, object]:
    """A value in comparable form: durations in seconds, products multiplied out, switches as bool, or else plain text.

    `unit` is the unit of a bare number; without it a bare number stays a plain number, which no duration equals.
    """
    text = " ".join(value.strip().strip("'\"`").split())
    if text.casefold() in TRUE_WORDS | FALSE_WORDS:
        return ("switch", text.casefold() in TRUE_WORDS)
    if duration := re.fullmatch(r"(\d+(?:\.\d+)?) ?([a-z]+)", text):
        scale = SECONDS.get(duration[2], SECONDS.get(duration[2].removesuffix("s")))
        if scale is not None:
            return ("seconds", Fraction(duration[1]) * scale)
    try:
        number = constant(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError):
        return ("text", text)
    return ("number", number) if unit is None else ("seconds", number * SECONDS[unit])


def words(text: str) -> frozenset[str]:
    """Lower-case words of a text, with identifiers also split at their underscores."""
    whole = re.findall(r"\w+", text.casefold())
    return frozenset(whole) | {part for word in whole for part in word.split("_") if part}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_installed_package_is_the_pinned_one(package: str) -> None:
    """The gold answers speak of the versions in requirements.lock, so an upgrade has to be noticed here first."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pin = re.search(rf"^{package}==(\S+)", lock, re.MULTILINE)
    assert pin is not None, f"requirements.lock does not pin {package}"
    assert metadata.version(package) == pin[1], (
        f"{package} is not the pinned version: install the lock, or prove the gold answers against the new one"
    )


def test_tasks_and_gold_belong_together() -> None:
    """Every task has exactly one gold answer and every gold answer has its task."""
    task_ids = [task["custom_id"] for task in TASKS]
    gold_ids = [gold["custom_id"] for gold in GOLD]
    assert len(task_ids) == len(set(task_ids)), "a custom_id occurs twice among the tasks"
    assert len(gold_ids) == len(set(gold_ids)), "a custom_id occurs twice in the gold file"
    assert set(task_ids) == set(gold_ids)


def test_the_sample_is_large_enough_and_balanced() -> None:
    """There are at least 30 tasks, 40 to 60 % of the claims are false, and all three packages have their share."""
    assert len(TASKS) >= 30
    assert 0.4 <= sum(gold["verdict"] == "fail" for gold in GOLD) / len(GOLD) <= 0.6
    share = {package: sum(gold["package"] == package for gold in GOLD) for package in PACKAGES}
    assert min(share.values()) >= len(GOLD) // 4, share
    assert sum(gold["absent"] is not None for gold in GOLD) <= 3


def test_quickstart_is_a_balanced_part_of_the_sample() -> None:
    """The eight quickstart tasks are tasks of the sample, word for word, half of them true."""
    verdicts = {gold["custom_id"]: gold["verdict"] for gold in GOLD}
    assert len(QUICKSTART) == 8
    assert len({task["custom_id"] for task in QUICKSTART}) == 8
    assert [task["custom_id"] for task in QUICKSTART if task not in TASKS] == []
    assert sum(verdicts[task["custom_id"]] == "fail" for task in QUICKSTART) == 4


@each_task
def test_a_task_has_the_documented_form(task: dict[str, Any]) -> None:
    """A task line carries an id, a one-line claim, tags that name its package, and at most a short checklist."""
    name = task["custom_id"]
    assert set(task) - {"checklist"} == {"custom_id", "task", "tags"}, f"{name}: unknown or missing keys"
    assert "\n" not in task["task"], f"{name}: the claim has to be one line"
    assert task["tags"][0] == name.split("-")[0], f"{name}: the first tag has to be the package"
    if "checklist" in task:
        assert 1 <= len(task["checklist"]) <= 2, f"{name}: a checklist has one or two items"
        assert all(item.strip() for item in task["checklist"]), f"{name}: an empty checklist item"


@each_gold
def test_the_deciding_line_exists(gold: dict[str, Any]) -> None:
    """The line that decides the claim occurs once in the named file, or once behind its context."""
    name, path, pattern = gold["custom_id"], gold["path"], gold["pattern"]
    assert path.split("/")[0] == gold["package"], f"{name}: {path} does not lie in {gold['package']}"
    found = deciding_lines(path, pattern, gold.get("context"))
    assert len(found) == 1, f"{name}: {pattern!r} occurs {len(found)} times in {path}; give a context or mend the gold"


@each_gold
def test_the_gold_verdict_follows_from_the_source(gold: dict[str, Any]) -> None:
    """A pass has equal values, a fail different ones or a name that occurs nowhere; the found value is in the line."""
    name, expected, found = gold["custom_id"], gold["expected"], gold["found"]
    assert gold["verdict"] in {"pass", "fail"}, f"{name}: no such verdict"
    if found is None:
        assert gold["verdict"] == "fail", f"{name}: what does not exist cannot pass"
        assert gold["absent"], f"{name}: nothing was found, so an absent identifier has to prove it"
        assert gold["absent"].casefold() not in whole_source(gold["package"]), (
            f"{name}: {gold['absent']!r} occurs in {gold['package']}, so the claim is no longer proved false"
        )
        return
    assert gold["absent"] is None, f"{name}: a found value and an absent identifier exclude each other"
    assert occurs(found, gold["pattern"]), f"{name}: {found!r} does not occur in the line {gold['pattern']!r}"
    claimed, real = normal(expected), normal(found, gold.get("unit"))
    assert claimed[0] == real[0], f"{name}: {expected!r} ({claimed[0]}) and {found!r} ({real[0]}) cannot be compared"
    if gold["verdict"] == "pass":
        assert claimed == real, f"{name}: claimed {expected!r}, the source says {found!r}, so this is no pass"
    else:
        assert claimed != real, f"{name}: claimed {expected!r}, the source says {found!r}, so this is no fail"
        assert not occurs(expected, gold["pattern"]), f"{name}: the false value {expected!r} stands in the line as well"


@each_gold
def test_the_claim_asserts_the_expected_value(gold: dict[str, Any]) -> None:
    """What the gold answer calls expected stands in the words of the task; what is found there does not, if false."""
    name, expected, found = gold["custom_id"], gold["expected"], gold["found"]
    claim = next(task["task"] for task in TASKS if task["custom_id"] == name)
    assert occurs(expected, claim), f"{name}: the claim does not say {expected!r}"
    if gold["verdict"] == "fail" and found is not None:
        assert not occurs(found, claim), f"{name}: the claim gives the true value {found!r} away"


def test_playbook_has_every_kind_of_record() -> None:
    """The playbook holds 24 records with distinct ids: exemplars of both verdicts, warnings and notes."""
    kinds = [record["kind"] for record in PLAYBOOK]
    assert [record["id"] for record in PLAYBOOK] == [f"pb-{number:04d}" for number in range(1, 25)]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"exemplar": 14, "warning": 5, "note": 5}
    verdicts = [record["text"].splitlines()[4] for record in EXEMPLARS]
    assert verdicts.count("Verdict: pass") == verdicts.count("Verdict: fail") == 7


@each_exemplar
def test_an_exemplar_is_proved_by_the_source(record: dict[str, Any]) -> None:
    """An exemplar quotes a real line with its number, and its verdict follows from that line."""
    name, proof = record["id"], record["proof"]
    form = EXEMPLAR.fullmatch(record["text"])
    assert form is not None, f"{name}: the text is not in the exemplar form"
    assert form["claim"] == record["title"], f"{name}: claim and title differ"
    assert (form["path"], form["quote"]) == (proof["path"], proof["pattern"]), f"{name}: text and proof differ"
    lines = deciding_lines(proof["path"], proof["pattern"], proof.get("context"))
    assert lines == [int(form["line"])], f"{name}: {proof['pattern']!r} stands on lines {lines} of {proof['path']}"
    assert occurs(form["found"], proof["pattern"]), f"{name}: {form['found']!r} does not occur in the quoted line"
    assert occurs(form["expected"], form["claim"]), f"{name}: the claim does not say {form['expected']!r}"
    claimed = normal(form["expected"])
    real = normal(form["found"], "s" if claimed[0] == "seconds" else None)
    assert claimed[0] == real[0], f"{name}: {form['expected']!r} and {form['found']!r} cannot be compared"
    assert (claimed == real) == (form["verdict"] == "pass"), f"{name}: the verdict does not follow"


@each_record
def test_warnings_and_notes_give_steps(record: dict[str, Any]) -> None:
    """Every record holds at least one line that retrieval can extract as a validation step; a note nothing else."""
    steps = [line for line in record["text"].splitlines() if line.startswith(STEP_WORDS)]
    assert steps, f"{record['id']}: no validation step"
    if record["kind"] == "note":
        assert steps == record["text"].splitlines(), f"{record['id']}: a note consists of steps"


@each_record
def test_the_playbook_gives_no_answer_away(record: dict[str, Any]) -> None:
    """No record quotes the deciding line of a task, and no title is a near-duplicate of one."""
    for gold in GOLD:
        assert gold["pattern"] not in record["text"], f"{record['id']} tells {gold['custom_id']}"
        proof = record.get("proof", {})
        assert (proof.get("path"), proof.get("pattern")) != (gold["path"], gold["pattern"]), (
            f"{record['id']} proves the fact of {gold['custom_id']}"
        )
    title = words(record["title"])
    for task in TASKS:
        claim = words(task["task"])
        overlap = len(title & claim) / len(title | claim)
        assert overlap < MAX_TITLE_OVERLAP, f"{record['id']} is too near to {task['custom_id']}: {overlap:.2f}"
