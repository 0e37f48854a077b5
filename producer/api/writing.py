"""Writing the answers of a batch: its input file and the evidence, line by line, into an output and an error file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from producer.api import answer, engine
from producer.api.answer import Ending, Line
from producer.api.chat import Refusal
from producer.api.disk import Files, Part, id_for
from producer.api.lines import requests
from producer.api.options import Options
from producer.api.rows import BatchRow, FileRow
from producer.results import Result
from replay.settings import Settings


class Stopped(Exception):
    """The server is told to end; what was begun is begun again by the next one."""


@dataclass
class Totals:
    """Tokens of all attempts of a batch."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0

    def add(self, result: Result) -> None:
        """Count one task."""
        self.prompt += result.prompt_tokens
        self.cached += result.cached_tokens
        self.completion += result.completion_tokens

    def usage(self) -> dict[str, object]:
        """As a batch shows them."""
        return {
            "input_tokens": self.prompt,
            "input_tokens_details": {"cached_tokens": self.cached},
            "output_tokens": self.completion,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.prompt + self.completion,
        }


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        output: The file of answers; None where there is none.
        errors: The file of errors; None where there is none.
        completed: Lines of the one.
        failed: Lines of the other.
        totals: What it took.
    """

    output: FileRow | None
    errors: FileRow | None
    completed: int
    failed: int
    totals: Totals


@dataclass(frozen=True)
class Job:
    """What is to be written.

    Attributes:
        row: The batch.
        ending: How it ends.
        options: What its metadata says.
        at: Unix time of the files.
        stop: Set it, and writing ends without a trace.
    """

    row: BatchRow
    ending: Ending
    options: Options
    at: int
    stop: threading.Event


def write(job: Job, files: Files, settings: Settings) -> Written:
    """Write the files of a batch that ends. Written again after a crash, they get the same names.

    Args:
        job: What is to be written.
        files: Where they go.
        settings: Where manifest and evidence are.

    Raises:
        Stopped: The server is told to end; nothing stays.
        AppendFailed: The disk said no; nothing stays.
        EvidenceDamaged: The evidence or the manifest cannot be read.
    """
    totals = Totals()
    output = _Output(job, "output", files)
    errors = _Output(job, "errors", files)
    try:
        for line in _lines(job, files, settings, totals):
            if job.stop.is_set():
                raise Stopped
            (output if line.is_answer else errors).add(line)
        return Written(output.finish(), errors.finish(), output.count, errors.count, totals)
    finally:
        output.part.discard()
        errors.part.discard()


def _lines(job: Job, files: Files, settings: Settings, totals: Totals) -> Iterator[Line]:
    row, name = job.row, job.row.replay_batch
    results = engine.collect(name, settings) if name else iter(())
    following = next(results, None)
    for request in requests(files.path(row.input_file_id), job.options):
        if isinstance(request.content, Refusal):
            yield answer.refused(row.id, request.custom_id, request.content)
        elif not name:
            yield answer.undone(row.id, request.custom_id, job.ending)
        elif following is None or following.custom_id != request.content.line.custom_id:
            yield answer.lost(row.id, request.custom_id)
        else:
            checks = engine.checks(following.run_id, settings) if request.content.line.checklist else ()
            yield answer.done(
                row.id,
                request.custom_id,
                following,
                job.ending,
                at=job.at,
                left_out=request.content.left_out,
                checks=checks,
            )
            totals.add(following)
            following = next(results, None)


class _Output:
    """One of the two files of a batch."""

    def __init__(self, job: Job, kind: str, files: Files) -> None:
        self.count = 0
        self._row = job.row
        self._kind = kind
        self._at = job.at
        self._id = id_for(job.row.id, kind)
        self.part: Part = files.begin(self._id)

    def add(self, line: Line) -> None:
        self.count += 1
        if self.part.write(line.data()):
            self.part.flush()

    def finish(self) -> FileRow | None:
        """The file, whole and durable; None, and nothing on the disk, where no line was added."""
        if not self.count:
            return None
        self.part.finish()
        lifetime = self._row.output_expires_s
        return FileRow(
            id=self._id,
            created_at=self._at,
            expires_at=None if lifetime is None else self._at + lifetime,
            filename=f"{self._row.id}_{self._kind}.jsonl",
            purpose="batch_output",
            bytes=self.part.size,
        )
