"""Environments of someone who has just begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.corpus import snapshot
from replay.settings import Settings
from tests.command_line import NOWHERE
from tests.factories import make_bundle
from tests.processes import environment


@pytest.fixture
def bare(data_dir: Path) -> dict[str, str]:
    """The environment of someone who has nothing yet: no broker, no model, no corpus."""
    return environment(data_dir, base_url=NOWHERE, local_model="scripted", escalation_model="scripted")


@pytest.fixture
def furnished(bare: dict[str, str], data_dir: Path) -> dict[str, str]:
    """The same with a corpus."""
    snapshot.write([hit.record for hit in make_bundle().passages], Settings(data_dir=data_dir).corpus_dir)
    return bare
