"""`replay evidence prove` and `check-proof`: show one run to somebody who has not got the log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.text import Text

from cli.evidence.verify import PublicKeyOption
from cli.output import console
from evidence import proof as proofs
from evidence.keys import PublicKey
from evidence.proof import Proof
from evidence.reader import EvidenceReader
from replay.errors import InputError
from replay.settings import Settings


def prove(
    run: Annotated[str, typer.Argument(help="A run id or an attempt id, as `results` and `tail` print them.")],
) -> None:
    """Print, as JSON, all that a third party needs to check a run: its lines, their way to a checkpoint, and that.

    Example: replay evidence prove run_5f0c… > proof.json
    """
    path = Settings().evidence_log
    reader = EvidenceReader(path)
    entries = reader.run(run)
    if not entries and (entry := reader.get(run)) is not None:
        entries = [entry]
    if not entries:
        raise InputError(f"there is no evidence of {run!r}", hint="`replay evidence tail` lists ids.")
    console.print_json(proofs.prove(path, [entry.chain.seq for entry in entries]).wire())


def check_proof(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `prove` printed; - is stdin.")],
    public_key: PublicKeyOption = None,
    as_json: console.AsJson = False,
) -> None:
    """Check a proof; the log is not needed. Exit code 4 when it does not hold.

    Example: replay evidence check-proof proof.json --public-key key.pub
    """
    key = PublicKey.read(public_key) if public_key is not None else None
    checked = proofs.check(_read(file), key)
    checkpoint = checked.checkpoint
    if as_json:
        console.print_json(
            {
                "ok": True,
                "signed": checked.signed,
                "origin": checkpoint.origin,
                "size": checkpoint.size,
                "root": checkpoint.root_base64,
                "head": checkpoint.head,
                "time": checkpoint.time,
                "records": [line.record for line in checked.lines],
            }
        )
        return
    signed = "signed with that key" if checked.signed else "whose signature was not looked at (--public-key)"
    console.out.print(Text.assemble(("holds", "green"), f"  {len(checked.lines)} records"))
    for line in checked.lines:
        state = line.record.get("state") or line.record["schema"]
        console.out.print(f"record {line.chain.seq}  {line.record['id']}  {state}  {line.record.get('custom_id', '')}")
    console.out.print(
        f"in     {checkpoint.origin}, as of {checkpoint.size} records at {checkpoint.time}, {signed}", soft_wrap=True
    )
    console.out.print(f"root   {checkpoint.root_base64}")


def _read(file: Path) -> Proof:
    hint = "Give the output of `replay evidence prove RUN`."
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return Proof.model_validate_json(data)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", hint=hint) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{file} is no proof: {where + ': ' if where else ''}{first['msg']}", hint=hint) from error
