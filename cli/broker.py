"""`replay broker`: the embedded Valkey server, and users for one of your own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from broker import access, embedded
from cli.output import console
from replay.errors import InputError
from replay.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The embedded broker, and users with few rights for one of your own.")


@app.command()
def serve() -> None:
    """Run the embedded Valkey server in the foreground, on a private socket, with an append-only file.

    Example: replay broker serve
    """
    embedded.serve(Settings())


@app.command()
def acl(
    file: Annotated[Path, typer.Argument(help="Where to write it; it must not exist yet.")],
    as_json: console.AsJson = False,
) -> None:
    """Write a users file for a Redis or Valkey server of your own: one user for each role, with the least it needs.

    Load it with `aclfile FILE` in the server's configuration. The file holds hashes of new random passwords; the
    passwords themselves are printed once, now. `docs/broker-security.md` says which program gets which.

    Example: replay broker acl users.acl
    """
    passwords, admin = access.new_passwords(), access.new_password()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(
            f"{file} exists already", hint="Its passwords would be lost: choose another name, or move it away."
        ) from None
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}", hint="Choose another place.") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as written:
        written.write(access.users_file(passwords, admin))
    users = {access.user(role): password for role, password in passwords.items()} | {access.ADMIN: admin}
    if as_json:
        console.print_json(users)
        return
    for name, password in users.items():
        console.out.print(f"{name}:{password}", markup=False, highlight=False, soft_wrap=True)
    console.note(
        f"{file} is for `aclfile` in the server's configuration. These passwords are shown this once: set them as "
        "REPLAY_BROKER_URL=rediss://USER:PASSWORD@HOST:PORT/0, each where its role runs."
    )
