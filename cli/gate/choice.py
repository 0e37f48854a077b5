"""Which gate a command judges with: a version by name, and rules that are switched off."""

from __future__ import annotations

from typing import Annotated

import typer

from replay.errors import InputError
from replay.gate import GATES, Gate, gate_without
from replay.settings import Settings

Version = Annotated[
    str | None,
    typer.Option("--gate", help=f"Version of the gate: {' or '.join(GATES)}. Default: as the workers judge."),
]
Off = Annotated[
    str | None,
    typer.Option("--off", help="Codes of rules to switch off, with commas between, such as binding.rival_line."),
]


def chosen(version: str | None, off: str | None, settings: Settings) -> Gate:
    """The gate of these options; without `--gate` the one of the settings.

    Raises:
        InputError: There is no gate of this version.
        ConfigurationError: A code that no rule has.
    """
    if version is not None and version not in GATES:
        raise InputError(f"there is no gate {version!r}", hint=f"Gates: {', '.join(GATES)}.")
    gate = gate_without(settings.gate_rules_off) if version is None else GATES[version]
    codes = (off or "").replace(",", " ").split()
    return gate.without(codes) if codes else gate
