"""`replay corpus search`: what a task would be given, and why."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from cli.corpus.versions import Version
from cli.output import console
from replay.contracts import RecordKind
from replay.corpus import fusion, retrieval, snapshot
from replay.corpus import search as search_module
from replay.corpus.index import Filter
from replay.corpus.oneline import as_text
from replay.settings import Settings


def search(
    query: Annotated[str, typer.Argument(help="Words to look for; write them as a task would.")],
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="Evidence lines to show.")] = 8,
    kind: Annotated[
        list[RecordKind] | None, typer.Option("--kind", help="Only records of this kind; may be given again.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="Only records with this tag, or another one given.")
    ] = None,
    version: Version = None,
    as_json: console.AsJson = False,
) -> None:
    """Search exactly as a task of this text would, and explain each hit by the tokens that it shares.

    With the version that a run names, this is what the run was given.

    Example: replay corpus search "visibility timeout of the Redis transport"
    """
    settings = Settings()
    query, tags = as_text(query), frozenset(map(as_text, tag or ()))
    opened = snapshot.load(settings.corpus_dir, snapshot.named(settings.corpus_dir, version or snapshot.POINTER))
    only = Filter(kinds=frozenset(one.value for one in kind or ()), tags=tags)
    fuser = fusion.configured(settings)
    retriever = retrieval.SnapshotRetriever(opened, settings, fuser(opened) if fuser else None)
    result = search_module.search(retriever, query, lines=lines, only=only)
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
