"""`replay corpus build` and `replay corpus add`: sources into the corpus."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cli.corpus.bar import CorpusBar
from cli.corpus.compact import compact_in_background
from cli.corpus.importing import Imported, Playbooks, read_files
from cli.output import console
from replay.contracts import Record
from replay.corpus import snapshot, sources
from replay.corpus.fieldmap import FieldMap
from replay.corpus.oneline import as_text
from replay.corpus.snapshot import Snapshot
from replay.corpus.sources.report import BuildReport
from replay.errors import InputError
from replay.settings import Settings

Verbose = Annotated[bool, typer.Option("--verbose", help="Name every file that was left out, and why.")]

_PLAYBOOKS = (".jsonl", ".jsonl.gz")


def build(
    names: Annotated[
        list[str], typer.Argument(help="Directories, or package:NAME for an installed package.", metavar="SOURCE…")
    ],
    verbose: Verbose = False,
    as_json: console.AsJson = False,
) -> None:
    """Read sources into the corpus. They replace all sources that were there; playbooks stay.

    Example: replay corpus build package:celery package:kombu package:redis
    """
    settings = Settings()
    with CorpusBar() as bar:
        readings = _readings(names, bar, settings)
        reason = " ".join(map(as_text, names))
        made = snapshot.replace_sources(_records(readings), settings.corpus_dir, reason=reason, watcher=bar)
    reports = [reading.report for _, reading in readings]
    if as_json:
        console.print_json({**told(made), "sources": [_wire(report) for report in reports]})
        return
    _print_reports(reports, verbose=verbose)
    print_made(made, settings)


def add(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Directories, package:NAME for an installed package, or playbooks: FILE.jsonl.", metavar="SOURCE…"
        ),
    ],
    verbose: Verbose = False,
    as_json: console.AsJson = False,
) -> None:
    """Add sources to the corpus. What is there from the same source is replaced, also by an update; all else stays.

    A directory is the same source as any other of its name, a package as any other version of it. A .jsonl file is
    imported, as `replay corpus import` does.

    Example: replay corpus add package:vine ../our-service data/playbooks/celery-playbook.jsonl
    """
    settings = Settings()
    files = [name for name in names if name.lower().endswith(_PLAYBOOKS)]
    with CorpusBar() as bar:
        readings = _readings([name for name in names if name not in files], bar, settings)
        held = read_files(files, FieldMap(), bar, verbose=verbose) if files else Playbooks()
        made, merged = snapshot.grow(
            _records(readings),
            held.records,
            settings.corpus_dir,
            _origins(readings),
            reason=" ".join(map(as_text, names)),
            watcher=bar,
        )
    imported = Imported(made, merged, held)
    reports = [reading.report for _, reading in readings]
    if as_json:
        console.print_json({**(imported.wire() if files else told(made)), "sources": [_wire(one) for one in reports]})
    else:
        if reports:
            _print_reports(reports, verbose=verbose)
        if files:
            imported.print_merged(verbose=verbose)
            console.out.print(f"playbooks: read {held.counts.records:,} records, {imported.left_out()}")
        print_made(made, settings)
    compact_in_background(settings)
    if held.bad_lines:
        raise typer.Exit(1)


def told(made: Snapshot) -> dict[str, Any]:
    """What a change came to, for programs."""
    change = made.change
    return {
        "corpus_version": made.version,
        "records": len(made),
        "added": change.added if change else None,
        "changed": change.changed if change else None,
        "removed": change.removed if change else None,
    }


def print_made(made: Snapshot, settings: Settings) -> None:
    """What a change came to, for people."""
    console.out.print(
        f"{change_in_words(made)}; corpus {made.version}, {len(made):,} records, in {settings.corpus_dir}"
    )
    if made.change is not None and made.change.removed:
        console.note("to go back: `replay corpus log` names the version before, `replay corpus use VERSION` takes it")


def change_in_words(made: Snapshot) -> str:
    """How many records were added, changed and removed."""
    change = made.change
    if change is None or change.added is None:
        return "replaced what was damaged"
    if not (change.added or change.changed or change.removed):
        return "nothing new"
    return f"{change.added:,} records added, {change.changed:,} changed, {change.removed:,} removed"


Readings = Sequence[tuple[str, sources.Reading]]


def _readings(names: Sequence[str], bar: CorpusBar, settings: Settings) -> Readings:
    """What is to be read, once each, however often and under whatever name it is given."""
    found: dict[Path | str, tuple[str, sources.Reading]] = {}
    for name in names:
        reading = sources.stream(name, bar.reading(as_text(name)), but=settings.data_dir)
        found.setdefault(reading.place, (name, reading))
    return list(found.values())


def _records(readings: Readings) -> Iterator[Record]:
    """The records of all sources.

    Raises:
        InputError: A source gives none. It would otherwise take the place of what is there.
    """
    for name, reading in readings:
        console.note(f"reading {as_text(name)} …")
        yield from reading
        report = reading.report
        if not report.records:
            left_out = len(report.skipped) + report.excluded + report.hidden + report.empty + report.ignored
            raise InputError(
                f"{as_text(name)} holds nothing that can be read: {left_out:,} files and folders are left out, "
                "the corpus is as it was",
                hint="Give a directory with source code, Markdown or plain text, or package:NAME.",
            )


def _origins(readings: Readings) -> Callable[[str], bool]:
    """Whether an origin is one of those that are read."""
    return lambda origin: any(_is_same(name, reading.report.origin, origin) for name, reading in readings)


def _is_same(name: str, new: str, old: str) -> bool:
    """A package is the same by its name, whatever its version; a directory by its whole name."""
    package = sources.RELEASE
    if not name.startswith(sources.PACKAGE_PREFIX):
        return new == old
    return package.sub("", new) == package.sub("", old) and bool(package.search(old))


def _wire(report: BuildReport) -> dict[str, Any]:
    return {**dataclasses.asdict(report), "reasons": report.reasons()}


def _print_reports(reports: Sequence[BuildReport], *, verbose: bool) -> None:
    table = Table("source", "files", "records", "skipped", "excluded", "hidden", "empty", "other")
    for report in reports:
        left_out = (len(report.skipped), report.excluded, report.hidden, report.empty, report.ignored)
        table.add_row(report.origin, *(f"{count:,}" for count in (report.files, report.records, *left_out)))
    console.out.print(table)
    for report in reports:
        _print_left_out(report, verbose=verbose)


def _print_left_out(report: BuildReport, *, verbose: bool) -> None:
    if report.skipped:
        reasons = ", ".join(f"{count:,} {why}" for why, count in report.reasons().items())
        console.note(f"{report.origin}: skipped {reasons}" + ("" if verbose else " (--verbose names them)"))
    if report.unparsed:
        console.note(f"{report.origin}: {len(report.unparsed):,} files have syntax that their parser does not know")
    if verbose:
        for skipped in report.skipped:
            console.note(f"  {skipped.path}: {skipped.reason}")
        for path in report.unparsed:
            console.note(f"  {path}: not parsed whole")
        if report.unknown:
            console.note("  other files: " + ", ".join(f"{name} {count:,}" for name, count in report.unknown.items()))
