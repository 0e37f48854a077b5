"""`replay corpus log`, `diff` and `stats`: what versions there are, how they differ, and what one holds."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.corpus.bar import CorpusBar
from cli.output import console
from replay.corpus import search, snapshot
from replay.errors import CorpusError
from replay.settings import Settings

SHOWN = 20

Version = Annotated[
    str | None, typer.Option("--version", help="A version as `replay corpus log` names it; default: the current one.")
]


def log(
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many, from the last one.")] = 20,
    as_json: console.AsJson = False,
) -> None:
    """List the versions of the corpus, the last one first: when and from what each was made, and how it differs.

    Example: replay corpus log -n 5
    """
    corpus_dir = Settings().corpus_dir
    current = _current(corpus_dir)
    published = snapshot.history(corpus_dir)[::-1][:count]
    if as_json:
        console.print_json({"current": current, "log": [one.wire() for one in published]})
        return
    table = Table("", "version", "when", "what", "records", "added", "changed", "removed", "from", box=None)
    for one in published:
        counts = ("?" if n is None else f"{n:,}" for n in (one.records, one.added, one.changed, one.removed))
        mark = "*" if one.version == current else ""
        table.add_row(mark, one.version, one.at[:19].replace("T", " "), one.what, *counts, one.reason[:60])
    console.out.print(table)


def _current(corpus_dir: Path) -> str | None:
    """The current version; None where the pointer is lost or damaged, and the log is what helps."""
    try:
        return snapshot.named(corpus_dir, snapshot.POINTER)
    except CorpusError as error:
        if not snapshot.history(corpus_dir):
            raise
        console.print_error(error)
        return None


def use(
    version: Annotated[str, typer.Argument(help="A version as `replay corpus log` names it, or its first hex digits.")],
    as_json: console.AsJson = False,
) -> None:
    """Make a version that is there the current one: to go back, or where the pointer was lost or damaged.

    Example: replay corpus use corpus_3f2a91c07be4d258
    """
    corpus_dir = Settings().corpus_dir
    with CorpusBar() as bar:
        used = snapshot.use(corpus_dir, snapshot.named(corpus_dir, version), watcher=bar)
    if as_json:
        console.print_json({"corpus_version": used.version, "records": len(used)})
        return
    console.out.print(f"corpus {used.version}, {len(used):,} records, is the current one")


def diff(
    old: Annotated[str, typer.Argument(help="A version, or its first hex digits.", metavar="A")],
    new: Annotated[str, typer.Argument(help="The other one.", metavar="B")] = snapshot.POINTER,
    verbose: Annotated[bool, typer.Option("--verbose", help="Name every record.")] = False,
    as_json: console.AsJson = False,
) -> None:
    """Say which records version B has that A has not, the other way round, and which changed.

    Example: replay corpus diff 3f2a current
    """
    corpus_dir = Settings().corpus_dir
    found = snapshot.diff(corpus_dir, snapshot.named(corpus_dir, old), snapshot.named(corpus_dir, new))
    if as_json:
        console.print_json(dataclasses.asdict(found))
        return
    console.out.print(f"{found.old} -> {found.new}")
    for sign, what, ids in (
        ("+", "added", found.added),
        ("-", "removed", found.removed),
        ("~", "changed", found.changed),
    ):
        console.out.print(f"{len(ids):,} {what}")
        for record_id in ids if verbose else ids[:SHOWN]:
            console.out.print(f"  {sign} {record_id}", soft_wrap=True)
        if not verbose and len(ids) > SHOWN:
            console.note(f"  {len(ids) - SHOWN:,} more; --verbose names all")


def stats(version: Version = None, as_json: console.AsJson = False) -> None:
    """Say what a version of the corpus holds.

    Example: replay corpus stats
    """
    corpus_dir = Settings().corpus_dir
    opened = snapshot.load(corpus_dir, snapshot.named(corpus_dir, version or snapshot.POINTER))
    held = search.stats(opened)
    segments = [
        {"name": one.stored.name, "group": one.stored.group.value, "records": len(one), "bytes": one.stored.bytes}
        for one in opened.segments
    ]
    if as_json:
        console.print_json({**held.wire(), "segments": segments})
        return
    console.out.print(
        f"corpus {held.corpus_version}: {held.records:,} records, {held.files:,} files, {held.characters:,} characters"
    )
    for what, counts in (("kind", held.by_kind), ("origin", held.by_origin)):
        for name, count in sorted(counts.items(), key=lambda item: -item[1]):
            console.out.print(f"  {what} {name}: {count:,}")
    for one in opened.segments:
        console.out.print(
            f"  segment {one.stored.name}: {one.stored.group}, {len(one):,} records, {one.stored.bytes / 2**20:.1f} MiB"
        )
