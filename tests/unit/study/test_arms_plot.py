"""The plot of a comparison, read back from the SVG."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from replay.contracts import Ruling, State
from replay.errors import ConfigurationError, InputError
from replay.study import arms_plot
from replay.study.arms import Arm, Outcome
from replay.study.comparison import Comparison, compare
from replay.study.conditions import Conditions, machine

CONDITIONS = Conditions("audit.jsonl", "small-model", "corpus_1", "gate.v1", "2 cores, somewhere")


def comparison(known: Ruling | None = Ruling.PASS) -> Comparison:
    """Three arms on four tasks: all right, all wrong but one undecided, all undecided."""

    def arm(state: State, ruling: Ruling) -> list[Outcome]:
        return [Outcome(str(number), state, ruling, known) for number in range(3)]

    last = Outcome("3", State.REJECTED, Ruling.PASS, known)
    return compare(
        {
            Arm.WITH: [*arm(State.ACCEPTED, Ruling.PASS), last],
            Arm.WITHOUT: [*arm(State.ACCEPTED, Ruling.FAIL), last],
            Arm.TOP_LINE: [*arm(State.REJECTED, Ruling.PASS), last],
        }
    )


def texts(path: Path) -> list[str]:
    """Every text of an SVG."""
    root = ET.fromstring(path.read_bytes())  # noqa: S314  we have just drawn it
    return ["".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_every_bar_says_what_it_counts_and_the_caption_says_under_what_conditions(tmp_path: Path) -> None:
    """Arms, counts, title, axis, machine, model, corpus and gate stand in the picture as text."""
    path = tmp_path / "ab.svg"
    arms_plot.plot(comparison(), CONDITIONS, path)
    said = texts(path)
    assert {arm.label for arm in Arm} <= set(said)
    for count in ("right: 3 of 4 (75 %)", "wrong: 3 of 4 (75 %)", "undecided: 4 of 4 (100 %)"):
        assert said.count(count) == 1
    assert said.count("right: 0 of 4 (0 %)") == 2
    assert "4 tasks, judged by the same gate, against known answers" in said
    assert "share of the tasks, with its 95 % interval (Wilson)" in said
    caption = " ".join(said)
    for part in ("audit.jsonl", "small-model", "corpus_1", "gate.v1", "2 cores, somewhere"):
        assert part in caption


def test_without_known_answers_it_shows_what_was_accepted(tmp_path: Path) -> None:
    """And calls nothing right or wrong."""
    path = tmp_path / "ab.svg"
    arms_plot.plot(comparison(known=None), CONDITIONS, path)
    said = texts(path)
    assert said.count("accepted: 3 of 4 (75 %)") == 2
    assert not [text for text in said if text.startswith(("right", "wrong"))]


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    """No date, no random ids."""
    paths = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for path in paths:
        arms_plot.plot(comparison(), CONDITIONS, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_png_is_a_png(tmp_path: Path) -> None:
    """The suffix decides."""
    path = tmp_path / "ab.PNG"
    arms_plot.plot(comparison(), CONDITIONS, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_plotted_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another kind of file, a folder that is not there, and an installation without the library."""
    with pytest.raises(InputError, match="neither an SVG nor a PNG"):
        arms_plot.check(tmp_path / "ab.pdf")
    with pytest.raises(InputError, match="cannot be written"):
        arms_plot.plot(comparison(), CONDITIONS, tmp_path / "nowhere" / "ab.svg")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigurationError) as caught:
        arms_plot.check(tmp_path / "ab.svg")
    assert "pip install 'replay-audit[study]'" in caught.value.hint


def test_the_machine_is_described_and_not_named() -> None:
    """Cores and system; numbers depend on these."""
    assert "cores" in machine()
