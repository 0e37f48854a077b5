"""`replay study loop`: rounds of work, admission after each, and a sealed probe that tells whether it helped."""

from __future__ import annotations

import shlex
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cli import samples, session
from cli.corpus.admission import barred_texts
from cli.output import console
from cli.study.loop_arm import ArmHouse, Plan
from cli.study.loop_table import as_markdown, print_report
from producer import intake
from replay import identity, pipeline
from replay.contracts import Record, Tier
from replay.corpus import snapshot
from replay.corpus.admission.guard import Barred
from replay.corpus.admission.policy import Policy
from replay.corpus.retrieval import CurrentRetriever
from replay.errors import ConfigurationError, InputError
from replay.gate import gate_without
from replay.identity import canonical_json
from replay.pipeline import Generator
from replay.prompting import PromptLimits
from replay.settings import Settings
from replay.study.conditions import machine
from replay.study.loop import placebo, plot
from replay.study.loop.arms import LoopArm
from replay.study.loop.asked_once import AskedOnce
from replay.study.loop.oracle import STAND_IN, OracleStandIn
from replay.study.loop.report import LoopConditions, LoopReport, powers, report
from replay.study.loop.tasks import Gold, StudyTask
from replay.study.loop.turns import Large
from replay.study.top_line import FirstChoice

_NONE, _ORACLE = "none", "oracle"
_CTRL_C = 130
_ALL_ARMS = ",".join(LoopArm)
_ABOUT = frozenset({"celery", "kombu", "redis"})


def loop(
    work: Annotated[Path, typer.Option(help="Tasks that every round goes through.")],
    probe: Annotated[
        Path, typer.Option(help="The sealed probe: measured after each round, never work, never admitted.")
    ],
    gold: Annotated[Path, typer.Option(help="What is known of both: verdict, part, path and deciding line.")],
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of work.")] = 3,
    local: Annotated[
        str, typer.Option(metavar="none|MODEL", help="The local model; none takes the first line that is offered.")
    ] = _NONE,
    large: Annotated[
        str,
        typer.Option(
            metavar="oracle|none|MODEL", help="The large one; oracle is a stand-in that knows the gold answer."
        ),
    ] = _NONE,
    limit: Annotated[
        int | None, typer.Option("-n", "--limit", min=1, help="Take so many tasks of each file; by default all.")
    ] = None,
    arms: Annotated[
        str | None, typer.Option(help=f"Which arms, in this order, of {_ALL_ARMS}; by default all. live comes first.")
    ] = None,
    placebo_file: Annotated[
        Path | None, typer.Option("--placebo", metavar="FILE", help="Proved claims for the placebo arm.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The study's folder; by default study-loop/ in data.")
    ] = None,
    as_json: console.AsJson = False,
) -> None:
    """Measure whether accepted answers, fed back into the corpus, make the next answers better.

    In each round every work task goes through the pipeline: retrieval, local answer, gate, and where that refuses the
    large model over the same lines. Then answers are admitted, and the sealed probe is measured with the local answer
    alone. Arms: live (admission on), frozen (off), placebo (as many records about other packages), large-only (only
    answers of the large model are admitted), and with a local model one without retrieval. Answers are never reused.

    At temperature 0 a question that was asked before, word for word and over the same lines, is not asked again.

    Each arm has a copy of the current corpus and its own evidence in DIR; those of the stack are not touched. After
    Ctrl-C the same command goes on where it was. DIR then has loop.json, loop.md and, with matplotlib, loop.svg.

    Example: replay study loop --work data/study/work.jsonl --probe data/study/probe.jsonl --gold data/study/gold.jsonl
    --rounds 4 --local none --large oracle
    """
    settings = Settings()
    folder = out or settings.data_dir / "study-loop"
    chosen = _arms(local, arms)
    known = _gold(gold)
    of_work, of_probe = (_tasks(file, known, limit) for file in (work, probe))
    _same(settings, folder, of_work, of_probe, local, large)
    for one in powers(len(of_work), *(sum(task.gold.part == part for task in of_probe) for part in ("kin", "novel"))):
        least = ", ".join(
            f"{100 * gain:.1f} points ({name})" for name, gain in one.smallest.items() if gain is not None
        )
        console.note(f"{one.name}, {one.tasks} tasks: found with 80 % power at 5 %: {least or 'nothing'}")
    barred = Barred(barred_texts([probe]), Policy().barred_similarity)
    records = tuple(_placebo(placebo_file or samples.RETRIEVAL / "generated.jsonl"))
    with _engine(settings, local, large, folder) as (engine, answers):
        plan = Plan(
            study=_study(folder),
            work=of_work,
            probe=of_probe,
            rounds=rounds,
            engine=engine,
            large=_large(large, engine, answers),
            stand_in=large == _ORACLE,
            barred=barred,
            policy=Policy(),
            placebo=records,
        )
        houses = {arm: ArmHouse(arm, plan, settings, folder) for arm in chosen}
        whole = _run(houses)
        conditions = LoopConditions(
            work=work.name,
            probe=probe.name,
            local=local,
            large=STAND_IN if large == _ORACLE else large,
            rounds=rounds,
            corpus_version=snapshot.load(settings.corpus_dir).version,
            gate_version=engine.gate.version,
            temperature=settings.temperature,
            seed=settings.seed,
            machine=machine(),
        )
        made = report(conditions, [house.rounds() for house in houses.values()])
    _tell(made, folder, whole=whole, as_json=as_json)
    if not whole:
        console.note(f"interrupted; it goes on with:\n  {shlex.join(['replay', *sys.argv[1:]])}")
        raise typer.Exit(_CTRL_C)


