"""The documents: what is generated is up to date, and what they name exists."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import typer

from cli.main import app
from replay.settings import Settings
from stack.paths import OWNER_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "data" / "README.md", *(ROOT / "docs").glob("*.md")])
# Folders of ours: a path below any other (celery/app/defaults.py) is of the code that is audited.
OURS = frozenset(
    "benchmarks broker cli dashboard docs evidence producer replay stack tests workers".split()  # noqa: SIM905  a list of ten words reads better
)

_FENCED = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+\s+(.+?)\s*$", re.MULTILINE)
_CODE_PATH = re.compile(r"`([\w.-]+(?:/[\w.-]+)+\.py)(?::([\w.]+))?`")
_VARIABLE = re.compile(r"\bREPLAY_[A-Z_]*[A-Z]\b")
_COMMAND = re.compile(r"`replay ([a-z][\w-]*)(?: ([a-z][\w-]*))?")

_named = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@cache
def _definitions(path: Path) -> frozenset[str]:
    """What a module defines at its top level, and in its classes as `Class.name`."""

    def names(body: list[ast.stmt], prefix: str) -> set[str]:
        found: set[str] = set()
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found.add(prefix + node.name)
            elif isinstance(node, ast.ClassDef):
                found |= {prefix + node.name} | names(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.Assign):
                found |= {prefix + target.id for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(prefix + node.target.id)
        return found

    return frozenset(names(ast.parse(path.read_text(encoding="utf-8")).body, ""))


def _anchors(page: Path) -> set[str]:
    """The headings of a page as a renderer names them: small letters, hyphens for spaces, no other signs."""
    headings = _HEADING.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_generated_pages_are_up_to_date() -> None:
    """`make docs` would change nothing."""
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr


@_named
def test_relative_links_lead_somewhere(page: Path) -> None:
    """A link within the repository names a file that is there, and a heading that is in it."""
    for target in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target} is not there"
        assert not anchor or anchor in _anchors(there), f"{target}: no such heading"


@_named
def test_named_code_exists(page: Path) -> None:
    """A `folder/file.py` of ours is there, and a `folder/file.py:name` defines that name."""
    for path, name in _CODE_PATH.findall(page.read_text(encoding="utf-8")):
        if path.partition("/")[0] not in OURS:
            continue
        assert (ROOT / path).is_file(), f"there is no {path}"
        assert not name or name in _definitions(ROOT / path), f"{path} defines no {name}"


@_named
def test_named_settings_and_commands_exist(page: Path) -> None:
    """Every `REPLAY_*` variable is a setting, every `replay …` in code marks a command with that sub-command."""
    text = page.read_text(encoding="utf-8")
    known = {f"REPLAY_{name.upper()}" for name in Settings.model_fields} | {OWNER_VARIABLE}
    assert set(_VARIABLE.findall(text)) <= known
    commands = getattr(typer.main.get_command(app), "commands", {})
    for name, inner in _COMMAND.findall(text):
        assert name in commands, f"there is no `replay {name}`"
        below = getattr(commands[name], "commands", None)
        assert not inner or below is None or inner in below, f"there is no `replay {name} {inner}`"
