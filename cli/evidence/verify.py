"""`replay evidence verify` and `keygen`: prove the log, and make the key that signs its checkpoints."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cli.output import console
from cli.output.reading_bar import ReadingBar
from evidence import verify as proof
from evidence.keys import PublicKey, SigningKey
from evidence.scan import end_of
from evidence.verify import Report
from replay.errors import EvidenceDamaged, InputError
from replay.settings import Settings

PublicKeyOption = Annotated[
    str | None,
    typer.Option(
        "--public-key", metavar="KEY", help="The line that `keygen` printed, or a file that holds it or a PEM."
    ),
]


def verify(
    public_key: PublicKeyOption = None,
    since: Annotated[
        Path | None,
        typer.Option("--from", metavar="CHECKPOINT", help="A checkpoint kept elsewhere, which the log must extend."),
    ] = None,
    checkpoint_dir: Annotated[
        Path | None, typer.Option(help="Where a second file of checkpoints lies; by default REPLAY_CHECKPOINT_DIR.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Encode each record again, bundles included: twice the time.")
    ] = False,
    as_json: console.AsJson = False,
) -> None:
    """Prove the whole log in one pass: bytes, chain, segments, checkpoints, ids, index. Exit code 4: it does not hold.

    Example: replay evidence verify --public-key key.pub
    """
    settings = Settings()
    path = settings.evidence_log
    if not path.exists():
        raise InputError(f"there is no evidence log at {path}", hint="It begins with the first task: replay quickstart")
    key = PublicKey.read(public_key) if public_key is not None else None
    with ReadingBar("proving evidence", _size(path)) as bar:
        report = proof.verify(
            path,
            key=key,
            since=since,
            checkpoint_dir=checkpoint_dir or settings.checkpoint_dir,
            strict=strict,
            progress=bar.advance,
        )
    if as_json:
        console.print_json(dataclasses.asdict(report) | {"ok": report.ok})
    elif report.ok:
        held = f"  {report.records} records, {report.bytes} bytes, index {report.index.value}"
        console.out.print(Text.assemble(("holds", "green"), held))
        console.out.print(f"head   {report.head}")
        console.out.print(f"root   {report.root}")
        console.out.print(_checkpoints(report, key))
    else:
        fault = report.fault
        where = f"byte {fault.offset}, line {fault.line} of {fault.file}" if fault else f"{report.bytes} bytes"
        wanted = fault.expected if fault else f"{report.torn_bytes} bytes are an incomplete last line"
        console.out.print(Text.assemble(("does not hold", "red"), f" at {where}: {wanted}"), soft_wrap=True)
        console.out.print(f"proved up to there: {report.records} records, head {report.head}")
    if not report.ok:
        raise typer.Exit(4)


def keygen(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A new file for the private key.")],
    as_json: console.AsJson = False,
) -> None:
    """Make an Ed25519 key that signs checkpoints: the private half into a file of yours alone, the public on stdout.

    Example: replay evidence keygen key.pem > key.pub
    """
    made = SigningKey.generate(path)
    if as_json:
        console.print_json({"private_key": str(path), "public_key": made.public.line})
        return
    print(made.public.line)
    console.note(f"{path} signs where REPLAY_EVIDENCE_KEY={path}; give the line above to whoever is to verify")


def _checkpoints(report: Report, key: PublicKey | None) -> str:
    covered = f"{report.checkpoints} checkpoints, to record {report.covered}"
    if not report.checkpoints:
        return "no checkpoints"
    if not report.signed:
        return f"{covered}; none is signed (REPLAY_EVIDENCE_KEY)"
    what = "signed with that key" if key is not None else "signed, not checked without --public-key"
    return f"{covered}; {report.signed} {what}, to record {report.signed_to}"


def _size(path: Path) -> int | None:
    try:
        return end_of(path)
    except EvidenceDamaged:  # the pass says it better
        return None
