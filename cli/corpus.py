"""`replay corpus`: build it from sources, import playbooks, look into it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli import console
from replay.contracts import Record
from replay.corpus import playbooks, retrieval, snapshot, sources
from replay.corpus import search as search_module
from replay.errors import InputError
from replay.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The corpus: what retrieval finds. Build, import, look into it.")


@app.command()
def build(
    names: Annotated[
        list[str], typer.Argument(help="Directories, or package:NAME for an installed package.", metavar="SOURCE…")
    ],
    as_json: console.AsJson = False,
) -> None:
    """Read sources into the corpus. They replace the sources that were there; playbooks stay.

    Example: replay corpus build package:celery package:kombu package:redis
    """
    settings = Settings()
    records: list[Record] = []
    reports = []
    for name in names:
        console.note(f"reading {name} …")
        found, report = sources.read(name)
        records += found
        reports.append(report)
    made = snapshot.replace_sources(records, settings.corpus_dir)
    if as_json:
        console.print_json({"corpus_version": made.version, "sources": [dataclasses.asdict(r) for r in reports]})
        return
    table = Table("source", "files", "records", "skipped", "other files")
    for report in reports:
        table.add_row(*map(str, (report.origin, report.files, report.records, len(report.skipped), report.ignored)))
    console.out.print(table)
    for report in reports:
        for skipped in report.skipped:
            console.note(f"skipped {skipped.path}: {skipped.reason}")
    console.out.print(f"corpus {made.version}, {len(made.records)} records, in {settings.corpus_dir}")


@app.command("import")
def import_playbook(
    file: Annotated[
        Path, typer.Argument(help="JSON lines with id or rag_id, text or content, kind or score, title, tags.")
    ],
    as_json: console.AsJson = False,
) -> None:
    """Add a playbook file to the corpus. A bad line is named and left out; the rest is imported.

    Example: replay corpus import data/playbooks/celery-playbook.jsonl
    """
    settings = Settings()
    report = playbooks.read(file)
    for bad in report.bad_lines:
        field = f" field {bad.field}:" if bad.field else ""
        console.err.print(f"{file}:{bad.number}:{field} {bad.reason}", soft_wrap=True)
    if not report.records:
        raise InputError(f"{file} holds no usable record", hint="Each line needs an id, a text and a kind or score.")
    made = snapshot.add(report.records, settings.corpus_dir)
    if as_json:
        bad_lines = [dataclasses.asdict(bad) for bad in report.bad_lines]
        console.print_json({"corpus_version": made.version, "imported": len(report.records), "bad_lines": bad_lines})
    else:
        console.out.print(
            f"imported {len(report.records)} records, left out {len(report.bad_lines)} lines; "
            f"corpus {made.version}, {len(made.records)} records"
        )
    if report.bad_lines:
        raise typer.Exit(1)


@app.command()
def stats(as_json: console.AsJson = False) -> None:
    """Say what the current corpus holds.

    Example: replay corpus stats
    """
    held = search_module.stats(snapshot.load(Settings().corpus_dir))
    if as_json:
        console.print_json(held.wire())
        return
    console.out.print(
        f"corpus {held.corpus_version}: {held.records} records, {held.files} files, {held.characters} characters"
    )
    for what, counts in (("kind", held.by_kind), ("origin", held.by_origin)):
        for name, count in sorted(counts.items(), key=lambda item: -item[1]):
            console.out.print(f"  {what} {name}: {count}")


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="Words to look for; write them as a task would.")],
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="Evidence lines to show.")] = 8,
    as_json: console.AsJson = False,
) -> None:
    """Search exactly as a task of this text would, and explain each hit by the tokens that it shares.

    Example: replay corpus search "visibility timeout of the Redis transport"
    """
    settings = Settings()
    retriever = retrieval.SnapshotRetriever(snapshot.load(settings.corpus_dir), settings)
    result = search_module.search(retriever, query, lines=lines)
    if as_json:
        console.print_json(result.wire())
        return
    table = Table("score", "scorer", "kind", "where", "shared tokens, rarest first", box=None, header_style="dim")
    for found in (*result.playbook, *result.passages):
        record = found.hit.record
        where = f"{record.path}:{record.first_line}" if record.path else f"{record.record_id} {record.title}"
        table.add_row(f"{found.hit.score:.3f}", found.hit.scorer, record.kind, where[:70], " ".join(found.shared[:8]))
    console.out.print(table if table.row_count else "nothing found")
    for line in result.lines:
        console.out.print(f"{line.line_id:>4} {line.score:6.2f}  {line.text}", soft_wrap=True)
