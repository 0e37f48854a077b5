"""`replay evidence tail` and `show`: records for people."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from cli.output import console
from cli.review import in_words
from evidence import telling
from evidence.reader import EvidenceReader
from evidence.row import REVIEW_SCHEMA, RUN_SCHEMA
from replay.afterwards import Review
from replay.contracts import Attempt, Generation, ReplayRun
from replay.errors import InputError
from replay.settings import Settings


def tail(
    count: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the last records.")] = 10,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on as records are appended; Ctrl-C ends it.")
    ] = False,
    as_json: console.AsJson = False,
) -> None:
    """Show the last records, one line each; with --json whole, one document a line.

    Example: replay evidence tail -n 20 --follow
    """
    reader = EvidenceReader(Settings().evidence_log)
    rows = reader.tail(max(count, 1))
    for row in rows[len(rows) - count :] if count else ():
        if (entry := reader.get(row.id)) is not None:
            _print_line(entry.record, as_json)
    if follow:
        # From the last one that was shown: what was appended since is neither missed nor shown twice.
        for entry in reader.follow(rows[-1].offset + rows[-1].length if rows else 0):
            _print_line(entry.record, as_json)


def show(
    run: Annotated[str, typer.Argument(help="A run id or an attempt id, as `results` and `tail` print them.")],
    as_json: console.AsJson = False,
) -> None:
    """Show everything that is known of one run: task, evidence lines, each attempt's answer and verdict.

    Example: replay evidence show run_5f0c…
    """
    reader = EvidenceReader(Settings().evidence_log)
    entries = reader.run(run)
    if not entries and (entry := reader.get(run)) is not None:
        entries = [entry]
    if not entries:
        raise InputError(f"there is no evidence of {run!r}", hint="`replay evidence tail` lists ids.")
    if as_json:
        chains = [{"seq": entry.chain.seq, "prev": entry.chain.prev, "hash": entry.chain.hash} for entry in entries]
        console.print_json([entry.record | {"chain": chain} for entry, chain in zip(entries, chains, strict=True)])
        return
    for entry in entries:
        if entry.record["schema"] == REVIEW_SCHEMA:
            _print_review(Review.model_validate(entry.record), seq=entry.chain.seq, digest=entry.chain.hash)
            continue
        if entry.record["schema"] != RUN_SCHEMA:
            console.out.print(telling.in_words(entry.record), soft_wrap=True)
            console.print_json(entry.record)
            continue
        _print_run(ReplayRun.model_validate(entry.record), seq=entry.chain.seq, digest=entry.chain.hash)


def _print_line(record: dict[str, Any], as_json: bool) -> None:
    if as_json:
        console.print_json_line(record)
        return
    if record["schema"] != RUN_SCHEMA:
        # As wide as the two columns that only runs have.
        what = f"{telling.kind(record):20}"
        line = f"{record.get('recorded_at') or '':29} {record['id']}  {what}        {telling.about(record)}"
        console.out.print(line.rstrip(), soft_wrap=True)
        return
    attempt = record.get("attempt") or {}
    answer = attempt.get("answer") or {}
    rules = ", ".join(sorted({reason["rule"] for reason in (attempt.get("verdict") or {}).get("reasons", ())}))
    # Of an attempt without a verdict, and of an end without an attempt, this is all that there is to say.
    why = rules or record.get("reason") or ""
    console.out.print(
        f"{record.get('recorded_at') or '':29} {record['id']}  {attempt.get('tier', '-'):10} "
        f"{record.get('state', ''):9} {answer.get('verdict', ''):6} "
        f"{record.get('custom_id', '')}  {why}",
        soft_wrap=True,
    )


def _print_review(review: Review, *, seq: int, digest: str) -> None:
    console.out.rule(f"{review.custom_id} · review", align="left")
    console.out.print(in_words(review), soft_wrap=True)
    console.out.print(f"record {seq}, {digest}, of record {review.record_hash}, {review.recorded_at}", style="dim")


def _of_generation(attempt: Attempt, generation: Generation) -> str:
    if attempt.reused:
        return f"not asked: the answer of {generation.model} to the same question in {attempt.reused.run_id}"
    usage = generation.usage
    return (
        f"{generation.model}, {attempt.timings.generate_ms / 1000:.1f} s, "
        f"{usage.prompt_tokens} + {usage.completion_tokens} tokens, {usage.cached_tokens} cached"
    )


def _print_run(run: ReplayRun, *, seq: int, digest: str) -> None:
    attempt = run.attempt
    tier = attempt.tier.value if attempt else "no attempt"
    console.out.rule(f"{run.custom_id} · {tier} · {run.state.value}", align="left")
    console.out.print(run.task.text)
    if run.reason:
        console.out.print(f"reason: {run.reason}")
    if run.bundle.lines:
        records = run.bundle.records()
        cited = {
            cite.line_id for f in (attempt.answer.findings if attempt and attempt.answer else ()) for cite in f.cites
        }
        for line in run.bundle.lines:
            mark, style = ("▶", "bold green") if line.line_id in cited else (" ", "")
            where = f"{records[line.record_id].path}:{line.line_no}"
            console.out.print(Text(f"{mark} {line.line_id} {where}", style=style or "dim"), soft_wrap=True)
            console.out.print(Text(f"     {line.text}", style=style), soft_wrap=True)
    if attempt and attempt.answer:
        for finding in attempt.answer.findings:
            console.out.print(f"expected {finding.expected!r}, found {finding.found!r}")
        console.out.print(Text.assemble("verdict of the answer: ", (attempt.answer.verdict.value, "bold")))
    elif attempt and attempt.generation:
        console.out.print(attempt.generation.content[:2000])
    if attempt and attempt.verdict:
        word = ("accepted", "green") if attempt.verdict.accepted else ("rejected", "red")
        gate = f"gate {attempt.verdict.gate_version}: "
        console.out.print(Text.assemble(gate, word))
        for reason in attempt.verdict.reasons:
            console.out.print(f"  {reason.rule}: {reason.message}", soft_wrap=True)
    if attempt and attempt.generation:
        console.out.print(_of_generation(attempt, attempt.generation), style="dim")
    console.out.print(f"record {seq}, {digest}, corpus {run.corpus_version}", style="dim")
