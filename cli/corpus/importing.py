"""`replay corpus import`: playbooks into the corpus, from whatever a team exports."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.corpus.bar import CorpusBar
from cli.corpus.compact import compact_in_background
from cli.output import console
from replay.contracts import Record
from replay.corpus import playbooks, snapshot
from replay.corpus.duplicates import Merged
from replay.corpus.fieldmap import FieldMap
from replay.corpus.oneline import as_text
from replay.corpus.playbooks import BadLine, Counts
from replay.corpus.snapshot import Snapshot
from replay.errors import InputError
from replay.settings import Settings

SHOWN = 20


def import_playbook(
    files: Annotated[
        list[str], typer.Argument(help="JSON lines, gzipped or not; - reads standard input.", metavar="FILE…")
    ],
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="Where a line keeps a field: FIELD=PATH, as in text=body or score=meta.success."),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", help="What a word for a kind means: WORD=exemplar, WORD=warning or WORD=note."),
    ] = None,
    exemplar_at: Annotated[
        float | None, typer.Option(help="The score from which on a record is an exemplar; below, it is a warning.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Name every line, pair and conflict.")] = False,
    as_json: console.AsJson = False,
) -> None:
    """Add playbook files to the corpus. A bad line is named and left out; the rest is imported.

    A record replaces the one of its id; records that say nearly the same are merged, and the kept one names the others.

    Example: replay corpus import exports/rag/playbooks.jsonl --map text=content --map score=meta.success
    """
    settings = Settings()
    fields = FieldMap.parse(map_ or (), kinds=kind or (), exemplar_at=exemplar_at)
    imported = import_files(files, settings, fields, verbose=verbose)
    if as_json:
        console.print_json(imported.wire())
    else:
        imported.print(settings, verbose=verbose)
    compact_in_background(settings)
    if imported.read.bad_lines:
        raise typer.Exit(1)


@dataclass(frozen=True)
class Playbooks:
    """What playbook files hold; bad lines go with the file that they stand in, and were told when they were read."""

    records: tuple[Record, ...] = ()
    counts: Counts = field(default_factory=Counts)
    bad_lines: tuple[tuple[str, BadLine], ...] = ()


@dataclass(frozen=True)
class Imported:
    """What importing files came to."""

    made: Snapshot
    merged: Merged
    read: Playbooks

    def wire(self) -> dict[str, Any]:
        """For programs."""
        change = self.made.change
        return {
            "corpus_version": self.made.version,
            "records": len(self.made),
            "imported": self.read.counts.records,
            "added": change.added if change else None,
            "changed": change.changed if change else None,
            "removed": change.removed if change else None,
            "repeated": self.read.counts.repeated,
            "cut": self.read.counts.cut,
            "merged": [dataclasses.asdict(pair) for pair in self.merged.merged],
            "conflicts": [dataclasses.asdict(conflict) for conflict in self.merged.conflicts],
            "forgotten": list(self.merged.forgotten),
            "bad_lines": [{"file": file, **dataclasses.asdict(bad)} for file, bad in self.read.bad_lines],
        }

    def print(self, settings: Settings, *, verbose: bool) -> None:
        """For people."""
        self.print_merged(verbose=verbose)
        change = self.made.change
        counts = (change.added, change.changed, change.removed) if change else (None, None, None)
        told = ", ".join(
            f"{count:,} {what}" for count, what in zip(counts, ("added", "changed", "removed"), strict=True) if count
        )
        console.out.print(
            f"read {self.read.counts.records:,} records ({told or 'nothing new'}), {self.left_out()}; "
            f"corpus {self.made.version}, {len(self.made):,} records, in {settings.corpus_dir}"
        )

    def left_out(self) -> str:
        """What of the files is not in the corpus, in words."""
        return f"merged {len(self.merged.merged):,} near-duplicates, left out {len(self.read.bad_lines):,} lines"

    def print_merged(self, *, verbose: bool) -> None:
        """Near-duplicates, conflicts, and what nothing stands for any more."""
        shown = None if verbose else SHOWN
        for pair in self.merged.merged[:shown]:
            console.note(f"{pair.record_id} says nearly what {pair.kept_id} does ({pair.score:.2f}): merged into it")
        for one in self.merged.conflicts[:shown]:
            console.note(
                f"exemplar {one.exemplar_id} and warning {one.warning_id} say nearly the same ({one.score:.2f}): "
                "one of them is likely to be wrong; both are kept"
            )
        for name in self.merged.forgotten[:shown]:
            console.note(f"{name} was merged into a record that says something else now: import it again to have it")
        counts = (
            ("merged", len(self.merged.merged)),
            ("conflicts", len(self.merged.conflicts)),
            ("of which nothing is left", len(self.merged.forgotten)),
        )
        for what, count in counts:
            if not verbose and count > SHOWN:
                console.note(f"{count - SHOWN:,} more {what}; --verbose names all")


def import_files(files: Sequence[str], settings: Settings, fields: FieldMap, *, verbose: bool) -> Imported:
    """Import playbooks in one publish, telling bad lines as they come.

    Raises:
        InputError: A file cannot be read, or none of them holds a usable record.
    """
    with CorpusBar() as bar:
        held = read_files(files, fields, bar, verbose=verbose)
        reason = " ".join(map(as_text, files))
        made, merged = snapshot.import_playbook(held.records, settings.corpus_dir, reason=reason, watcher=bar)
    return Imported(made, merged, held)


def read_files(files: Sequence[str], fields: FieldMap, bar: CorpusBar, *, verbose: bool) -> Playbooks:
    """Read playbooks, telling bad lines as they come. Nothing is published.

    Raises:
        InputError: A file cannot be read, or none of them holds a usable record.
    """
    counts = Counts()
    bad_lines: list[tuple[str, BadLine]] = []
    records = tuple(_records(files, fields, counts, bad_lines, bar, verbose=verbose))
    if not verbose and len(bad_lines) > SHOWN:
        console.err.print(f"{len(bad_lines) - SHOWN:,} more bad lines; --verbose names all")
    if not records:
        raise InputError(
            f"{', '.join(map(as_text, files))} holds no usable record",
            hint="Each line needs an id, a text and a kind or score; --map says where they are.",
        )
    return Playbooks(records, counts, tuple(bad_lines))


def _records(
    files: Sequence[str],
    fields: FieldMap,
    counts: Counts,
    bad_lines: list[tuple[str, BadLine]],
    bar: CorpusBar,
    *,
    verbose: bool,
) -> Iterator[Record]:
    for name in dict.fromkeys(files):
        file = as_text(name)
        size = Path(name).stat().st_size if Path(name).is_file() and not name.endswith(".gz") else 0
        before = counts.bytes
        for number, item in enumerate(playbooks.scan(name, fields, counts=counts)):
            if number % 1_000 == 0:
                bar.step(f"reading {file}, bytes", counts.bytes - before, size)
            if isinstance(item, Record):
                yield item
                continue
            bad_lines.append((file, item))
            if verbose or len(bad_lines) <= SHOWN:
                at = f" field {item.field}:" if item.field else ""
                console.err.print(f"{file}:{item.number}:{at} {item.reason}", soft_wrap=True)
