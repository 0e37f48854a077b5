"""`replay gate explain`: an answer laid open beside what it cites and what the gate holds against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from cli import history
from cli.output import console
from replay.contracts import Check, Reason, ReplayRun
from replay.errors import InputError
from replay.settings import Settings
from replay.study.explained_markdown import CLOSE, OPEN, marked, shown, to_markdown
from replay.study.explaining import Citation, Explanation, Laid, explain
from replay.study.visible import json_line, one_line, visible

_OPEN = "unknown"
_DECISIONS = {"accepted": "green", "rejected": "red"}


def explain_(
    run: Annotated[
        str, typer.Argument(help="A run id, an attempt id, a custom_id, or an unambiguous beginning of one.")
    ],
    attempt: Annotated[
        str | None,
        typer.Option("--attempt", help="Which attempt: local, escalation, or the beginning of its id; default: last."),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown in place of text.")] = False,
    as_json: console.AsJson = False,
) -> None:
    """Lay one answer open: the verdict, then each finding, what nothing backs, the cited lines, and the gate's reasons.

    What nothing cited backs is marked ⟦so⟧, and coloured on a terminal; ▶ marks cited lines. Nothing is judged again:
    reasons and gate version are those of the evidence.

    Example: replay gate explain celery-default-pool --attempt local
    """
    if markdown and as_json:
        raise InputError("--markdown and --json exclude each other", hint="Give one of them.")
    records = history.find(history.reader(Settings()), run)
    chosen = _chosen(records, attempt)
    explanation = explain(chosen)
    if as_json:
        print(json_line(explanation.wire()))
    elif markdown:
        print(to_markdown(explanation), end="")
    else:
        _print(explanation)
    others = [_named(record) for record in records if record.id != chosen.id and record.attempt]
    if others:
        console.note(f"another attempt of this run: --attempt {' or '.join(others)}")


def _chosen(records: list[ReplayRun], attempt: str | None) -> ReplayRun:
    """The record of the attempt that is asked for; by default the last with an attempt, or the end without one."""
    if attempt is None:
        return next((record for record in reversed(records) if record.attempt), records[-1])
    wanted = attempt.removeprefix("att_")
    fitting = [
        record
        for record in records
        if record.attempt
        and (record.attempt.tier.value == attempt or record.attempt.attempt_id.removeprefix("att_").startswith(wanted))
    ]
    if len(fitting) == 1 or (fitting and len({record.id for record in fitting}) == 1):
        return fitting[-1]
    names = ", ".join(_named(record) for record in records if record.attempt) or "none"
    what = "several attempts go" if fitting else "no attempt goes"
    raise InputError(f"{what} by {attempt!r}", hint=f"Attempts of this run: {names}.")


def _named(record: ReplayRun) -> str:
    return f"{record.attempt.tier.value} ({record.attempt.attempt_id})" if record.attempt else record.id


def _print(explanation: Explanation) -> None:
    run, attempt = explanation.run, explanation.attempt
    tier = attempt.tier.value if attempt else "no attempt"
    console.out.rule(Text(f"{one_line(run.custom_id, 120)} · {tier} · {run.state.value}"), align="left")
    _say(Text(visible(run.task.text, keep="\n")))
    ruling = attempt.answer.verdict.value if attempt and attempt.answer else "none"
    gate = f", gate {one_line(explanation.gate_version, 80)}" if explanation.gate_version else ""
    decision = (explanation.decision, f"bold {_DECISIONS.get(explanation.decision, 'yellow')}")
    _say(Text.assemble("verdict of the answer: ", (ruling, "bold"), "; ", decision, gate))
    if explanation.no_answer:
        _say(Text.assemble(("there is no answer: ", "yellow"), one_line(explanation.no_answer, 600)))
        if explanation.reply:
            _say(Text(explanation.reply, style="dim"))
    if explanation.reasons:
        _say(Text("\nabout the answer as a whole", style="bold"))
        for reason in explanation.reasons:
            _say(_reason(reason))
    for finding in explanation.findings:
        _print_finding(finding)
    _print_checks(explanation.checks)
    _say(Text())
    if explanation.findings:
        now = ", measured now, since its verdict carries none" if explanation.measured_now else ""
        _say(Text(f"backing by {one_line(explanation.scorer, 80)}{now}", style="dim"))
    _say(Text(f"{run.run_id} {attempt.attempt_id if attempt else ''} corpus {run.corpus_version}", style="dim"))


def _print_checks(checks: Sequence[Check]) -> None:
    """What an answer says of the checks that it was given; those that it left open may be none of this task's."""
    told = sorted((check for check in checks if check.result != _OPEN), key=lambda check: check.result)
    for check in told:
        _say(Text(f"{check.result:>7}  {one_line(check.item, 300)}", style="dim"))
    if left := len(checks) - len(told):
        what = "check" if left == 1 else "checks"
        _say(Text(f"{left} {what} left open, which may be about other tasks; --markdown lists all", style="dim"))


def _print_finding(finding: Laid) -> None:
    backed = "" if finding.score is None else f", {finding.score:.0%} backed"
    _say(Text(f"\nfinding {finding.number}{backed}", style="bold"))
    _say(_claim(finding))
    for reason in finding.reasons:
        _say(_reason(reason))
    if not finding.citations:
        _say(Text("  it cites nothing", style="yellow"))
    for citation in finding.citations:
        _print_citation(citation)


def _claim(finding: Laid) -> Text:
    """The claim with what nothing backs in red, or between marks where there is no colour."""
    if console.out.no_color or console.out.color_system is None:
        return Text(f"  {one_line(marked(finding.claim, finding.unsupported, OPEN, CLOSE))}")
    claim = Text("  ")
    at = 0
    for start, end in finding.unsupported:
        claim.append(visible(finding.claim[at:start]))
        claim.append(visible(finding.claim[start:end]), style="bold red underline")
        at = end
    return claim.append(visible(finding.claim[at:]))


def _print_citation(citation: Citation) -> None:
    if not citation.kind:
        told = f"  cites {one_line(citation.record_id, 200)}, which is not in the bundle"
        _say(Text(told, style="yellow"))
        return
    whole = ", cited as a whole" if citation.quote is None else ""
    title = f"  {one_line(citation.title, 120)}" if citation.title and citation.title != citation.place else ""
    record_id = one_line(citation.record_id, 200)
    where = one_line(citation.place, 200)
    head = (
        f"  {where}  ({citation.kind} {record_id}){title}{whole}" if where else f"  {citation.kind} {record_id}{whole}"
    )
    _say(Text(head, style="cyan"))
    if not citation.stands:
        _say(Text(f"  the quote does not stand in it: {one_line(citation.quote or '', 300)}", style="yellow"))
    for line in citation.lines:
        _say(Text(f"  {shown(line)}", style="bold green" if line.cited else "dim"))


def _reason(reason: Reason) -> Text:
    span = f": {one_line(reason.span, 200)}" if reason.span else ""
    expected = f" (expected: {one_line(reason.expectation, 200)})" if reason.expectation else ""
    rule = (one_line(reason.rule, 80), "bold yellow")
    return Text.assemble("  ✗ ", rule, f" {one_line(reason.message, 400)}{span}{expected}")


def _say(text: Text) -> None:
    console.out.print(text, soft_wrap=True)
