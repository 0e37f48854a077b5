"""`replay doctor`: what is configured, reachable and missing, and how to mend it."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.text import Text

from cli.output import console
from replay.errors import InputError
from replay.settings import Settings
from stack import doctor as checks
from stack.finding import Health

_STYLES = {Health.OK: "green", Health.WARN: "yellow", Health.FAIL: "red"}


def doctor(
    only: Annotated[list[str] | None, typer.Option(help="Run one group of checks; may be given several times.")] = None,
    as_json: console.AsJson = False,
) -> None:
    """Check the installation, the settings and what should answer. Exit code 1 when a check fails.

    Never prints a key. Example: replay doctor --only broker
    """
    groups = dict(checks.CHECKS)
    if unknown := sorted(set(only or ()) - groups.keys()):
        raise InputError(f"there is no check {', '.join(unknown)}", hint=f"Checks: {', '.join(groups)}.")
    chosen = tuple((name, groups[name]) for name in (only or groups))
    findings = []
    for finding in checks.examine(Settings(), chosen):
        findings.append(finding)
        if not as_json:
            mark = (f"{finding.health:<4}", _STYLES[finding.health])
            console.out.print(Text.assemble(mark, "  ", (finding.name, "bold"), "  ", finding.detail), soft_wrap=True)
            if finding.mend:
                console.out.print(f"      {finding.mend}", soft_wrap=True, style="dim")
    if as_json:
        console.print_json([dataclasses.asdict(finding) for finding in findings])
    if any(finding.health is Health.FAIL for finding in findings):
        raise typer.Exit(1)
