"""`replay models`: the embedded model pair: what there is, fetch it, serve it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from cli.output import bare, console
from replay.contracts import Tier
from replay.models import catalogue, embedded, files
from replay.settings import Settings

app = typer.Typer(
    help="The embedded models: list, fetch, serve. Not needed with your own endpoint. Alone it lists them."
)

CONTEXT_PER_SLOT = 4096


@app.command("list")
def list_models(as_json: console.AsJson = False) -> None:
    """List the embedded models and whether their files are here.

    Example: replay models list --json
    """
    settings = Settings()
    rows = [
        {
            "name": model.name,
            "tier": model.tier.value,
            "license": model.license,
            "bytes": model.bytes,
            "ready": files.is_ready(model, settings.cache_dir),
            "path": str(files.path_of(model, settings.cache_dir)),
        }
        for model in catalogue.catalogue()
    ]
    if as_json:
        console.print_json(rows)
        return
    table = Table("name", "tier", "license", "size", "here", title="Embedded models", title_justify="left")
    for row in rows:
        here = "yes" if row["ready"] else "no: replay models pull"
        size = f"{int(row['bytes']) / 2**20:.0f} MiB"
        table.add_row(str(row["name"]), str(row["tier"]), str(row["license"]), size, here)
    console.out.print(table)


bare.shows(app, list_models)


@app.command()
def pull(
    name: Annotated[str | None, typer.Argument(help="Name or tier of one model; by default both.")] = None,
    verify: Annotated[bool, typer.Option(help="Hash the file again, even if it was verified before.")] = False,
    as_json: console.AsJson = False,
) -> None:
    """Fetch the model files, resumable, and check their SHA-256.

    Example: replay models pull local
    """
    settings = Settings()
    wanted = [catalogue.find(name)] if name else list(catalogue.catalogue())
    paths = {}
    for model in wanted:
        bar = console.DownloadBar()
        try:
            paths[model.name] = str(files.ensure(model, settings.cache_dir, bar, verify=verify))
        finally:
            bar.done()
    if as_json:
        console.print_json(paths)
        return
    for model_name, path in paths.items():
        console.out.print(f"{model_name}  {path}", soft_wrap=True)


@app.command()
def serve(
    tier: Annotated[Tier, typer.Argument(help="Which of the pair.")],
    host: Annotated[
        str, typer.Option(help="Address to listen on; anything but loopback is open to your network.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Port; by default REPLAY_LOCAL_PORT or REPLAY_ESCALATION_PORT.")
    ] = None,
) -> None:
    """Serve one embedded model in the foreground, OpenAI-compatible, until it is told to stop.

    Example: replay models serve local --port 9000
    """
    settings = Settings()
    model = catalogue.find(tier.value)
    bar = console.DownloadBar()
    try:
        path = files.ensure(model, settings.cache_dir, bar)
    finally:
        bar.done()
    local = tier is Tier.LOCAL
    embedded.serve(
        path,
        model.name,
        host=host,
        port=port or (settings.local_port if local else settings.escalation_port),
        slots=settings.local_slots if local else settings.escalation_slots,
        context=CONTEXT_PER_SLOT,
    )
