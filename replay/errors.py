"""Every error that Replay raises on purpose.

The tree::

    ReplayError                     exit 1
    ├── InputError                  exit 2   what the user gave is wrong: a file, a line, a field, an option
    ├── ConfigurationError          exit 2   a setting or a missing part of the installation
    ├── CorpusError                 exit 2   no corpus, an empty one, or a damaged snapshot
    ├── UnavailableError            exit 3   something that should answer does not
    │   ├── BrokerUnavailable
    │   └── ModelUnavailable        transport fault: may be retried, within bounds; never a verdict on the task
    ├── ModelRefused                exit 3   the endpoint answered and said no (4xx): retrying cannot help
    ├── ModelFileError              exit 3   a model file cannot be fetched, stored or verified
    └── EvidenceError               exit 4
        ├── EvidenceLocked          another writer holds the log
        ├── EvidenceDamaged         the log is not what was written: refused, never repaired silently
        └── AppendFailed            a write or fsync failed: the process must stop

Each class says in its docstring what happened; each raise site adds the particulars; `hint` says what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class ReplayError(Exception):
    """Something went wrong in a way that Replay foresaw.

    Args:
        message: What happened, with the names and numbers of this case.
        hint: What the person reading it should do next.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(ReplayError):
    """What the user gave cannot be used: a file, a line, a field or an option."""

    exit_code = 2


class ConfigurationError(ReplayError):
    """A setting is wrong, or a part of the installation is missing."""

    exit_code = 2


class CorpusError(ReplayError):
    """There is no corpus, or it is empty or damaged."""

    exit_code = 2


class UnavailableError(ReplayError):
    """Something that should answer does not."""

    exit_code = 3


class BrokerUnavailable(UnavailableError):
    """The broker does not answer."""


class ModelUnavailable(UnavailableError):
    """A model endpoint did not give an answer: connection, timeout, 408, 409, 429 or 5xx.

    Args:
        message: What happened.
        hint: What to do next.
        retry_after_s: Seconds that the endpoint asked to wait, if it did.
    """

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class ModelRefused(ReplayError):
    """A model endpoint answered and said no: a 4xx that a retry cannot change."""

    exit_code = 3


class ModelFileError(ReplayError):
    """A model file cannot be fetched, stored or verified."""

    exit_code = 3


class EvidenceError(ReplayError):
    """The evidence log cannot be read or written."""

    exit_code = 4


class EvidenceLocked(EvidenceError):
    """Another writer holds the evidence log."""


class EvidenceDamaged(EvidenceError):
    """The evidence log is not what was written; it is refused, never repaired silently."""


class AppendFailed(EvidenceError):
    """A write or fsync of the evidence log failed; nothing is known about the disk, so the process must stop."""
