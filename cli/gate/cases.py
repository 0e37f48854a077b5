"""`replay gate cases`: labelled cases made from text, to measure the gate by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import typer

from cli.output import console
from replay.contracts import Record
from replay.errors import InputError
from replay.study.mutations import FAULTS, PARAPHRASES, cases, splits


class Split(StrEnum):
    """Text of installed packages that is set apart for this."""

    DEV = "dev"
    HELD_OUT = "heldout"


def cases_(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Directories, or package:NAME for an installed package.", metavar="SOURCE…"),
    ] = None,
    split: Annotated[
        Split | None,
        typer.Option(help="Instead of sources: the text on which rules may be developed, or the text held out."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Names the draw: the same seed and text give the same cases.")] = 1,
    per_class: Annotated[
        int, typer.Option("--per-class", min=1, help="Cases of each class, where the text allows.")
    ] = 20,
    only: Annotated[
        list[str] | None, typer.Option("--class", metavar="NAME", help="Only this class; may be given again.")
    ] = None,
) -> None:
    """Make right answers from prose, the same with one fault of each class, and the same in other words.

    One JSON object a line, in the form that `replay gate check` reads; the label says whether the answer is right and,
    if not, which fault it has. Take text of your own: how the gate does on it is what you want to know.

    Example: replay gate cases package:httpx --per-class 10 > cases.jsonl && replay gate check --cases cases.jsonl
    """
    known = (*FAULTS, *PARAPHRASES)
    if unknown := [name for name in only or () if name not in known]:
        raise InputError(f"There is no class {unknown[0]!r}.", hint=f"The classes are: {', '.join(known)}.")
    if bool(names) == bool(split):
        raise InputError(
            "Name sources or a split, one of the two.", hint="For instance: replay gate cases package:httpx"
        )
    made = 0
    for case in cases(list(_records(names, split)), seed=seed, per_class=per_class, classes=only or None):
        print(json.dumps(case.wire(), ensure_ascii=False))
        made += 1
    wanted = per_class * len(only or known)
    console.note(f"{made} cases" + (f"; the text has no place for {wanted - made} more" if made < wanted else ""))
    if not made:
        raise InputError("The text gave no case.", hint="It needs sentences: docstrings, Markdown, plain text.")


def _records(names: list[str] | None, split: Split | None) -> Iterator[Record]:
    if split is not None:
        yield from splits.records("dev" if split is Split.DEV else "heldout")
    for name in names or ():
        from replay.corpus import sources  # noqa: PLC0415  it loads a parser for each language

        yield from sources.stream(name)
