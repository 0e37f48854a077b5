"""Writes docs/cli.md and docs/configuration.md from the code, or with --check says whether they are stale.

Run it with `make docs`. Both pages come from the code alone: the same code gives the same bytes on every machine.
"""  # noqa: INP001  a script in a folder of prose, not a package

from __future__ import annotations

import io
import os
import re
import sys
import tokenize
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

WIDTH = 100
DOCS = Path(__file__).resolve().parent

# What typer and rich look at, as they are imported, to decide about width and colour.
_TERMINAL = {"TERMINAL_WIDTH": str(WIDTH), "COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
_COLOUR = ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "CLICOLOR_FORCE", "TTY_COMPATIBLE")

# Defaults that depend on the machine.
_COMPUTED = {"cache_dir": "the user's cache folder for `replay`: on Linux `~/.cache/replay`"}

_CONFIGURATION = """\
# Configuration

<!-- Written by docs/generate.py from replay/settings.py; change that and run `make docs`. -->

Every setting is an environment variable; there is no configuration file. What an unset one means is said in its row.
A variable whose name is none of these is ignored; `replay doctor` warns of it, and shows what a
configuration comes to.

A running stack keeps the settings that it was started with: `replay up` with others is refused until `replay down`.
Keys are not compared, so a changed key needs `replay down` and `replay up` as well.
"""

_CLI = """\
# Command line

<!-- Written by docs/generate.py from the commands' own help; change that and run `make docs`. -->

Every command says the same with `--help`. Where a command has `--json`, it prints JSON on stdout and nothing else
there; notes and errors go to stderr.
"""


def configuration() -> str:
    """The page of settings, one table for each group of them in the source."""
    from replay.settings import Settings  # noqa: PLC0415  after the environment is set

    parts = [_CONFIGURATION]
    for title, names in _groups():
        parts.append(f"## {title}\n\n| variable | default | what it does |\n|---|---|---|")
        for name in names:
            field = Settings.model_fields[name]
            cells = (f"`REPLAY_{name.upper()}`", _default(name, field), f"{field.description}{_bound(field)}")
            parts.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
        parts.append("")
    return "\n".join(parts)


def cli() -> str:
    """The page of commands."""
    import typer  # noqa: PLC0415  after the environment is set

    from cli.main import app  # noqa: PLC0415  as above

    parts = [_CLI]
    for path, command in _commands(typer.main.get_command(app), ("replay",)):
        parts.append(f"## {' '.join(path)}\n\n```text\n{_help(command, path)}\n```\n")
    return "\n".join(parts)


def _groups() -> Iterator[tuple[str, list[str]]]:
    """The settings in the order of their source, by the comments that head each group there."""
    from replay.settings import Settings  # noqa: PLC0415  as above

    source = Path(sys.modules[Settings.__module__].__file__ or "").read_bytes()
    title = "Places"
    names: list[str] = []
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        heading = re.fullmatch(r"# (\w+)", token.string) if token.type == tokenize.COMMENT else None
        if heading:
            yield title, names
            title, names = heading[1], []
        # A field begins a line at the indentation of the class body.
        elif token.type == tokenize.NAME and token.start[1] == 4 and token.string in Settings.model_fields:
            names.append(token.string)
    yield title, names


def _default(name: str, field: Any) -> str:
    if name in _COMPUTED:
        return _COMPUTED[name]
    if field.default_factory is not None:
        raise SystemExit(f"docs/generate.py: say in _COMPUTED what the default of {name} is")
    return "*unset*" if field.default is None else f"`{field.default}`"


def _bound(field: Any) -> str:
    """The least value that is taken, where there is one."""
    least = [getattr(rule, "ge", None) for rule in field.metadata]
    return "".join(f" At least {value}." for value in least if value is not None)


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*path, name))


def _help(command: Any, path: tuple[str, ...]) -> str:
    said = io.StringIO()
    with redirect_stdout(said), suppress(SystemExit):
        command.main(["--help"], prog_name=" ".join(path))
    return "\n".join(line.rstrip() for line in said.getvalue().strip("\n").splitlines()).strip("\n")


def main() -> int:
    """Write both pages, or compare them: 1 where one is stale."""
    for name in _COLOUR:
        os.environ.pop(name, None)
    os.environ.update(_TERMINAL)
    pages = {"configuration.md": configuration(), "cli.md": cli()}
    if "--check" not in sys.argv[1:]:
        for name, text in pages.items():
            (DOCS / name).write_text(text, encoding="utf-8")
        return 0
    stale = [name for name, text in pages.items() if _written(name) != text]
    if stale:
        sys.stderr.write(f"stale: {', '.join(f'docs/{name}' for name in stale)}; run `make docs`\n")
    return 1 if stale else 0


def _written(name: str) -> str:
    page = DOCS / name
    return page.read_text(encoding="utf-8") if page.is_file() else ""


if __name__ == "__main__":
    raise SystemExit(main())
