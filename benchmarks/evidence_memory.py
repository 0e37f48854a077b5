"""What a writer holds in memory behind a long log: `python -m benchmarks.evidence_memory --rows 10000000`.

The log is a stand-in: its first and last lines are real, between them the file is a hole, and the index has synthetic
rows with ids spread over the whole range, so that looking one up and adding one touch pages anywhere in it, as the
hashes of real ids do. The writer is the real one, in a process of its own. At 10 million rows the index takes a few
gigabytes on the disk and minutes to fill.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evidence.format import NO_HASH, Head, encode, prepare
from evidence.index import Index, index_path
from evidence.log import EvidenceLog
from evidence.merkle import TILE, Tree
from evidence.row import values_of

LINE_BYTES = 27_000
KNOWN = 97  # each so many-th record can be looked up
_SPAN = 1 << 96  # ids are 24 hex digits


def fill(log: Path, rows: int) -> None:
    """Make the log and its index."""
    first = encode(_record(0), 1, NO_HASH)
    last = encode(_record(rows - 1), rows, first.chain.hash)
    at = (rows - 1) * LINE_BYTES
    with log.open("wb") as file:
        file.write(first.data)
        file.seek(at)
        file.write(last.data)
    head = Head(rows, last.chain.hash, at, at + len(last.data))
    Index(log).close()
    db = sqlite3.connect(index_path(log), isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -262144")
    made = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
    for name, _ in made:
        db.execute(f"DROP INDEX {name}")
    db.execute("BEGIN")
    places = ", ".join("?" * len(values_of(first, 0)))
    db.executemany(f"INSERT INTO records VALUES ({places})", _rows(first, rows))  # noqa: S608  only question marks
    tiles = ((number, os.urandom(32)) for number in range(rows // TILE))
    db.executemany("INSERT INTO tiles VALUES (?, ?)", tiles)
    tree = Tree(rows, os.urandom(32 * rows.bit_count()))
    db.execute("INSERT INTO tree VALUES (1, ?, ?)", (tree.size, tree.peaks))
    db.execute("INSERT INTO head VALUES ('indexed', ?, ?, ?, ?)", head)
    for _, sql in made:
        db.execute(sql)
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def write(log: Path, rows: int, groups: int, size: int) -> None:
    """Open the log, look up what it has and append what it has not; print what that took."""
    chance = random.Random(7)  # noqa: S311  the same numbers each time
    before = _rss()
    with EvidenceLog.open(log, segment_bytes=1 << 62) as writer:
        opened = _rss()
        began = time.process_time()
        for _ in range(groups):
            old = [_record(chance.randrange(0, rows, KNOWN)) for _ in range(size // 4)]
            new = [_record(chance.randrange(_SPAN) / _SPAN * rows) for _ in range(size - len(old))]
            writer.append(old + new)
        seconds = time.process_time() - began
    print(
        json.dumps(
            {
                "rows": rows,
                "index_mb": round(index_path(log).stat().st_size / 1e6),
                "imported_mb": before,
                "opened_mb": opened,
                "peak_mb": _rss(),
                "records_per_cpu_s": round(groups * size / seconds),
            }
        )
    )


def _record(number: float) -> dict[str, Any]:
    spread = int(number * _SPAN) // _TOTAL
    return {
        "schema": "replay_run.v1",
        "id": f"att_{spread:024x}",
        "run_id": f"run_{spread:024x}",
        "batch_id": f"batch_{int(number) // 10_000:016x}",
        "custom_id": f"task-{int(number)}",
        "state": "accepted",
        "attempt": {"tier": "local", "generation": {"model": "small"}},
        "recorded_at": "2026-01-01T00:00:00+00:00",
    }


def _rows(first: Any, rows: int) -> Iterator[tuple[Any, ...]]:
    template = values_of(first, 0)
    for number in range(rows):
        record = _record(number)
        # What is looked up must be known by its content too; the rest need not be hashed.
        hashed = prepare(record).hash if number % KNOWN == 0 else "sha256:" + record["id"][4:].zfill(64)
        ids = (record["id"], "replay_run.v1", hashed)
        names = (record["run_id"], record["batch_id"], record["custom_id"])
        yield (number + 1, number * LINE_BYTES, LINE_BYTES, *ids, *names, *template[9:])


def _rss() -> int:
    """The most memory that this process has had, in MB; unlike getrusage's, it begins anew with the program."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return round(int(line.split()[1]) * 1024 / 1e6)


def main() -> None:
    """Fill in this process, write in another, whose memory is then its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence_memory", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="records that the index has already")
    parser.add_argument("--groups", type=int, default=100, help="group commits to append")
    parser.add_argument("--size", type=int, default=256, help="records of a group commit, a quarter of them known")
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    global _TOTAL  # noqa: PLW0603  the one number that spreads the ids, set once
    _TOTAL = options.rows
    if options.log is not None:
        write(options.log, options.rows, options.groups, options.size)
        return
    with tempfile.TemporaryDirectory(dir="/var/tmp" if Path("/var/tmp").is_dir() else None) as folder:  # noqa: S108  often /tmp is memory
        log = Path(folder) / "runs.jsonl"
        began = time.monotonic()
        fill(log, options.rows)
        print(f"filled in {time.monotonic() - began:.0f} s", file=sys.stderr)
        sizes = [f"--{name}={getattr(options, name)}" for name in ("rows", "groups", "size")]
        command = [sys.executable, "-m", "benchmarks.evidence_memory", *sizes, "--log", str(log)]
        subprocess.run(command, check=True, env=os.environ)


_TOTAL = 1

if __name__ == "__main__":
    main()
