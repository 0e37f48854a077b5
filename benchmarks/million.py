"""A million realistic records without a network: passages of what lies on every development machine.

Python source of the standard library and of what is installed, manual pages, documentation and C headers are cut at
line ends into passages of a few dozen distinct words. What is missing to the number asked for is spliced from the
halves of two real passages. Some passages are held out and give queries of sentence length, so a query's own passage
is not in the corpus. The same files and seed give the same records.
"""

from __future__ import annotations

import gzip
import random
import re
import sys
import sysconfig
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from replay.corpus.tokens import tokens

ROOTS = (
    (Path(sysconfig.get_path("stdlib")), "**/*.py"),
    (Path(sysconfig.get_path("purelib")), "**/*.py"),
    (Path(sysconfig.get_path("purelib")), "**/*.pyi"),
    (Path("/usr/share/man"), "man[1-9]/*.gz"),
    (Path("/usr/share/doc"), "**/*"),
    (Path("/usr/include"), "**/*.h"),
)
MAX_FILE_BYTES = 1 << 20
SEED = 20_260_101
REAL_SHARE = 0.75
"""At most; reading is what takes time, and splicing takes none."""
HELD_OUT = 400
"""One passage of so many gives a query."""
FEWEST, TYPICAL, MOST = 15, 12, 75
"""Distinct plain words of a passage: at least, how many more on the average, and at most. They give a quarter more
tokens, since a compound gives its parts as well."""

_WORD = re.compile(r"\w+")
_MARKUP = re.compile(r"<[^<>]{1,200}>|\\f[A-Z]|^\.[A-Z]\w*|\\&|\\-", re.MULTILINE)


@dataclass(frozen=True)
class Texts:
    """What was generated.

    Attributes:
        path: One record a line.
        queries: Sentences that are in no record, unless someone else wrote the same.
        spliced: How many records are made of two halves.
        count: How many records there are.
    """

    path: Path
    queries: tuple[str, ...]
    spliced: int
    count: int

    def read(self, count: int) -> Iterator[str]:
        """The first records; any number of the first is a fair sample."""
        with self.path.open(encoding="utf-8") as lines:
            for line, _ in zip(lines, range(count), strict=False):
                yield line


def generate(path: Path, count: int, queries: int) -> Texts:
    """Write so many records and return them with so many queries."""
    # Three streams, so that neither the number of queries nor that of splices changes what the passages are.
    cut, ask, choose = (random.Random(SEED + stream) for stream in range(3))  # noqa: S311  a sample, not a secret
    passages: list[str] = []
    asked: list[str] = []
    seen: set[int] = set()
    for number, passage in enumerate(_passages(cut)):
        # Installed packages carry copies of one another.
        if (mark := hash(passage)) in seen:
            continue
        seen.add(mark)
        if number % HELD_OUT == 0:
            asked.append(_sentence(ask, passage))
        else:
            passages.append(passage)
        if len(passages) >= REAL_SHARE * count and len(asked) >= queries:
            break
    real = min(count, len(passages))
    while len(passages) < count:
        one, other = (passages[choose.randrange(real)].split(" ") for _ in range(2))
        passages.append(" ".join(one[: len(one) // 2] + other[len(other) // 2 :]))
    choose.shuffle(passages)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{passage}\n" for passage in passages[:count])
    choose.shuffle(asked)
    return Texts(path, tuple(asked[:queries]), count - real, count)


def _passages(choose: random.Random) -> Iterator[str]:
    """The passages of all files, each on one line."""
    for text in _files(choose):
        lines: list[str] = []
        held: set[str] = set()
        wanted = _size(choose)
        for line in text.splitlines():
            lines.append(line.strip())
            held.update(_WORD.findall(line.lower()))
            if len(held) >= wanted:
                # A line of a table or of minified code may hold thousands.
                if len(held) <= MOST:
                    yield " ".join(lines)
                lines, held, wanted = [], set(), _size(choose)


def _size(choose: random.Random) -> int:
    return FEWEST + min(MOST - FEWEST, int(choose.expovariate(1 / TYPICAL)))


def _files(choose: random.Random) -> Iterator[str]:
    """The texts of all files, in an order that only the seed decides."""
    paths = sorted({path for root, pattern in ROOTS for path in root.glob(pattern)})
    choose.shuffle(paths)
    for path in paths:
        try:
            if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
                continue
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            text = content.decode("utf-8")
        except (OSError, EOFError, zlib.error, UnicodeDecodeError):
            continue
        if "\0" not in text:
            yield text if path.suffix in {".py", ".pyi", ".h"} else _MARKUP.sub(" ", text)


def _sentence(choose: random.Random, passage: str) -> str:
    """A window of about 6 to 20 distinct tokens."""
    found = passage.split()
    wanted = choose.randint(6, 20)
    start = end = choose.randrange(1 + len(found) // 2)
    while end < len(found) and len(tokens(" ".join(found[start:end]))) < wanted:
        end += 1
    return " ".join(found[start:end])


if __name__ == "__main__":
    made = generate(Path(sys.argv[1]), int(sys.argv[2]), 1000)
    print(f"{made.count} records, {made.spliced} of them spliced; {len(made.queries)} queries")
