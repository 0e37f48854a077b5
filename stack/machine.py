"""Checks of this machine and installation: nothing is asked over a network."""

from __future__ import annotations

import difflib
import importlib.util
import json
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psutil

from broker import embedded
from broker.signing import Keyring
from evidence import segments
from evidence.lock import lock_path
from evidence.scan import end_of
from replay.contracts import Tier
from replay.corpus import snapshot
from replay.models import catalogue, files, routing
from replay.settings import Settings
from stack import ports
from stack.finding import Finding, fail, ok, warn
from stack.ownership import Ownership
from stack.paths import OWNER_VARIABLE, StackPaths
from stack.programs import local_stack

_OLDEST_PYTHON = (3, 11)
_DISTRIBUTION = "replay-audit"
_ROOM_FOR_DATA = 1 << 30
_LEAST_ROOM = 200 << 20


def python(settings: Settings) -> Iterator[Finding]:
    """The interpreter and the installed package."""
    del settings
    here = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info >= _OLDEST_PYTHON:
        yield ok("python", here)
    else:
        yield fail("python", here, "Replay needs Python 3.11 or later; run `make setup` with one.")
    try:
        yield ok("package", f"{_DISTRIBUTION} {metadata.version(_DISTRIBUTION)}")
    except metadata.PackageNotFoundError:
        yield warn("package", f"{_DISTRIBUTION} is not installed here", "Run `make setup` in the checkout.")


def embedded_parts(settings: Settings) -> Iterator[Finding]:
    """The embedded broker and model server, where the settings need them, and the model files."""
    if settings.broker_url is None:
        # Raises, with what to install.
        yield ok("embedded broker", embedded.command(settings)[0])
    needed = [name for tier in Tier if (name := routing.embedded_model(tier, settings)) is not None]
    if not needed:
        return
    if importlib.util.find_spec("xllamacpp") is None:
        mend = "pip install 'replay-audit[embedded]', or set REPLAY_BASE_URL to an endpoint of your own."
        yield fail("embedded model server", "xllamacpp is not installed", mend)
    else:
        yield ok("embedded model server", f"xllamacpp {metadata.version('xllamacpp')}")
    for name in needed:
        model = catalogue.find(name)
        path = files.path_of(model, settings.cache_dir)
        if files.is_ready(model, settings.cache_dir):
            yield ok(f"model file, {model.tier}", f"{path}, verified")
        else:
            state = "there, but not verified" if path.is_file() else "missing"
            yield fail(f"model file, {model.tier}", f"{path} is {state}", "Fetch and verify it: `replay models pull`.")


def disk(settings: Settings) -> Iterator[Finding]:
    """Room for the data, and for model files that are still to be fetched."""
    missing = sum(
        model.bytes
        for tier in Tier
        if (name := routing.embedded_model(tier, settings)) is not None
        and not files.is_ready(model := catalogue.find(name), settings.cache_dir)
    )
    yield _room("disk for data", settings.data_dir, _ROOM_FOR_DATA)
    if missing:
        # Fetched in parts, a model lies there twice for a while.
        yield _room("disk for models", settings.cache_dir, 2 * missing)


def corpus(settings: Settings) -> Iterator[Finding]:
    """Is there a corpus to retrieve from?"""
    version = snapshot.current_version(settings.corpus_dir)
    if version is None:
        snapshot.load(settings.corpus_dir)  # raises, and says how to build one
    yield ok("corpus", f"{version} in {settings.corpus_dir}")


def evidence(settings: Settings) -> Iterator[Finding]:
    """Can the log be written, and who writes it?"""
    log = settings.evidence_log
    place = _nearest(log)
    if not os.access(place, os.W_OK):
        yield fail("evidence", f"{place} cannot be written by this user", "Change its rights, or set REPLAY_DATA_DIR.")
        return
    closed, whole = len(segments.load(log).segments), end_of(log)
    size = f"{whole:,} bytes" if whole or log.is_file() else "not begun"
    size += f" in {closed + 1} segments" if closed else ""
    yield ok("evidence", f"{log}, {size}, {_writer(log)}")


def own_ports(settings: Settings) -> Iterator[Finding]:
    """Are the ports of the local stack free, or held by the stack itself?"""
    ownership = Ownership(StackPaths.of(settings))
    for program in local_stack(settings):
        if program.port is None:
            continue
        name = f"port {program.port}"
        if ports.is_free(program.port):
            yield ok(name, f"free for {program.name}")
            continue
        pid = ports.holder_pid(program.port)
        if pid is not None and psutil.pid_exists(pid) and ownership.proves(psutil.Process(pid)):
            yield ok(name, f"{program.name} of this stack (pid {pid})")
        else:
            other = f", or set {program.port_variable}" if program.port_variable else ""
            mend = f"End that process before `replay up`{other}."
            yield fail(name, f"{program.name} wants it, {ports.holder(program.port)} has it", mend)


def variables(settings: Settings) -> Iterator[Finding]:
    """Is there a `REPLAY_*` variable that is no setting? Names only, never what they hold."""
    known = {f"REPLAY_{field.upper()}" for field in type(settings).model_fields}
    # Small letters are taken too.
    set_here = {name for name in os.environ if name.upper().startswith("REPLAY_")}
    unknown = sorted(name for name in set_here if name.upper() not in known | {OWNER_VARIABLE})
    for name in unknown:
        near = difflib.get_close_matches(name.upper(), known, n=1)
        mend = f"Is it {near[0]}? " if near else ""
        yield warn(name, "no setting is called so: it is ignored", f"{mend}All are in docs/configuration.md.")
    if not unknown:
        yield ok("settings", f"every REPLAY_* variable is one ({len(set_here)} set)")


def keys(settings: Settings) -> Iterator[Finding]:
    """Which keys are set; never what they are."""
    for field in type(settings).model_fields:
        if field.endswith("api_key") or field == "message_key":
            key = getattr(settings, field)
            is_set = key is not None and bool(key.get_secret_value().strip())
            yield ok(f"REPLAY_{field.upper()}", "set" if is_set else "not set")
    Keyring.of(settings)  # raises where it is set and is none


def _room(name: str, folder: Path, wanted: int) -> Finding:
    place = _nearest(folder)
    free = shutil.disk_usage(place).free
    detail = f"{free / 2**30:.1f} GiB free at {place}"
    if free < min(wanted, _LEAST_ROOM) or (name == "disk for models" and free < wanted):
        return fail(name, f"{detail}, {wanted / 2**30:.1f} GiB wanted", "Make room, or choose another folder.")
    if free < wanted:
        return warn(name, detail, "Make room: the evidence log only grows.")
    return ok(name, detail)


def _nearest(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def _writer(log: Path) -> str:
    try:
        holder = json.loads(lock_path(log).read_text(encoding="utf-8"))
        pid, host = int(holder["pid"]), str(holder["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return "no writer yet"
    if host != socket.gethostname():
        return f"last writer: process {pid} on {host}"
    # The file outlives its writer; only a living process with that number holds the lock.
    return f"being written by process {pid}" if psutil.pid_exists(pid) else "no writer at this moment"
