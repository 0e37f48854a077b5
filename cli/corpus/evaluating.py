"""`replay corpus eval`: how often retrieval finds what decides a claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli import samples
from cli.corpus.versions import Version
from cli.output import console
from replay.corpus import quality, queries, rankings, snapshot
from replay.corpus.quality import SHOWN, Outcome, Quality, Share
from replay.corpus.queries import Query
from replay.errors import InputError
from replay.settings import Settings

LINES = 8


def eval_(
    files: Annotated[
        list[Path] | None,
        typer.Option("--queries", help="Files of queries, as data/README.md describes them; default: data/retrieval."),
    ] = None,
    names: Annotated[
        list[str] | None, typer.Option("--ranking", help=f"Which to compare: {', '.join(rankings.RANKINGS)}.")
    ] = None,
    version: Version = None,
    families: Annotated[bool, typer.Option("--families", help="Count each kind of fact by itself, too.")] = False,
    misses: Annotated[
        bool, typer.Option("--misses", help=f"Name the queries whose line is not among the first {max(SHOWN)}.")
    ] = False,
    as_json: console.AsJson = False,
) -> None:
    """Measure retrieval on queries with known answers: is the deciding record found, and its line shown?

    The sets audit, playbook, chosen-on and afterwards of data/retrieval ask about celery, kombu and redis, the set
    generated about 32 packages that this one stands on. So build a corpus of the first three, or of all:

        replay corpus build package:celery package:kombu package:redis

    What the corpus does not hold is counted aside. Queries that are held out are for judging, not for choosing: they
    have a row of their own, and --misses never names one. Shares are given with their 95 % interval.

    Example: replay corpus eval --ranking containment-line --ranking bm25 --misses
    """
    settings = Settings()
    asked = queries.read(files or _default_files())
    chosen = list(dict.fromkeys(names or [rankings.AS_SHIPPED]))
    opened = snapshot.load(settings.corpus_dir, snapshot.named(settings.corpus_dir, version or snapshot.POINTER))
    answers = queries.locate(asked, opened.sources)
    aside = [query for query in asked if query.query_id not in answers]
    if not answers:
        raise InputError(
            f"none of the {len(asked)} queries is about what corpus {opened.version} holds",
            hint=f"Build it from what they ask about, or name another version. {_build(aside)}",
        )
    found: list[Outcome] = []
    for name in chosen:
        console.note(f"ranking {len(answers)} queries by {name} …")
        found += quality.outcomes(rankings.ranking(name, opened, settings), asked, answers)
    counted = [*quality.summarise(found), *(quality.summarise(found, quality.by_family) if families else [])]
    if as_json:
        console.print_json(_wire(opened.version, counted, aside, found if misses else []))
        return
    console.out.print(f"corpus {opened.version}: {len(opened.sources)} source records\n")
    console.out.print(_table(counted))
    if aside:
        console.out.print(
            f"\nnot in this corpus: {len(aside)} queries ({_about(aside)}). {_build(aside)}", soft_wrap=True
        )
    if misses:
        _print_misses(found, aside)


def missed(found: Sequence[Outcome]) -> list[Outcome]:
    """Those whose deciding line is not shown, without the held-out ones."""
    return [one for one in found if one.line is None and not one.query.held_out]


def _default_files() -> list[Path]:
    files = sorted(samples.RETRIEVAL.glob("*.jsonl"))
    if not files:
        raise InputError(
            f"there are no queries in {samples.RETRIEVAL}", hint="Name a file: replay corpus eval --queries FILE"
        )
    return files


def _table(counted: Sequence[Quality]) -> Table:
    shown = [f"line in {n}" for n in SHOWN]
    table = Table(
        "queries", "ranking", "of", f"record in {quality.RECORDS}", "MRR", *shown, box=None, header_style="dim"
    )
    for row in counted:
        shares = [_share(row.lines[n], interval=n in {LINES, max(SHOWN)}) for n in SHOWN]
        record = _share(row.recall, interval=True)
        table.add_row(row.group, row.ranking, str(row.recall.of), record, f"{row.mrr:.2f}", *shares)
    return table


def _share(share: Share, *, interval: bool) -> str:
    low, high = share.interval
    return f"{share.value:.2f}" + (f" ({low:.2f}-{high:.2f})" if interval else "")


def _print_misses(found: Sequence[Outcome], aside: Sequence[Query]) -> None:
    for one in missed(found):
        query, place = one.query, f"record {one.record}" if one.record else "no record"
        absent = f"; {query.absent} does not exist" if query.absent else ""
        console.out.print(f"\n{query.query_id} by {one.ranking}: {place}{absent}\n  {query.text}", soft_wrap=True)
        console.out.print(f"  {query.path}: {query.pattern}", soft_wrap=True)
    for query in aside:
        console.out.print(f"not in this corpus: {query.query_id} ({query.path})", soft_wrap=True)


def _wire(
    version: str, counted: Sequence[Quality], aside: Sequence[Query], found: Sequence[Outcome]
) -> dict[str, object]:
    return {
        "corpus_version": version,
        "quality": [row.wire() for row in counted],
        "not_in_corpus": [query.query_id for query in aside],
        "misses": [
            {"query_id": one.query.query_id, "ranking": one.ranking, "record": one.record} for one in missed(found)
        ],
    }


def _about(aside: Sequence[Query]) -> str:
    counts = Counter(query.path.split("/")[0] for query in aside)
    return ", ".join(f"{name} {count}" for name, count in counts.most_common(6)) + (", …" if len(counts) > 6 else "")


def _build(aside: Sequence[Query]) -> str:
    """How to get what was not there; queries of a user's own are about what only the user knows."""
    known = {name.replace("-", "_") for name in samples.RETRIEVAL_PACKAGES}
    if any(query.path.split("/")[0] in known for query in aside):
        return "All packages: replay corpus build " + " ".join(f"package:{name}" for name in samples.RETRIEVAL_PACKAGES)
    return "Paths start at the root of what `replay corpus build` was given."
