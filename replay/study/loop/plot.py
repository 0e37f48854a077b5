"""The plot of the study: escalation of the work by round, and the probe's right answers, kin and novel apart.

Drawn as `replay.study.arms_plot`: the same numbers give the same bytes, and intervals are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from replay.errors import InputError
from replay.study import arms_plot
from replay.study.loop.arms import LoopArm
from replay.study.loop.measuring import PARTS
from replay.study.loop.report import ArmRounds, LoopReport
from replay.study.scoring import Share

_COLOURS = {
    LoopArm.LIVE: "#0072B2",
    LoopArm.FROZEN: "#6B6B6B",
    LoopArm.PLACEBO: "#E69F00",
    LoopArm.LARGE_ONLY: "#009E73",
    LoopArm.NO_RETRIEVAL: "#CC79A7",
}
_MARKS = {
    LoopArm.LIVE: "o",
    LoopArm.FROZEN: "s",
    LoopArm.PLACEBO: "^",
    LoopArm.LARGE_ONLY: "D",
    LoopArm.NO_RETRIEVAL: "v",
}
_STYLE = {"svg.hashsalt": "replay", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9.0}
_APART = 0.07


def plot(made: LoopReport, path: Path) -> None:
    """Draw a report into an SVG or PNG file.

    Raises:
        InputError: The file's name does not say SVG or PNG, or it cannot be written.
        ConfigurationError: The plotting library is not installed.
    """
    arms_plot.check(path)
    import matplotlib as mpl  # noqa: PLC0415  an optional part of the installation
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]  # its stubs know the keys only as literals
        figure = Figure(figsize=(11.0, 4.6), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        for place, arm in enumerate(made.arms):
            aside = (place - (len(made.arms) - 1) / 2) * _APART
            _draw(left, arm, [(counted.number, counted.escalated) for counted, _ in arm.work], aside)
            for axes, name in ((middle, PARTS[0]), (right, PARTS[1])):
                _draw(axes, arm, _right(arm, name), aside)
        for axes, title, about in (
            (left, "Work: handed on by the gate", "round"),
            (middle, "Probe, kin: right, local alone", "after round (0: before the first)"),
            (right, "Probe, novel: right, local alone", "after round (0: before the first)"),
        ):
            axes.set_title(title, loc="left", fontweight="bold")
            axes.set_xlabel(about)
            axes.set_ylim(0.0, 1.0)
            axes.set_yticks([fifth / 5 for fifth in range(6)], [f"{fifth * 20} %" for fifth in range(6)])
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.spines[["top", "right"]].set_visible(False)
        left.legend(frameon=False, loc="upper right", fontsize=8)
        said = f"Bars: 95 % intervals (Wilson). Large model: {made.conditions.large}"
        figure.supxlabel(said, x=0.01, ha="left", fontsize=8, color="#333333")
        is_svg = path.suffix.lower() == ".svg"
        metadata: dict[str, Any] = {"Date": None, "Creator": None} if is_svg else {"Software": None}
        try:
            figure.savefig(path, dpi=150, metadata=metadata)
        except OSError as error:
            raise InputError(
                f"{path} cannot be written: {error.strerror}.", hint="Name a file in a folder that this user can write."
            ) from error


def _right(arm: ArmRounds, name: str) -> list[tuple[int, Share]]:
    return [(after, part.right) for after, (parts, _) in enumerate(arm.probe) for part in parts if part.part == name]


def _draw(axes: Any, arm: ArmRounds, points: Sequence[tuple[int, Share]], aside: float) -> None:
    if not points:
        return
    shares = [share for _, share in points]
    reach = [[abs(share.interval[end] - share.value) for share in shares] for end in (0, 1)]
    axes.errorbar(
        [number + aside for number, _ in points],
        [share.value for share in shares],
        yerr=reach,
        label=arm.arm.label,
        color=_COLOURS[arm.arm],
        marker=_MARKS[arm.arm],
        markersize=4,
        linewidth=1.2,
        elinewidth=0.8,
        capsize=2,
    )
