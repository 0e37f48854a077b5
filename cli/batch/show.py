"""`replay batch show`: one batch in numbers."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from cli.output import console
from cli.output.tables import MODELS
from producer import manifest, repeats
from producer.overview import REASONS_OF, Overview, overview
from replay.settings import Settings

_SHOWN = 20


def show(
    batch: Annotated[
        str | None, typer.Argument(help="A batch id or the beginning of one; by default the newest.")
    ] = None,
    all_reasons: Annotated[
        bool,
        typer.Option("--all-reasons", help=f"Read the reasons of every rejection, not of the newest {REASONS_OF:,}."),
    ] = False,
    as_json: console.AsJson = False,
) -> None:
    """Show one batch: its runs by state and tier, the gate's reasons, tokens, cost and times, and what was made again.

    Cost is known where REPLAY_ESCALATION_PRICES says what the large model's tokens cost. Times are those of generation.

    Example: replay batch show batch_5f0c
    """
    settings = Settings()
    batch_id = manifest.find_id(settings.batches_dir, batch)
    found = overview(batch_id, settings, newest=None if all_reasons else REASONS_OF)
    again = [
        {"run_id": repeat.run_id, "new_run_id": repeat.task.run_id, "letter_id": repeat.letter_id}
        for repeat in repeats.each(manifest.folder(settings.batches_dir, batch_id))
    ]
    value: dict[str, Any] = {
        "batch_id": batch_id,
        "created_at": found.header.created_at,
        "source": found.header.source,
        "corpus_version": found.header.corpus_version,
        "is_cancelled": found.cancelled,
        "paused": found.paused,
        "priority": found.priority,
        "tasks": found.header.count,
        **found.states,
        "escalated": found.escalated,
        "accepted_by_tier": found.accepted_by_tier,
        "tokens": {tier: dataclasses.asdict(took) for tier, took in found.tokens.items()},
        "cost": found.cost,
        "seconds_p50": found.seconds_p50,
        "seconds_p95": found.seconds_p95,
        "reasons": found.reasons,
        "reasons_of": found.reasons_of,
        "rejections": found.rejections,
        "repeats": again,
    }
    if as_json:
        console.print_json(value)
        return
    for name in ("batch_id", "created_at", "source", "corpus_version", "priority", "tasks", *found.states):
        held = value[name]
        _line(name.replace("_", " "), held if held is not None else "-")
    if found.cancelled:
        _line("is cancelled", "yes")
    if found.paused is not None:
        _line("paused", found.paused or "yes")
    _print_numbers(found)
    for repeat in again[:_SHOWN]:
        _line("made again", f"{repeat['run_id']} as {repeat['new_run_id']}")
    if len(again) > _SHOWN:
        _line("made again", f"and {len(again) - _SHOWN:,} more; --json has all of them")


def _print_numbers(found: Overview) -> None:
    _line("accepted by", ", ".join(f"the {MODELS[tier]} {count}" for tier, count in found.accepted_by_tier.items()))
    _line("escalated", f"{found.escalated}: the local answer was rejected and the task sent to the large model")
    for tier, took in found.tokens.items():
        if took.attempts:
            cached = f" ({took.cached:,} cached)"
            _line(
                f"{tier} tokens",
                f"{took.prompt:,} read{cached}, {took.completion:,} written, in {took.attempts:,} attempts",
            )
    _line("cost", "-" if found.cost is None else f"{found.cost:,.4f}")
    if found.seconds_p50 is not None and found.seconds_p95 is not None:
        _line("seconds a task", f"median {found.seconds_p50:.1f}, p95 {found.seconds_p95:.1f}, in generation")
    if found.reasons:
        of_all = f" (of the newest {found.reasons_of:,} of {found.rejections:,} rejections)"
        counted = ", ".join(f"{rule} {count}" for rule, count in found.reasons.items())
        _line("the gate objected", counted + (of_all if found.reasons_of < found.rejections else ""))


def _line(name: str, value: object) -> None:
    console.out.print(f"{name:17} {value}", soft_wrap=True)
