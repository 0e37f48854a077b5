"""The generator of the retrieval queries, run as a process of its own."""

import os
import subprocess
import sys

import pytest

from tests.processes import ROOT


@pytest.mark.acceptance
def test_the_generator_makes_what_is_committed() -> None:
    """Made anew from the installed packages, under another hash seed, no file of data/retrieval changes by a byte."""
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.retrieval_claims", "--check"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "271828"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (ran.returncode, "changed" in ran.stdout) == (0, False), ran.stdout + ran.stderr
