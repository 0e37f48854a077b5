"""Parsing within bounds: a hostile file must not take the machine.

A parser that mends errors can be led astray: 8 KiB of `/*` lines, read as Python, took 5 s and 2.4 GB, in one step
that nothing can interrupt. So stretches that say nothing are blanked before the parser sees them, each parse has a
budget of steps that is the same on every machine, and behind it are two limits for what steps do not measure. Real
files stay far below all of them: over 2,000 files of nine languages at most half of the steps, 0.3 s of CPU time and
70 MB. Files that were made to be hard, in every language, ended within 5 s and 530 MB.
"""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Iterator, Sequence
from time import thread_time

from tree_sitter import Point, Tree

from replay.corpus.languages import Language

FREE_STEPS = 500
BYTES_PER_STEP = 16
CPU_SECONDS = 5.0
GROWTH_BYTES = 256 * 1024 * 1024

WINDOW = 1024

_CHUNK = 64 * 1024
_LONGEST_PERIOD = 256
_PROBE = 64
_MOST_OPENED = 100
_WORD = re.compile(rb"[0-9A-Za-z_\x80-\xff]")
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def parse(source: bytes, language: Language) -> Tree | None:
    """The tree of a text, or None where a bound was met.

    A step is what the parser does between two looks at the clock: 100 of its operations.
    """
    source = without_repetition(source)
    budget = FREE_STEPS + len(source) // BYTES_PER_STEP
    started, peak = thread_time(), _peak_bytes()
    steps = 0

    def read(offset: int, _: Point) -> bytes:
        return source[offset : offset + _CHUNK]

    def give_up(_offset: int, _has_error: bool) -> bool:
        nonlocal steps
        steps += 1
        return steps > budget or thread_time() - started > CPU_SECONDS or _peak_bytes() - peak > GROWTH_BYTES

    parser = language.parser
    try:
        return parser.parse(read, progress_callback=give_up)
    except ValueError:  # how the binding says that it was stopped
        parser.reset()
        return None


def without_repetition(source: bytes) -> bytes:
    """The text with long runs of the same, or of nothing but punctuation, blanked: tables of zeros, rulers, and traps.

    Records are cut from the text itself, so nothing is lost but definitions that repeat to the letter.
    """
    blank = [start for start in range(0, len(source) - WINDOW + 1, WINDOW) if _says_nothing(source, start)]
    if not blank:
        return source
    blanked = bytearray(source)
    for start, end in _runs(blank):
        first, last = source.find(b"\n", start, end), source.rfind(b"\n", start, end)
        if first < last:
            start, end = first, last  # noqa: PLW2901  whole lines, so that nothing is cut in the middle
        blanked[start:end] = bytes(byte if byte == 10 else 32 for byte in source[start:end])
    return bytes(blanked)


def _says_nothing(source: bytes, start: int) -> bool:
    window = source[start : start + WINDOW]
    # A `<` may open type arguments or compare: a chain of undecided ones costs its square.
    single = window.replace(b"<<", b"")
    opened = single.count(b"<") - single.count(b">")
    return not _WORD.search(window) or opened > _MOST_OPENED or _is_periodic(window)


def _is_periodic(window: bytes) -> bool:
    period = window.find(window[:_PROBE], 1, _LONGEST_PERIOD + _PROBE)
    return period > 0 and window[period:] == window[:-period]


def _runs(windows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Neighbouring windows as one range of bytes."""
    first = previous = windows[0]
    for window in [*windows[1:], -1]:
        if window != previous + WINDOW:
            yield first, previous + WINDOW
            first = window
        previous = window


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT
