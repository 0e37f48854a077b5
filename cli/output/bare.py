"""A group of commands that is typed alone: where there is an obvious answer, it is given."""

from __future__ import annotations

from collections.abc import Callable

import typer


def shows(app: typer.Typer, answer: Callable[[], None]) -> None:
    """Let a group without a sub-command do what one of its commands does with its defaults."""

    @app.callback(invoke_without_command=True)
    def alone(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            answer()
