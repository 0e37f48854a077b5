"""Asking the model what `replay ab` does not know yet: threads ask, and only the main one adds to evidence."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

from cli import session
from cli.ab.runs import Audited, Question, audited
from replay import pipeline
from replay.contracts import Bundle, ReplayRun, ReplayTask, State
from replay.errors import ModelUnavailable
from replay.pipeline import Engine, Retriever
from replay.settings import Settings

_GIVE_UP = 4


def ask(questions: Sequence[Question], settings: Settings, engine: Engine, *, in_flight: int) -> Iterator[Audited]:
    """Ask the model, so many questions at once, and keep each answer as evidence before it is yielded.

    Raises:
        ModelUnavailable: The first few all failed; evidence says so too.
    """
    failed = 0
    answered = False
    for question, run in _answers(questions, engine, in_flight):
        session.keep(settings, run)
        failed += run.state is State.FAILED
        answered = answered or run.state is not State.FAILED
        # One that fails may be at fault itself, such as a task that is too long; all of the first few are not.
        if failed == _GIVE_UP and not answered:
            raise ModelUnavailable(run.reason or "no answer", hint="`replay doctor` says whether the model answers.")
        yield audited(question.arm, question.task, run)


class _OneAtATime:
    """A retriever that several threads may use: it may open a new version of the corpus, which one must do alone."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self._lock = threading.Lock()

    def retrieve(self, task: ReplayTask) -> Bundle:
        """Return the bundle of a task."""
        with self._lock:
            return self._retriever.retrieve(task)


def _answers(questions: Sequence[Question], engine: Engine, in_flight: int) -> Iterator[tuple[Question, ReplayRun]]:
    """Ask all, some at a time, and yield the answers as they come.

    The threads are daemons: after Ctrl-C nobody waits for answers that nobody will look at.
    """
    engine = replace(engine, retriever=_OneAtATime(engine.retriever))
    waiting: queue.SimpleQueue[Question] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[Question, ReplayRun | BaseException]] = queue.SimpleQueue()
    for question in questions:
        waiting.put(question)
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            try:
                question = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                ended.put((question, pipeline.audit_local(question.task, engine).run))
            except BaseException as error:  # noqa: BLE001  raised again by the thread that waits for it
                ended.put((question, error))

    for _ in range(min(in_flight, len(questions))):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in questions:
            question, run = ended.get()
            if isinstance(run, BaseException):
                raise run
            yield question, run
    finally:
        over.set()
