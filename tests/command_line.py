"""The `replay` command for tests: type it as a user does, and know its sub-commands as its parser does."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cli import main
from cli.main import app
from replay.settings import Settings
from tests.processes import ROOT

REPLAY = str(Path(sys.executable).with_name("replay"))
CLAIM = "Verify that the visibility timeout of kombu's Redis channel is 1 hour."
NOWHERE = "http://127.0.0.1:1/v1"

Ran = subprocess.CompletedProcess[str]
Typed = Callable[..., tuple[int, str, str]]


def replay(env: Mapping[str, str], *words: str | Path, stdin: str | None = None) -> Ran:
    """Type a command; whatever it is, it ends by itself and shows no stack trace."""
    ran = subprocess.run(
        [REPLAY, *map(str, words)],
        env=env,
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in ran.stderr + ran.stdout, ran.stderr
    return ran


def settings_of_shell(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> Settings:
    """The settings that commands typed in this process find."""
    monkeypatch.setenv("REPLAY_DATA_DIR", str(data_dir))
    return Settings()


def typing_into(
    monkeypatch: pytest.MonkeyPatch,
    captured: pytest.CaptureFixture[str] | pytest.CaptureFixture[bytes],
    *group: str,
    **settings: object,
) -> Typed:
    """What types a command in this process and gives its exit code, what it prints, and what it tells on stderr.

    Args:
        monkeypatch: Of the test.
        captured: `capfd` for what passes by `sys.stdout`, its binary sister for bytes, else `capsys`.
        group: Words before the ones that are typed.
        settings: `REPLAY_` variables by their names in `Settings`.
    """
    monkeypatch.setenv("COLUMNS", "400")
    for name, value in settings.items():
        monkeypatch.setenv(f"REPLAY_{name.upper()}", str(value))

    def type_it(*words: str | Path | int, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["replay", *group, *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        with pytest.raises(SystemExit) as end:
            main.main()
        sys.stdout.flush()
        told, noted = (part if isinstance(part, str) else part.decode() for part in captured.readouterr())
        assert "Traceback" not in noted
        return int(end.value.code or 0), told, noted

    return type_it


def write_tasks(path: Path, lines: Sequence[Any]) -> Path:
    """A tasks file; what is not text already becomes JSON."""
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def tasks(count: int, name: str) -> list[dict[str, Any]]:
    """Lines that the scripted model answers to the gate's content; the name tells the batches of tests apart."""
    return [{"custom_id": f"{name}-{n}", "task": CLAIM} for n in range(count)]


def commands() -> dict[str, Any]:
    """Every command by its words, as the parser knows it."""
    found: dict[str, Any] = {}

    def visit(command: Any, words: str) -> None:
        for name, child in getattr(command, "commands", {}).items():
            visit(child, f"{words} {name}".strip())
        if not hasattr(command, "commands"):
            found[words] = command

    visit(typer.main.get_command(app), "")
    return found