def _arms(local: str, named: str | None) -> list[LoopArm]:
    """The arms to run: with no local model there is none without retrieval.

    Raises:
        InputError: No such arm, or the live one is not the first: the others are held against it.
    """
    able = [arm for arm in LoopArm if arm.works or local != _NONE]
    try:
        chosen = able if named is None else [LoopArm(name.strip()) for name in dict.fromkeys(named.split(","))]
    except ValueError as error:
        raise InputError(f"{error}", hint=f"Arms: {_ALL_ARMS}.") from None
    if chosen[:1] != [LoopArm.LIVE]:
        raise InputError("The first arm is not live, and the others are held against it.", hint="--arms live,…")
    if unable := [arm for arm in chosen if arm not in able]:
        raise InputError(f"Without a local model there is no arm {unable[0]}.", hint="Name a model with --local.")
    return chosen


def _run(houses: dict[LoopArm, ArmHouse]) -> bool:
    """Run all arms; False after Ctrl-C."""
    try:
        for house in houses.values():
            house.run(houses[LoopArm.LIVE])
    except KeyboardInterrupt:
        return False
    return True


@contextmanager
def _engine(
    settings: Settings, local: str, large: str, folder: Path
) -> Iterator[tuple[pipeline.Engine, pipeline.Engine | None]]:
    """An engine whose generator is the local one, and one whose generator reaches the large model, if there is one."""
    update = {"local_model": local} if local != _NONE else {}
    update |= {"escalation_model": large} if large not in {_NONE, _ORACLE} else {}
    tiers = [Tier.LOCAL] * ("local_model" in update) + [Tier.ESCALATION] * ("escalation_model" in update)
    gate, limits = gate_without(settings.gate_rules_off), PromptLimits(exemplars=settings.exemplars_shown)
    alone = pipeline.Engine(CurrentRetriever(settings.corpus_dir, settings), FirstChoice(), limits, gate)
    if not tiers:
        yield alone, None
        return
    used = settings.model_copy(update=update)
    with session.engine(used, tiers) as asking, closing(_asked_once(asking.generator, used, folder)) as once:
        engine = asking if settings.temperature else replace(asking, generator=once)
        yield engine if local != _NONE else alone, engine


def _asked_once(generator: Generator, settings: Settings, folder: Path) -> AskedOnce:
    models = settings.local_model, settings.escalation_model
    return AskedOnce(generator, [*models, settings.max_tokens, settings.seed], folder / "generations.jsonl")


def _large(large: str, engine: pipeline.Engine, answers: pipeline.Engine | None) -> Callable[[StudyTask], Large] | None:
    if large == _ORACLE:
        return lambda task: lambda order: OracleStandIn(order, task.gold, engine.gate)
    if large == _NONE or answers is None:
        return None
    return lambda _: lambda _: answers.generator


