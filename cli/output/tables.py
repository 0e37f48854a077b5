"""How results are drawn: the table of a batch, its summary, and its live progress."""

from __future__ import annotations

from typing import Self

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.output import console
from producer.gold import KnownAnswer
from producer.progress import Progress
from producer.results import Result
from producer.summary import Summary
from replay.contracts import State, Tier

_COLOURS: dict[str, str] = {State.ACCEPTED: "green", State.REJECTED: "yellow", State.FAILED: "red"}
_QUIET_S = 10.0

# What people call the model of a tier.
MODELS: dict[str, str] = {Tier.LOCAL: "local model", Tier.ESCALATION: "large model"}
# A state says where a run is now; *escalated* is kept for all that went on, whatever came of them.
STATES: dict[str, str] = {State.ESCALATED: "at the large model"}


def results_table(rows: list[Result], known: dict[str, KnownAnswer] | None = None) -> Table:
    """One row a task: how it ended and who answered, the answer (against gold, if known), and what it rests on."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("task", overflow="fold", max_width=34)
    table.add_column("state", no_wrap=True)
    table.add_column("answer" if known is None else "answer · gold", no_wrap=True)
    table.add_column("claimed → found", overflow="fold", max_width=30)
    table.add_column("rests on, or why not", overflow="fold")
    for row in rows:
        accepted = row.state == State.ACCEPTED
        basis = row.citation or "" if accepted else "; ".join(dict.fromkeys(r.partition(":")[0] for r in row.reasons))
        table.add_row(
            Text(row.custom_id),
            Text(_state(row), style=_COLOURS.get(row.state, "dim")),
            _answer(row, None if known is None else known.get(row.custom_id)),
            Text(f"{row.expected} → {row.found}" if row.found is not None else ""),
            Text(basis),
        )
    return table


def _state(row: Result) -> str:
    return STATES.get(row.state) or f"{row.state} {row.tier or ''}"


def _answer(row: Result, known: KnownAnswer | None) -> Text:
    said = row.ruling or ""
    if row.state != State.ACCEPTED:
        # The gate let nothing out: what the model said is shown, and counts for nothing.
        return Text(f"({said})" if said else "", style="dim") + Text(f" · {known.ruling}" if known else "", style="dim")
    if known is None:
        return Text(said)
    if said != known.ruling:
        return Text(f"{said} · {known.ruling} ✗", style="bold red")
    # One tick for the right answer, a second one for resting on the very line that decides it.
    return Text(f"{said} · {known.ruling} {'✓✓' if known.rests_on(row) else '✓'}", style="green")


def print_summary(summary: Summary) -> None:
    """The batch in numbers, a line each."""
    tiers = ", ".join(f"{count} by the {MODELS[tier]}" for tier, count in summary.accepted_by_tier.items())
    states = ", ".join(f"{count} {STATES.get(name, name)}" for name, count in summary.states.items() if count)
    console.out.print(f"{summary.total} tasks: {states}; accepted {tiers}; {summary.escalated} escalated")
    if summary.gold is not None:
        gold = summary.gold
        console.out.print(
            Text.assemble(
                f"against gold ({gold.total}): {gold.correct} accepted and right, {gold.correct_on_line} of them on "
                "the deciding line; ",
                (f"{gold.false_accepts} accepted and wrong", "bold"),
                f"; {gold.rejected + gold.false_rejects} rejected ({gold.false_rejects} of them with the right answer)"
                f"; {gold.other} failed or cancelled",
            )
        )
    if summary.seconds_p50 is not None and summary.seconds_p95 is not None:
        console.out.print(
            f"model time a task: median {summary.seconds_p50:.1f} s, p95 {summary.seconds_p95:.1f} s; "
            f"tokens: {summary.prompt_tokens} read ({summary.cached_tokens} cached, {summary.cached_share or 0:.0%}), "
            f"{summary.completion_tokens} written"
        )
    if summary.reused:
        console.out.print(f"{summary.reused} tasks have answers that were given to the very same question before")
    if summary.rules:
        console.out.print("the gate objected: " + ", ".join(f"{rule} {count}" for rule, count in summary.rules.items()))


class LiveProgress:
    """Draws a batch's progress in place on a terminal, or as a line now and then elsewhere."""

    def __init__(self) -> None:
        self._live = Live(console=console.err, refresh_per_second=4) if console.err.is_terminal else None
        self._trouble: str | None = None
        self._said: tuple[int, float] | None = None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def trouble(self, text: str | None) -> None:
        """What hinders the batch, or None when nothing does any more."""
        self._trouble = text
        if text is not None and self._live is None:
            console.note(text)

    def show(self, progress: Progress) -> None:
        """Draw one look."""
        if self._live is not None:
            grid = Table.grid(padding=(0, 1))
            bar = ProgressBar(total=progress.total, completed=progress.done, width=40)
            grid.add_row(bar, Text(f"{progress.done} of {progress.total}"))
            grid.add_row(Text(_counts(progress)), Text(_rates(progress), style="dim"))
            if self._trouble:
                grid.add_row(Text(self._trouble, style="yellow"), Text())
            self._live.update(grid)
            return
        told = self._said
        if told is None or progress.done != told[0] or progress.elapsed_s - told[1] >= _QUIET_S:
            console.note(f"{progress.done} of {progress.total}: {_counts(progress)}  {_rates(progress)}")
            self._said = (progress.done, progress.elapsed_s)


def _counts(progress: Progress) -> str:
    return (
        f"queued {progress.queued} · running {progress.running} · "
        f"waiting for the large model {progress.escalated_waiting} · "
        f"accepted {progress.accepted_local} by the local model, {progress.accepted_escalation} by the large model · "
        f"rejected {progress.rejected} · failed {progress.failed}"
    )


def _rates(progress: Progress) -> str:
    rate = f"{progress.tokens_per_s:.1f} tokens/s" if progress.tokens_per_s else ""
    eta = f"about {progress.eta_s:.0f} s left" if progress.eta_s else ""
    return " · ".join(filter(None, (rate, eta, f"{progress.elapsed_s:.0f} s")))
