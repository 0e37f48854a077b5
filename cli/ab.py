"""`replay ab`: the same local model with evidence and without, side by side."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from cli import console, samples, session
from cli.run import audit_in_process
from cli.submit import report_errors
from producer import intake
from producer.intake import Overrides
from producer.line import TaskLine
from producer.results import Result
from replay.contracts import State, Tier
from replay.errors import InputError
from replay.models.routing import model_for
from replay.settings import Settings

_INTRODUCTION = """\
# With evidence and from memory

The same local model (`{model}`) and the same tasks, written by `replay ab --markdown`. What the model names and
reports is shown as it is, also where it is bad. *Grounded*: the place exists in the corpus and says what is reported.
*Invented*: it names a source that is not in the evidence. From memory nothing can be accepted, for there is nothing
to cite.
"""
_HEADER = "| | names as its source | claimed → found | answer | gate |\n|---|---|---|---|---|"


@dataclass(frozen=True)
class Pair:
    """One task in both arms."""

    task: str
    with_retrieval: Result
    without: Result


def ab(
    file: Annotated[Path | None, typer.Argument(help="A tasks file; by default the sample.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="Tasks to take from its beginning.")] = 3,
    markdown: Annotated[Path | None, typer.Option(help="Also write the comparison as Markdown to this file.")] = None,
    as_json: console.AsJson = False,
) -> None:
    """Ask the local model the same questions with retrieved evidence and from memory, and show what is grounded.

    Grounded means that the place it names exists in the corpus and says what it reports. Both arms become evidence;
    the one without retrieval is marked as the baseline. The large model is not asked. Exit code 1 when lines were bad.

    Example: replay ab -n 3 --markdown docs/ab.md
    """
    settings = Settings()
    source = file or samples.QUICKSTART
    taken = intake.read(source, Overrides(allow_escalation=False))
    report_errors(taken, str(source))
    if not taken.lines:
        raise InputError(f"There is no task in {source}.", hint='A line is {"custom_id": "…", "task": "…"}.')
    if markdown is not None:
        _write(markdown, "", "a")  # what cannot be written is told before the model's work, not after it
    pairs = []
    with session.engine(settings, [Tier.LOCAL]) as engine:
        for line in taken.lines[:limit]:
            console.note(f"{line.custom_id} …")
            pairs.append(
                Pair(
                    line.task,
                    audit_in_process(line, settings, engine),
                    audit_in_process(_baseline(line), settings, engine),
                )
            )
    if as_json:
        console.print_json([dataclasses.asdict(pair) for pair in pairs])
    else:
        _print(pairs)
    if markdown is not None:
        _write(markdown, as_markdown(pairs, model_for(Tier.LOCAL, settings)))
    if taken.errors:
        raise typer.Exit(1)


def _print(pairs: list[Pair]) -> None:
    for pair in pairs:
        console.out.print(Text(pair.task, style="bold"))
        table = Table(box=None, header_style="dim", pad_edge=False)
        for column in ("", "names as its source", "claimed → found", "answer", "gate"):
            table.add_column(column, overflow="fold")
        for name, result in (("with evidence", pair.with_retrieval), ("from memory", pair.without)):
            style = "green" if result.state == State.ACCEPTED else "yellow"
            values = f"{result.expected} → {result.found}"
            table.add_row(name, *map(Text, _cells(result, values)), Text(_gate(result), style=style))
        console.out.print(table)
        console.out.print()


def _write(path: Path, text: str, mode: Literal["w", "a"] = "w") -> None:
    try:
        with path.open(mode, encoding="utf-8") as target:
            target.write(text)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}.", hint="Name a file in a folder that this user can write."
        ) from error


def _baseline(line: TaskLine) -> TaskLine:
    return line.model_copy(update={"options": line.options.model_copy(update={"retrieval": False})})


def _cells(result: Result, values: str) -> tuple[str, str, str]:
    return result.citation or "nothing", values if result.found is not None else "", result.ruling or "unreadable"


def _gate(result: Result) -> str:
    if result.state == State.ACCEPTED:
        return "grounded"
    rules = ", ".join(dict.fromkeys(reason.partition(":")[0] for reason in result.reasons))
    return f"{'invented' if 'citations.unknown_record' in rules else result.state}: {rules}"


def as_markdown(pairs: list[Pair], model: str) -> str:
    """The comparison as a document: what the model named, verbatim, in both arms."""
    parts = [_INTRODUCTION.format(model=model)]
    for pair in pairs:
        parts.append(f"## {pair.task}\n\n{_HEADER}")
        for name, result in (("with evidence", pair.with_retrieval), ("from memory", pair.without)):
            cells = (name, *_cells(result, f"{result.expected} → {result.found}"), _gate(result))
            parts.append("| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in cells) + " |")
        if pair.with_retrieval.quote:
            parts.append(f"\nThe cited line: `{pair.with_retrieval.quote}`\n")
    return "\n".join(parts) + "\n"
