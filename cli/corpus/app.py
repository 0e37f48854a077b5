"""`replay corpus`: build it, add to it, look into it. Each sub-command has its own file."""

from __future__ import annotations

import typer

from cli.corpus import admit, build, compact, embed, evaluating, importing, search, versions
from cli.output import bare

app = typer.Typer(
    help="The corpus: what retrieval finds. Build it, add to it, look into it. Alone it says what is in it: `stats`."
)
bare.shows(app, versions.stats)

app.command("build")(build.build)
app.command("add")(build.add)
app.command("import")(importing.import_playbook)
app.command("admit")(admit.admit)
app.command("search")(search.search)
app.command("stats")(versions.stats)
app.command("use")(versions.use)
app.command("log")(versions.log)
app.command("diff")(versions.diff)
app.command("compact")(compact.compact)
app.command("embed")(embed.embed)
app.command("eval")(evaluating.eval_)