def _tell(made: LoopReport, folder: Path, *, whole: bool, as_json: bool) -> None:
    wired = {"complete": whole, **made.wire()}
    picture: str | None = "loop.svg"
    try:
        plot.plot(made, folder / "loop.svg")
    except ConfigurationError as error:
        console.note(f"no plot: {error.message}")
        picture = None
    (folder / "loop.json").write_bytes(canonical_json(wired) + b"\n")
    (folder / "loop.md").write_text(as_markdown(made, picture), encoding="utf-8")
    if as_json:
        console.print_json(wired)
    else:
        print_report(made)
    console.note(f"written: loop.json and loop.md in {folder}")


def _tasks(file: Path, known: dict[str, Gold], limit: int | None) -> tuple[StudyTask, ...]:
    """The tasks of a file with what is known of them.

    Raises:
        InputError: A line is no task, or nothing is known of one: then nothing could be counted.
    """
    taken = intake.read(file)
    if taken.errors:
        raise InputError(f"{file}:{taken.errors[0].line}: {taken.errors[0].error}", hint="Correct the line.")
    lines = taken.lines[:limit]
    if missing := [line.custom_id for line in lines if line.custom_id not in known]:
        raise InputError(
            f"The gold file knows nothing of {missing[0]} in {file}.", hint="Give the gold of these tasks."
        )
    if not lines:
        raise InputError(f"There is no task in {file}.", hint='A line is {"custom_id": "…", "task": "…"}.')
    return tuple(
        StudyTask(line.custom_id, line.task, line.checklist, line.tags, known[line.custom_id]) for line in lines
    )


def _gold(file: Path) -> dict[str, Gold]:
    found = {}
    for number, line in _lines(file):
        try:
            one = Gold.model_validate_json(line)
        except ValidationError as error:
            raise InputError(
                f"Line {number} of {file} is no known answer: {error.errors()[0]['msg']}",
                hint='A line is {"custom_id": "…", "verdict": "pass", "part": "work", "path": "…", "pattern": "…"}.',
            ) from None
        found[one.custom_id] = one
    return found


def _placebo(file: Path) -> Iterator[Record]:
    def line_of(claim: placebo.Claim) -> int | None:
        path = Path(sysconfig.get_paths()["purelib"], claim.path)
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError):
            return None
        return next((number for number, line in enumerate(lines, 1) if line.strip() == claim.pattern), None)

    claims = []
    for number, line in _lines(file):
        try:
            claims.append(placebo.Claim.model_validate_json(line))
        except ValidationError as error:
            why = error.errors()[0]["msg"]
            raise InputError(f"Line {number} of {file} is no proved claim: {why}", hint="See data/README.md.") from None
    return placebo.records(claims, _ABOUT, line_of)


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}", hint="Check the path.") from error
    return ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _same(
    settings: Settings, folder: Path, work: tuple[StudyTask, ...], probe: tuple[StudyTask, ...], local: str, large: str
) -> None:
    """Note what is studied, or find that the folder has just this study. More rounds are the same one.

    Raises:
        InputError: Another study lies there.
    """
    said = {
        "work": _digest(work),
        "probe": _digest(probe),
        "local": local,
        "large": large,
        "corpus": snapshot.load(settings.corpus_dir).version,
        "gate": gate_without(settings.gate_rules_off).version,
        "sampling": [settings.temperature, settings.max_tokens, settings.seed],
        "exemplars": settings.exemplars_shown,
    }
    note = folder / "study.json"
    if not note.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partly = note.with_name("study.json.part")
        partly.write_bytes(canonical_json(said))
        partly.replace(note)
    elif note.read_bytes() != canonical_json(said):
        raise InputError(
            f"Another study lies in {folder}: its tasks, models, corpus, gate or sampling differ.",
            hint="Name another folder with --out.",
        )


def _study(folder: Path) -> str:
    return identity.digest((folder / "study.json").read_text(encoding="utf-8"))


def _digest(tasks: tuple[StudyTask, ...]) -> str:
    return identity.digest([[task.text, list(task.checklist), task.gold.model_dump(mode="json")] for task in tasks])
