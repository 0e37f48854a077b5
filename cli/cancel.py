"""`replay cancel`: the short form of `replay batch cancel`."""

from __future__ import annotations

from cli.batch import control
from cli.output import console


def cancel(batch: control.Batch = None, as_json: console.AsJson = False) -> None:
    """Cancel a batch: its waiting tasks end as `cancelled` as soon as a worker takes them.

    Short for `replay batch cancel`, which says more.

    Example: replay cancel batch_5f0c
    """
    control.cancel(batch, as_json=as_json)
