"""`replay cancel`: what of a batch has not begun is not begun any more."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.output import console
from producer import cancel as producer_cancel
from producer import manifest
from replay.settings import Settings


def cancel(
    batch: Annotated[
        str | None, typer.Argument(help="A batch id or the beginning of one; by default the newest.")
    ] = None,
    as_json: console.AsJson = False,
) -> None:
    """Cancel a batch: its waiting tasks end as `cancelled` as soon as a worker takes them.

    What runs is finished and counts, and what has ended stays. A cancelled batch is not resumed: `replay submit FILE
    --again` runs its file as a new one. Exit code 3 when the workers could not be told; then cancel it again.

    Example: replay cancel batch_5f0c
    """
    settings = Settings()
    found = manifest.find(settings.batches_dir, batch)
    unfinished = producer_cancel.cancel(found, settings)
    if as_json:
        console.print_json({"batch_id": found.batch_id, "total": len(found.tasks), "unfinished": unfinished})
        return
    console.out.print(f"{found.batch_id} cancelled: {unfinished} of its {len(found.tasks)} tasks had not ended")
    console.note(f"how they end: replay results {found.batch_id}")
