"""`replay api`: the Batch HTTP API in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from replay.settings import Settings


def api(
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but a loopback one needs a token.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; by default REPLAY_API_PORT, or 8413.")
    ] = None,
) -> None:
    """Serve a Batch HTTP API in the foreground that OpenAI's clients know: files, batches, models.

    Batches go through the same queues as those of `replay submit`; workers and scheduler have to run (`replay up`).
    Killed, it goes on where it was at the next start. Who may ask is set by REPLAY_API_TOKENS; the page /docs lists the
    calls.

    Example: replay api --port 8413
    """
    from producer.api import serve  # noqa: PLC0415  the web framework is for this command only

    settings = Settings()
    if port is None:
        port = settings.api_port if settings.api_port is not None else serve.DEFAULT_PORT
    serve.serve(settings, host, port)
