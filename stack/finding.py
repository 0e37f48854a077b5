"""What a check of `replay doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """`warn`: works, or is only not started; `fail`: something will not work until it is mended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One finding: what was looked at, how it stands, the particulars, and how to mend it where it is not `ok`."""

    name: str
    health: Health
    detail: str
    mend: str = ""


def ok(name: str, detail: str) -> Finding:
    """All is well."""
    return Finding(name, Health.OK, detail)


def warn(name: str, detail: str, mend: str) -> Finding:
    """Not as it should be, or just not started."""
    return Finding(name, Health.WARN, detail, mend)


def fail(name: str, detail: str, mend: str) -> Finding:
    """Does not work."""
    return Finding(name, Health.FAIL, detail, mend)
