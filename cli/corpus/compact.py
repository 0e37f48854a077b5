"""`replay corpus compact`, and how it starts by itself."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Annotated

import typer

from cli.corpus.bar import CorpusBar
from cli.output import console
from replay.corpus import snapshot
from replay.settings import Settings

_STARTED: list[subprocess.Popen[bytes]] = []
"""Nobody waits for them: they outlive this process, and are told of by what they log."""


def compact(
    whole: Annotated[
        bool, typer.Option("--all", help="Merge all segments of a group into one, not only what is due.")
    ] = False,
    as_json: console.AsJson = False,
) -> None:
    """Merge small segments of the corpus, and remove files that belong to no version.

    The version stays the same, and whoever reads or writes the corpus goes on meanwhile. `replay corpus add` and
    `replay corpus import` start it by themselves where it is due.

    Example: replay corpus compact
    """
    settings = Settings()
    with CorpusBar() as bar:
        done = snapshot.compact(settings.corpus_dir, whole=whole, watcher=bar)
    if as_json:
        console.print_json(dataclasses.asdict(done))
        return
    became = f"{done.before} segments became {done.after}" if done.after < done.before else "nothing to merge"
    swept = f"; removed {done.swept} unused files, {done.swept_bytes:,} bytes" if done.swept else ""
    console.out.print(f"{became}{swept}; corpus {done.version}")


def compact_in_background(settings: Settings) -> None:
    """Start a compaction that outlives this command, where one is due."""
    if not snapshot.is_due(settings.corpus_dir):
        return
    try:
        with (settings.corpus_dir / "compact.out").open("wb") as out:
            command = [sys.executable, "-P", "-m", "cli.main", "corpus", "compact"]
            _STARTED.append(
                subprocess.Popen(  # noqa: S603  our own command
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
                )
            )
    except OSError as error:
        # What was to be published is: this is about speed, and any later command will try again.
        console.note(f"small segments are not merged in the background: {error}; `replay corpus compact` merges them")
        return
    console.note(f"merging small segments in the background; {settings.corpus_dir / 'compact.out'} tells how it ended")
