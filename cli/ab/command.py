"""`replay ab`: the same tasks with evidence, from memory, and without a model, side by side and in numbers."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import samples, session
from cli.ab import asking, runs
from cli.ab.bar import AbBar
from cli.ab.runs import Audited
from cli.ab.study import Study, put_together
from cli.ab.table import as_markdown, print_study, seen_from
from cli.output import console
from cli.output.files import put
from cli.output.results import GoldOption, find_gold
from cli.submit.command import report_errors
from producer import intake
from producer.gold import KnownAnswer, read_gold
from producer.intake import Overrides
from producer.line import TaskLine
from replay.contracts import Tier
from replay.errors import InputError
from replay.settings import Settings
from replay.study import arms_plot
from replay.study.arms import Arm

_FEW = 5
_IN_DOCUMENT = 3
_CTRL_C = 130
_ALL = ",".join(Arm)


def ab(
    tasks: Annotated[Path | None, typer.Option(help="A tasks file; by default the sample.")] = None,
    gold: GoldOption = None,
    limit: Annotated[
        int | None, typer.Option("-n", "--limit", min=1, help="Tasks to take from its beginning; by default all.")
    ] = None,
    arms: Annotated[str, typer.Option(help=f"Which to compare: {_ALL}.")] = _ALL,
    show: Annotated[
        int | None,
        typer.Option(min=0, help=f"Tasks to show side by side; by default all of {_FEW} or fewer, else none."),
    ] = None,
    in_flight: Annotated[
        int | None,
        typer.Option("-j", "--in-flight", min=1, help="Requests at once; by default the model server's slots."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Ask also what evidence has the answer of already.")] = False,
    markdown: Annotated[Path | None, typer.Option(help="Also write the comparison as Markdown to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw it into this file: .svg or .png.")] = None,
    as_json: console.AsJson = False,
) -> None:
    """Compare three arms on the same tasks: the local model with evidence, from memory, and no model at all.

    The arm without a model takes retrieval's first choice; it shows what the model adds. The arm from memory is marked
    as the baseline. The same gate judges all of them, and the large model is not asked. Shares carry 95 % intervals;
    two arms are compared by McNemar's exact test. Known answers are found by themselves for FILE in tasks/, in gold/
    beside it.

    What the model is asked becomes evidence, and what evidence has is not asked again: after Ctrl-C the same command
    goes on. It asks anew where model, corpus, gate or prompt are others. Exit code 1 when lines were bad or no answer
    came.

    Example: replay ab --tasks data/tasks/celery-audit.jsonl --markdown docs/ab.md --plot docs/ab.svg
    """
    settings = Settings()
    source = tasks or samples.QUICKSTART
    chosen = _arms(arms)
    taken = intake.read(source, Overrides(allow_escalation=False))
    report_errors(taken, str(source))
    if not taken.lines:
        raise InputError(f"There is no task in {source}.", hint='A line is {"custom_id": "…", "task": "…"}.')
    lines = taken.lines[:limit]
    known = _known(gold or find_gold(str(source)), lines)
    # What cannot be written is told before the model's work, not after it.
    if plot is not None:
        arms_plot.check(plot)
        put(plot, "", "a")
    if markdown is not None:
        put(markdown, "", "a")
    audited, is_whole = _audit(lines, chosen, settings, in_flight or settings.local_slots, again=again)
    study = put_together(lines, chosen, audited, known, settings, tasks=taken.source)
    _tell(study, (len(lines) if len(lines) <= _FEW else 0) if show is None else show, as_json=as_json)
    if not is_whole:
        console.note(f"{len(study.pairs)} of {study.total} tasks in every arm; it goes on with:")
        console.note(f"  {shlex.join(['replay', *sys.argv[1:]])}")
        raise typer.Exit(_CTRL_C)
    if plot is not None:
        arms_plot.plot(study.comparison, study.conditions, plot)
    if markdown is not None:
        image = None if plot is None else seen_from(markdown, plot)
        put(markdown, as_markdown(study, _IN_DOCUMENT if show is None else show, image))
    if taken.errors or study.failed:
        raise typer.Exit(1)


def _audit(
    lines: tuple[TaskLine, ...], arms: list[Arm], settings: Settings, in_flight: int, *, again: bool
) -> tuple[list[Audited], bool]:
    """What there is of every task in every arm, and whether that is all; after Ctrl-C it is not."""
    audited: list[Audited] = []
    try:
        with session.engine(settings, [Tier.LOCAL] if any(arm.asks_model for arm in arms) else []) as engine:
            plan = runs.plan(lines, arms, settings, engine, again=again)
            audited += plan.known
            if plan.from_evidence:
                console.note(f"{plan.from_evidence} answers are in evidence already, {len(plan.questions)} to ask for")
            with AbBar(len(plan.questions)) as bar:
                for one in asking.ask(plan.questions, settings, engine, in_flight=in_flight):
                    audited.append(one)
                    bar.done(one)
    except KeyboardInterrupt:
        if not audited:
            raise  # while the model was still being started: there is nothing to show
        return audited, False
    return audited, True


def _tell(study: Study, show: int, *, as_json: bool) -> None:
    if as_json:
        console.print_json(study.wire())
    else:
        print_study(study, show)
    if not study.comparison.has_gold:
        console.note("no known answers: what is right and what is wrong is not counted; --gold FILE gives them")
    if study.failed:
        console.note(f"{study.failed} runs got no answer and are in no share; the same command asks for them again")


def _arms(names: str) -> list[Arm]:
    """The arms that are named, each once, in the order of the names."""
    try:
        chosen = [Arm(name.strip()) for name in dict.fromkeys(names.split(",")) if name.strip()]
    except ValueError as error:
        raise InputError(f"{error}", hint=f"Arms: {_ALL}.") from None
    if not chosen:
        raise InputError("No arm is named.", hint=f"Arms: {_ALL}.")
    return list(dict.fromkeys(chosen))


def _known(gold: Path | None, lines: tuple[TaskLine, ...]) -> dict[str, KnownAnswer]:
    if gold is None:
        return {}
    known = read_gold(gold)
    without = sum(line.custom_id not in known for line in lines)
    if without:
        console.note(f"{gold} knows nothing of {without} of the {len(lines)} tasks; they are in no share of it")
    return known
