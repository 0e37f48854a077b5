"""One arm of `replay study loop`: its own corpus, its own evidence, and its rounds, each of which goes on where it was.

The probe's evidence lies in a log of its own, so admission cannot even see it; that it is barred besides is for work
that would say the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cli.corpus.admission import admit_evidence
from cli.corpus.bar import CorpusBar
from evidence.export import Chosen
from evidence.log import EvidenceLog
from evidence.reader import EvidenceReader
from evidence.row import RUN_SCHEMA
from replay.contracts import Record, ReplayRun, ReplayTask, State, Tier
from replay.corpus import snapshot
from replay.corpus.admission.candidates import ORIGIN
from replay.corpus.admission.guard import Barred
from replay.corpus.admission.policy import Policy
from replay.corpus.retrieval import CurrentRetriever
from replay.errors import ModelUnavailable
from replay.pipeline import Engine
from replay.settings import Settings
from replay.study.loop import placebo, tasks
from replay.study.loop.arms import LoopArm, Phase
from replay.study.loop.measuring import probe, work
from replay.study.loop.report import ArmRounds
from replay.study.loop.tasks import StudyTask
from replay.study.loop.turns import Large, Turn, through, turn

_GIVE_UP = 4


@dataclass(frozen=True)
class Plan:
    """What all arms have in common.

    Attributes:
        study: Names what is asked; another model, corpus or file of tasks is another study.
        engine: Local generator, prompt and gate; each arm has a retriever of its own.
        large: Who is asked about one task; None: nobody.
        barred: The probe.
        placebo: Records of which the placebo arm gets as many as the live one.
    """

    study: str
    work: tuple[StudyTask, ...]
    probe: tuple[StudyTask, ...]
    rounds: int
    engine: Engine
    large: Callable[[StudyTask], Large] | None
    stand_in: bool
    barred: Barred
    policy: Policy
    placebo: tuple[Record, ...]


class _LargeModel(Chosen):
    """Only runs that the large model ended."""

    def takes(self, record: dict[str, Any]) -> bool:
        """Is this one of them?"""
        return record.get("tier") == Tier.ESCALATION.value


class ArmHouse:
    """Where one arm lives.

    Args:
        arm: Which.
        plan: What all have in common.
        settings: Of the stack; only where its corpus lies is taken from it, and how it retrieves.
        folder: The study's folder.
    """

    def __init__(self, arm: LoopArm, plan: Plan, settings: Settings, folder: Path) -> None:
        self.arm = arm
        self._plan = plan
        self._base = settings.corpus_dir
        self._settings = {
            Phase.WORK: settings.model_copy(update={"data_dir": folder / arm.value}),
            Phase.PROBE: settings.model_copy(update={"data_dir": folder / arm.value / "probe"}),
        }
        self._readers = {phase: EvidenceReader(one.evidence_log) for phase, one in self._settings.items()}

    @property
    def corpus_dir(self) -> Path:
        """The arm's own corpus."""
        return self._settings[Phase.WORK].corpus_dir

    def run(self, live: ArmHouse | None) -> None:
        """Go through all rounds; what the evidence has already is not asked again.

        Args:
            live: The live arm, which has ended; the placebo arm grows as it did.

        Raises:
            ModelUnavailable: The first few tasks of a round all got no answer.
        """
        self._copy()
        retriever = CurrentRetriever(self.corpus_dir, self._settings[Phase.WORK])
        engine = replace(self._plan.engine, retriever=retriever)
        self._ask(Phase.PROBE, 0, engine)
        for number in range(1, self._plan.rounds + 1 if self.arm.works else 1):
            self._ask(Phase.WORK, number, engine)
            if not self._any(Phase.PROBE, number):
                self._grow(number, live)
            self._ask(Phase.PROBE, number, engine)

    def rounds(self) -> ArmRounds:
        """What the evidence says of every round that is whole."""
        worked, probed = [], []
        last = self._plan.rounds if self.arm.works else 0
        for number in range(last + 1):
            if number and (found := self._turns(Phase.WORK, number)) is not None:
                before = found[1]
                after = self._version(Phase.PROBE, number)
                counted = work(
                    number,
                    before,
                    found[0],
                    large=self._plan.large is not None,
                    stand_in=self._plan.stand_in,
                    changed=self._changed(before, after),
                )
                worked.append((counted, found[0]))
            if (found := self._turns(Phase.PROBE, number)) is not None:
                probed.append((probe(found[0]), found[0]))
        return ArmRounds(self.arm, tuple(worked), tuple(probed))

    def produced(self, number: int) -> int:
        """How many records of evidence the corpus had after a round."""
        version = self._version(Phase.PROBE, number)
        held = snapshot.load(self.corpus_dir, version or None)
        return sum(record.origin == ORIGIN for record in held.playbook)

    def _copy(self) -> None:
        """The base corpus, whole or not at all."""
        if self.corpus_dir.exists():
            return
        partly = self.corpus_dir.with_name("corpus.part")
        shutil.rmtree(partly, ignore_errors=True)
        shutil.copytree(self._base, partly, ignore=shutil.ignore_patterns("*.lock"))
        partly.rename(self.corpus_dir)

    def _ask(self, phase: Phase, number: int, engine: Engine) -> None:
        """Ask what has no end yet, and keep the evidence of each task before the next.

        Runs without an answer are kept only when a later one has got one: of a dead endpoint nothing is kept, so that
        the same command asks again.
        """
        asked = self._tasks(phase, number)
        ended = self._readers[phase].terminal_ids(asked[0].batch_id) if asked else set()
        waiting = [(task, of) for task, of in zip(asked, self._of(phase), strict=True) if task.run_id not in ended]
        if not waiting:
            return
        failed: list[list[ReplayRun]] = []
        with CorpusBar() as bar, EvidenceLog.of(self._settings[phase]) as log:
            for task, of in bar.count(waiting, f"{self.arm.label}, {phase} {number}", len(waiting)):
                large = self._plan.large(of) if self._plan.large is not None else None
                runs = through(task, engine, large)
                failed.append(runs)
                if runs[-1].state is State.FAILED and len(failed) < _GIVE_UP:
                    continue
                if runs[-1].state is State.FAILED:
                    raise ModelUnavailable(
                        runs[-1].reason or "no answer", hint="`replay doctor` says whether the models answer."
                    )
                for one in failed:
                    log.append([run.wire() for run in one])
                failed.clear()
            for one in failed:
                log.append([run.wire() for run in one])

    def _grow(self, number: int, live: ArmHouse | None) -> None:
        settings = self._settings[Phase.WORK]
        if self.arm.admits:
            chosen = _LargeModel() if self.arm is LoopArm.LARGE_ONLY else Chosen()
            admit_evidence(settings, self._readers[Phase.WORK], self._plan.policy, self._plan.barred, chosen)
        elif self.arm is LoopArm.PLACEBO and live is not None:
            wanted = self._plan.placebo[: live.produced(number)]
            there = {one.record_id for one in snapshot.load(self.corpus_dir).playbook if one.origin == placebo.ORIGIN}
            new = [one for one in wanted if one.record_id not in there]
            gone = there - {one.record_id for one in wanted}
            if new or gone:
                snapshot.revise(new, self.corpus_dir, drop=gone, reason="placebo")

    def _tasks(self, phase: Phase, number: int) -> list[ReplayTask]:
        escalates = self._plan.large is not None
        return tasks.asked(self._of(phase), self._plan.study, self.arm, phase, number, escalates=escalates)

    def _of(self, phase: Phase) -> Sequence[StudyTask]:
        return self._plan.work if phase is Phase.WORK else self._plan.probe

    def _any(self, phase: Phase, number: int) -> bool:
        asked = self._tasks(phase, number)
        return bool(asked) and bool(self._readers[phase].terminal_ids(asked[0].batch_id))

    def _turns(self, phase: Phase, number: int) -> tuple[tuple[Turn, ...], str] | None:
        """Each task's turn and the version that was retrieved from; None where the round is not whole."""
        turns, version = [], ""
        for runs, of in zip(self._runs(phase, number), self._of(phase), strict=True):
            if not runs or runs[-1].state is State.ESCALATED:
                return None
            turns.append(turn(runs, of.gold, self._plan.engine.gate))
            version = runs[0].corpus_version or version
        return tuple(turns), version

    def _version(self, phase: Phase, number: int) -> str:
        """The version that a round retrieved from; empty where it is not begun or retrieves nothing."""
        for run_id in (task.run_id for task in self._tasks(phase, number)):
            for entry in self._readers[phase].run(run_id):
                if version := entry.record.get("corpus_version"):
                    return str(version)
        return ""

    def _runs(self, phase: Phase, number: int) -> Iterator[list[ReplayRun]]:
        ids = [task.run_id for task in self._tasks(phase, number)]
        for _, entries in self._readers[phase].runs(ids):
            yield [ReplayRun.model_validate(one.record) for one in entries if one.record["schema"] == RUN_SCHEMA]

    def _changed(self, before: str, after: str) -> tuple[int, int]:
        """Records of the playbook that came and went from one version to another."""
        if not before or not after or before == after:
            return 0, 0
        first, second = (
            {record.record_id for record in snapshot.load(self.corpus_dir, version).playbook}
            for version in (before, after)
        )
        return len(second - first), len(first - second)
