"""The plot of a comparison: for each arm the shares that came out right, wrong and undecided, with their intervals.

The same numbers give the same bytes: an SVG carries no date, its ids are salted with a constant, and its text stays
text. Colours are those of Okabe and Ito ("Color universal design", 2008), which people with any colour vision can
tell apart; each bar also says what it counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from replay.errors import ConfigurationError, InputError
from replay.study.arms import ArmScore
from replay.study.comparison import Comparison
from replay.study.conditions import Conditions
from replay.study.scoring import Share

SUFFIXES = (".svg", ".png")
_GREEN, _VERMILION, _GREY = "#009E73", "#D55E00", "#9A9A9A"
_BAR = 0.25
_CAPTION_WIDTH = 118
_STYLE = {
    "svg.hashsalt": "replay",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
}


@dataclass(frozen=True)
class _Series:
    label: str
    colour: str
    rates: Sequence[Share]


def check(path: Path) -> None:
    """Refuse early what could not be plotted later.

    Raises:
        InputError: The file's name does not say SVG or PNG.
        ConfigurationError: The plotting library is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is neither an SVG nor a PNG.", hint="Name a file that ends in .svg or .png.")
    try:
        import matplotlib as mpl  # noqa: F401, PLC0415  an optional part of the installation
    except ImportError as error:
        raise ConfigurationError(
            "Plots need matplotlib, which is not installed.",
            hint="Install it with `pip install 'replay-audit[study]'`, or leave --plot out.",
        ) from error


def plot(comparison: Comparison, conditions: Conditions, path: Path) -> None:
    """Draw a comparison into an SVG or PNG file.

    Raises:
        InputError: As `check`; or the file cannot be written.
        ConfigurationError: As `check`.
    """
    check(path)
    import matplotlib as mpl  # noqa: PLC0415  see `check`
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]  # its stubs know the keys only as literals
        figure = Figure(figsize=(9.0, 1.9 + 1.15 * len(comparison.arms)), layout="constrained")
        axes = figure.add_subplot()
        drawn = _series(comparison)
        for number, series in enumerate(drawn):
            places = [row + (number - (len(drawn) - 1) / 2) * _BAR for row in range(len(series.rates))]
            axes.barh(
                places,
                [rate.value for rate in series.rates],
                height=_BAR * 0.92,
                color=series.colour,
                xerr=[_reach(series.rates, 0), _reach(series.rates, 1)],
                error_kw={"ecolor": "#333333", "elinewidth": 1.0, "capsize": 2.5},
            )
            for place, rate in zip(places, series.rates, strict=True):
                said = f"{series.label}: {rate.hits} of {rate.of} ({100 * rate.value:.0f} %)"
                axes.text(rate.interval[1] + 0.012, place, said, va="center", fontsize=8)
        axes.set_yticks(range(len(comparison.arms)), [arm.arm.label for arm in comparison.arms])
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.set_xlim(0.0, 1.28)
        axes.set_xticks([tenth / 5 for tenth in range(6)], [f"{tenth * 20} %" for tenth in range(6)])
        axes.set_xlabel("share of the tasks, with its 95 % interval (Wilson)")
        axes.xaxis.set_label_coords(0.39, -0.09)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines["bottom"].set_bounds(0.0, 1.0)
        axes.set_title(_title(comparison), loc="left", fontweight="bold")
        figure.supxlabel(_wrapped(conditions.sentence()), x=0.01, ha="left", fontsize=7, color="#555555")
        try:
            is_svg = path.suffix.lower() == ".svg"
            metadata = {"Date": None, "Creator": None} if is_svg else {"Software": None}
            figure.savefig(path, dpi=150, metadata=metadata)
        except OSError as error:
            raise InputError(
                f"{path} cannot be written: {error.strerror}.", hint="Name a file in a folder that this user can write."
            ) from error


def _series(comparison: Comparison) -> list[_Series]:
    known = [arm.known for arm in comparison.arms if arm.known is not None]
    if len(known) == len(comparison.arms):
        return [
            _Series("right", _GREEN, [one.right for one in known]),
            _Series("wrong", _VERMILION, [one.wrong for one in known]),
            _Series("undecided", _GREY, [one.undecided for one in known]),
        ]
    return [
        _Series("accepted", _GREEN, [arm.accepted for arm in comparison.arms]),
        _Series("undecided", _GREY, [arm.undecided for arm in comparison.arms]),
    ]


def _title(comparison: Comparison) -> str:
    counts = {_judged(arm) for arm in comparison.arms}
    tasks = f"{counts.pop()} tasks" if len(counts) == 1 else "Tasks"
    return f"{tasks}, judged by the same gate" + (", against known answers" if comparison.has_gold else "")


def _judged(arm: ArmScore) -> int:
    return arm.known.right.of if arm.known is not None else arm.accepted.of


def _reach(rates: Sequence[Share], end: int) -> list[float]:
    """How far the interval reaches below (0) or above (1) each bar's end."""
    return [abs(rate.interval[end] - rate.value) for rate in rates]


def _wrapped(text: str) -> str:
    lines = [""]
    for part in text.split(" · "):
        joined = f"{lines[-1]} · {part}" if lines[-1] else part
        if lines[-1] and len(joined) > _CAPTION_WIDTH:
            lines.append(part)
        else:
            lines[-1] = joined
    return "\n".join(lines)
