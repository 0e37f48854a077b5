"""Commands whose modules are loaded when they are called, and not before.

`replay --version` needs none of them, and `replay status` no library that only an import of documents needs; loading
all of them takes a second. So the list of commands is a table of names, places and the first sentences of their helps.
A test compares the sentences with the commands' own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from importlib import import_module
from typing import Any, NamedTuple

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup


class Place(NamedTuple):
    """Where a command is.

    Attributes:
        module: Its module.
        name: Of the function, or of the `typer.Typer` of a group.
        says: The first sentence of its help, for the list of commands.
    """

    module: str
    name: str
    says: str


class Commands(dict[str, Any]):
    """The commands of a group by their names; each is loaded when somebody takes it out, and stays."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        super().__init__(dict.fromkeys(places))
        self._places = places

    def __getitem__(self, name: str) -> Any:
        """The command of a name."""
        command = super().__getitem__(name)
        if command is None:
            command = self[name] = _loaded(name, self._places[name])
        return command

    def get(self, name: str, default: Any = None) -> Any:
        """The command of a name, or something else where there is none."""
        return self[name] if name in self else default  # noqa: SIM401  it would call itself

    def values(self) -> Any:
        """All commands, loaded."""
        return [self[name] for name in self]

    def items(self) -> Any:
        """All names with their commands, loaded."""
        return [(name, self[name]) for name in self]

    def listed(self) -> Iterator[tuple[str, TyperCommand]]:
        """For each name a command that has no more than its first sentence."""
        return ((name, TyperCommand(name, help=place.says)) for name, place in self._places.items())


class LazyGroup(TyperGroup):
    """A group whose commands are those of `places`."""

    places: Mapping[str, Place] = {}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = Commands(self.places)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the table."""
        del ctx
        return list(self.commands)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, for which no command is loaded."""
        super(LazyGroup, self._shown()).format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """What a shell offers, for which no command is loaded."""
        return super(LazyGroup, self._shown()).shell_complete(ctx, incomplete)

    def _shown(self) -> LazyGroup:
        shown = copy(self)
        shown.commands = dict(Commands(self.places).listed())
        return shown


def lazy(places: Mapping[str, Place]) -> type[LazyGroup]:
    """The class of a group with the commands of a table, for `typer.Typer(cls=…)`."""
    return type("Group", (LazyGroup,), {"places": places})


def _loaded(name: str, place: Place) -> Any:
    """A command as `typer` makes it for a group that loads everything."""
    found = getattr(import_module(place.module), place.name)
    group = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    group.callback()(_nothing)
    if isinstance(found, typer.Typer):
        group.add_typer(found, name=name)
    else:
        group.command(name)(found)
    made: Any = typer.main.get_command(group)
    return made.commands[name]


def _nothing() -> None:
    """Make a group of a single command."""
