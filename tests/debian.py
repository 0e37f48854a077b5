"""Programs of Debian packages that tests run against: in CI they must be there, elsewhere a test says what it needs."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str, package: str) -> str:
    """The path of a program; without it the test fails in CI and is skipped elsewhere, with what to install."""
    # A user's path often leaves out where Debian keeps what administrators run.
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is not None:
        return found
    missing = f"{name} is not installed: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
