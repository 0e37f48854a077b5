"""Under what conditions a comparison was made: without these its numbers mean nothing."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Conditions:
    """What every arm had in common.

    Attributes:
        tasks: Name of the tasks file.
        model: The local model.
        corpus_version: What was retrieved from.
        gate_version: What judged.
        machine: In words.
    """

    tasks: str
    model: str
    corpus_version: str
    gate_version: str
    machine: str

    def sentence(self) -> str:
        """In one line."""
        return (
            f"{self.tasks} · model {self.model} · corpus {self.corpus_version} · gate {self.gate_version} · "
            f"{self.machine}"
        )


def machine() -> str:
    """This machine in words: cores, processor, system. It has no name."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores {name}, {platform.system()}"
