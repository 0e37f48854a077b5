"""`replay corpus`: build it, add to it, look into it. Each sub-command has its own file."""

from __future__ import annotations

import typer

from cli import (
    corpus_admit,
    corpus_build,
    corpus_compact,
    corpus_embed,
    corpus_eval,
    corpus_import,
    corpus_search,
    corpus_versions,
)

app = typer.Typer(no_args_is_help=True, help="The corpus: what retrieval finds. Build it, add to it, look into it.")

app.command("build")(corpus_build.build)
app.command("add")(corpus_build.add)
app.command("import")(corpus_import.import_playbook)
app.command("admit")(corpus_admit.admit)
app.command("search")(corpus_search.search)
app.command("stats")(corpus_versions.stats)
app.command("use")(corpus_versions.use)
app.command("log")(corpus_versions.log)
app.command("diff")(corpus_versions.diff)
app.command("compact")(corpus_compact.compact)
app.command("embed")(corpus_embed.embed)
app.command("eval")(corpus_eval.eval_)
