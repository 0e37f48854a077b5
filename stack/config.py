"""supervisord's configuration for a stack, as text. Nothing secret is in it: keys travel in the environment only."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from replay.errors import ConfigurationError
from replay.settings import Settings
from stack.paths import OWNER_VARIABLE, StackPaths
from stack.programs import Program

_LOG_BYTES = "10MB"
_LOG_BACKUPS = 3


def render(programs: Sequence[Program], paths: StackPaths) -> str:
    """Write the configuration file of a stack.

    Nothing starts by itself (`autostart=false`): the order in which programs become ready is `stack.supervise`'s work.
    `priority` is what supervisord goes by when it is told to end by a signal: the highest stops first.

    Raises:
        ConfigurationError: A path or an argument holds what this file format cannot express.
    """
    sections = [
        _section(
            "supervisord",
            pidfile=paths.pidfile,
            logfile=paths.log,
            logfile_maxbytes=_LOG_BYTES,
            logfile_backups=_LOG_BACKUPS,
            loglevel="info",
            nocleanup="true",
            # Its default of 1024 is above some hard limits, and then it refuses to start.
            minfds=256,
            minprocs=1,
        ),
        _section("unix_http_server", file=paths.socket, chmod="0700"),
        _section(
            "rpcinterface:supervisor",
            **{"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
        *(_program_section(program) for program in programs),
    ]
    return "\n".join(sections)


def _program_section(program: Program) -> str:
    return _section(
        f"program:{program.name}",
        command=shlex.join(program.argv),
        priority=program.order,
        autostart="false",
        autorestart="true",
        startsecs=program.settle_s,
        startretries=program.start_retries,
        stopsignal="TERM",
        stopwaitsecs=program.stop_wait_s,
        stopasgroup=str(program.stop_as_group).lower(),
        killasgroup="true",
        redirect_stderr="true",
        stdout_logfile=program.log,
        stdout_logfile_maxbytes=_LOG_BYTES,
        stdout_logfile_backups=_LOG_BACKUPS,
    )


def _section(section: str, **values: object) -> str:
    lines = [f"[{section}]"]
    lines += [f"{key}={_value(key, str(value))}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _value(key: str, value: str) -> str:
    # supervisord reads a blank and `;` or `#` as the start of a comment, even inside quotes, and has no escape for it.
    if re.search(r"[\r\n]|(^|\s)[;#]", value):
        raise ConfigurationError(
            f"The supervisor cannot take this {key}: {value!r} has a line break, or a blank before ';' or '#'.",
            hint="Set REPLAY_DATA_DIR to a path without these characters.",
        )
    return value.replace("%", "%%")


def environment(settings: Settings, paths: StackPaths, base: dict[str, str]) -> dict[str, str]:
    """The environment of the stack: the caller's, and these settings whatever their source was.

    Paths become absolute, because the programs outlive the caller's working directory.

    Args:
        settings: What the programs shall see.
        paths: The stack; its run directory marks every process as ours.
        base: The caller's environment.
    """
    inherited = {name: value for name, value in base.items() if not name.startswith(("REPLAY_", "SUPERVISOR_"))}
    unknown = {name: value for name, value in base.items() if name.startswith("REPLAY_") and not _is_setting(name)}
    return inherited | unknown | exported(settings, secrets=True) | {OWNER_VARIABLE: str(paths.run_dir)}


def exported(settings: Settings, *, secrets: bool) -> dict[str, str]:
    """Settings as the `REPLAY_*` variables that give the same settings again; without the secret ones if so asked."""
    variables = {}
    for field in type(settings).model_fields:
        value = getattr(settings, field)
        if value is None or (isinstance(value, SecretStr) and not secrets):
            continue
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        elif isinstance(value, Path):
            value = value.absolute()
        variables[f"REPLAY_{field.upper()}"] = str(value)
    return variables


def _is_setting(variable: str) -> bool:
    return variable.removeprefix("REPLAY_").lower() in Settings.model_fields
