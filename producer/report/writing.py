"""A report as Markdown, or as one HTML file without a script that needs nothing else; piece by piece.

Tasks, models and files are foreign: nothing of theirs is anything but text. In HTML the templates escape it, and a
policy in the file forbids scripts besides. In Markdown each value is escaped unless a filter of ours has made it, and
longer texts stand in code spans, where nothing means anything. In both what would not be seen is spelt out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evidence.reader import EvidenceReader
from producer.report.figures import OTHERS, Report, Took
from producer.report.gathering import superseded
from producer.report.listing import MOST, listed
from replay.contracts import State, Tier
from replay.corpus.quality import Share
from replay.settings import Settings
from replay.study.visible import one_line, visible

_LONG = 400
# Piece by piece, but not letter by letter.
_BUFFERED = 64
_ENDS = (State.ACCEPTED, State.REJECTED, State.FAILED, State.CANCELLED)


class Format(StrEnum):
    """Of a report."""

    MARKDOWN = "markdown"
    HTML = "html"


class _Made(str):
    """Markdown that we wrote; no foreign text but an escaped one is in it."""

    __slots__ = ()


def write(report: Report, form: Format, settings: Settings, *, most: int = MOST) -> Iterator[bytes]:
    """A report, in pieces.

    Args:
        report: What was counted.
        form: As what.
        settings: Where the evidence lies, of which runs are listed.
        most: List so many failed and so many rejected runs.

    Raises:
        EvidenceDamaged: A record of a listed run cannot be read.
    """
    reader = EvidenceReader(settings.evidence_log)
    without = superseded(report.scope, settings)

    def runs(state: State) -> Iterator[Any]:
        return listed(state, report.scope, reader, report.head, without=without, most=most)

    counts = report.counts
    template = _ENVIRONMENTS[form]().get_template(f"report.{'html' if form is Format.HTML else 'md'}")
    stream = template.stream(
        report=report,
        counts=counts,
        title=_title(report),
        version=version("replay-audit"),
        ends=_ends(report),
        took=_took(report),
        models={lane: sorted(name for name, _ in held) for lane, held in counts.took.items()},
        rules=sorted(counts.rules, key=lambda item: (-item[1].total(), item[0])),
        over_time=_over_time(report),
        gold=_gold(report),
        lists=[
            (state.value, counts.in_state(state), min(most, counts.in_state(state)), runs(state))
            for state in (State.FAILED, State.REJECTED)
        ],
        Tier=Tier,
    )
    stream.enable_buffering(_BUFFERED)
    for piece in stream:
        yield piece.encode("utf-8", "backslashreplace")


def _title(report: Report) -> str:
    scope = report.scope
    if scope.batch_id is not None:
        return scope.batch_id
    if scope.since is None and scope.until is None:
        return "all evidence"
    since = f"from {_when(scope.since)}" if scope.since is not None else ""
    until = f"until {_when(scope.until)}" if scope.until is not None else ""
    return f"{since} {until}".strip()


def _ends(report: Report) -> list[tuple[str, list[int]]]:
    ended = report.counts.ended
    return [
        (state.value, [*(ended[state, tier] for tier in (*Tier, "")), report.counts.in_state(state)]) for state in _ENDS
    ]


def _took(report: Report) -> list[tuple[str, str, Took]]:
    order = [*Tier, OTHERS]
    return [
        (str(lane), model, took)
        for lane in order
        for model, took in (report.counts.took[lane].sorted() if lane in report.counts.took else ())
    ]


def _over_time(report: Report) -> list[tuple[str, list[tuple[str, str, Any]]]]:
    counts = report.counts
    sources = {one: head.source for one, head in report.sources.items()}
    tables = [("day", [(day, "", held) for day, held in counts.by_day.sorted()])]
    if report.scope.batch_id is None:
        tables.append(("batch", [(name, sources.get(name, ""), held) for name, held in counts.by_batch]))
    tables.append(("corpus", [(name, "", held) for name, held in counts.by_corpus]))
    return tables


def _gold(report: Report) -> list[tuple[str, Share]]:
    gold = report.counts.gold
    if gold is None:
        return []
    return [
        ("right", Share(gold.correct, gold.total)),
        ("right, and on the deciding line", Share(gold.correct_on_line, gold.total)),
        ("wrong", Share(gold.false_accepts, gold.total)),
        ("undecided", Share(gold.total - gold.correct - gold.false_accepts, gold.total)),
        ("wrong, of what was accepted", Share(gold.false_accepts, gold.correct + gold.false_accepts)),
    ]


# --- how values are written ------------------------------------------------------------------------------------------


def _when(at: datetime | float | None) -> str:
    if at is None:
        return "-"
    moment = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _share(share: Share) -> str:
    if not share.of:
        return "-"
    low, high = share.interval
    return f"{100 * share.value:.1f} % ({100 * low:.1f} to {100 * high:.1f} %), {share.hits:,} of {share.of:,}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _money(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4f}"


def _short(text: str) -> str:
    return one_line(text, _LONG)


_SPECIAL = re.compile(r"[&<>|\\`*\[\]~#!@$^{}]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=:)//|(?<=www)\.", re.IGNORECASE)


def cell(text: str) -> str:
    """A foreign text in a line or a table of Markdown: what would mean something stands there as a reference."""
    return _Made(_SPECIAL.sub(lambda found: "".join(f"&#{ord(char)};" for char in found[0]), one_line(text, _LONG)))


def span(text: str) -> str:
    """A foreign text as a code span of Markdown, not within a table; longer runs of backticks than its own end it."""
    held = one_line(text, _LONG)
    if not held:
        return _Made("(empty)")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", held)), default=0))
    pad = " " if held[0] in "` " or held[-1] in "` " else ""
    return _Made(f"{fence}{pad}{held}{pad}{fence}")


def _escaped_markdown(value: object) -> object:
    return value if isinstance(value, _Made) else cell(str(value))


def _visible_html(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _environment(*, html: bool) -> Environment:
    made = Environment(
        loader=PackageLoader("producer.report"),
        autoescape=html,  # noqa: S701  Markdown is escaped by what finishes each value
        undefined=StrictUndefined,
        finalize=_visible_html if html else _escaped_markdown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "when": _when,
        "number": _number,
        "percent": _percent,
        "share": _share,
        "seconds": _seconds,
        "money": _money,
        "short": _short,
        "span": span,
    }
    return made


_ENVIRONMENTS: dict[Format, Callable[[], Environment]] = {
    Format.MARKDOWN: lambda: _environment(html=False),
    Format.HTML: lambda: _environment(html=True),
}
