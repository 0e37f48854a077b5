"""Entries as files: one durable JSON file each, and below `tasks/` the copies of their tasks, named by their hashes.

A file is replaced as a whole, under one lock for all of them, so that a person who pauses an entry and a scheduler that
notes its run do not undo each other. A file that cannot be read is named, and the others go on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock
from pydantic import ValidationError

from evidence import durable
from producer.schedules.entry import Entry, check_name
from replay.errors import AppendFailed, ConfigurationError, InputError, ReplayError, UnavailableError

PATIENCE_S = 30.0


class Schedules:
    """The entries in a folder.

    Args:
        folder: Where; it is made with the first entry.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tasks_folder = folder / "tasks"

    def names(self) -> list[str]:
        """All of them, in order, whatever their files hold."""
        return sorted(path.name.removesuffix(".json") for path in self.folder.glob("*.json"))

    def each(self) -> Iterator[tuple[str, Entry | ReplayError]]:
        """All entries; in the place of one that cannot be read, why."""
        for name in self.names():
            try:
                yield name, self._read(name)
            except FileNotFoundError:
                continue  # removed a moment ago
            except ReplayError as error:
                yield name, error

    def get(self, name: str) -> Entry:
        """One entry.

        Raises:
            InputError: There is none of this name.
            ConfigurationError: Its file cannot be read.
        """
        try:
            return self._read(check_name(name))
        except FileNotFoundError:
            raise self._missing(name) from None

    # rename(copy, tasks) -> fsync(folder), then as `durable.keep`
    def put(self, entry: Entry, copy: Path) -> None:
        """Make a new entry durable, its tasks first.

        Args:
            entry: Of a name that no other one has.
            copy: Its tasks, on the disk in the folder of tasks; the file gets its name.

        Raises:
            InputError: There is one of this name.
            UnavailableError: Another process holds the schedules, and does not end.
            AppendFailed: The disk said no; there is no new entry.
        """
        with self._held():
            if self._path(entry.name).exists():
                raise InputError(
                    f"There is a schedule {entry.name} already.",
                    hint=f"Choose another name, or `replay schedule remove {entry.name}` first.",
                )
            durable.rename(copy, self.tasks(entry.tasks_sha256))
            # Dies here: a copy stays that nobody needs; the next removal takes it.
            self._write(entry)

    def change(self, name: str, change: Callable[[Entry], Entry]) -> Entry:
        """Put another state of an entry in its place.

        Raises:
            InputError: There is none of this name.
            ConfigurationError: Its file cannot be read.
            UnavailableError: Another process holds the schedules, and does not end.
            AppendFailed: The disk said no; it is as it was.
        """
        with self._held():
            before = self.get(name)
            after = change(before)
            if after != before:
                self._write(after)
            return after

    def remove(self, name: str) -> None:
        """Take an entry away, also one that cannot be read, and its tasks where no other has the same.

        Raises:
            InputError: There is none of this name.
            AppendFailed: The disk said no.
        """
        path = self._path(check_name(name))
        with self._held():
            try:
                path.unlink()
            except FileNotFoundError:
                raise self._missing(name) from None
            except OSError as error:
                raise durable.append_failed("unlink", path, error) from error
            durable.sync_folder(path.parent)
            # Dies here: a copy stays that nobody needs; the next removal takes it.
            self._tidy()

    def tasks(self, sha256: str) -> Path:
        """Where the tasks of this hash lie."""
        return self.tasks_folder / f"{sha256}.jsonl"

    def proved_tasks(self, entry: Entry) -> Path:
        """The same of an entry, once it is certain that they are what was added.

        Raises:
            ConfigurationError: They are not.
        """
        path = self.tasks(entry.tasks_sha256)
        hint = f"`replay schedule remove {entry.name}`, then add it again with its file."
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ConfigurationError(
                f"The tasks of schedule {entry.name} cannot be read from {path}: {error.strerror}.", hint=hint
            ) from error
        if found != entry.tasks_sha256:
            raise ConfigurationError(
                f"The tasks of schedule {entry.name} in {path} are not those that were added.", hint=hint
            )
        return path

    @contextmanager
    def _held(self) -> Iterator[None]:
        try:
            durable.make_folders(self.folder)
            lock = filelock.FileLock(self.folder / "lock", timeout=PATIENCE_S)
            lock.acquire()
        except filelock.Timeout as taken:
            raise UnavailableError(
                "The schedules are being changed by another process.", hint="Wait for it, then try again."
            ) from taken
        except (AppendFailed, OSError) as error:
            raise ConfigurationError(
                f"Schedules cannot be kept in {self.folder.absolute()}: {error}.",
                hint="Set REPLAY_DATA_DIR to a folder that this user can write.",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _missing(self, name: str) -> InputError:
        known = ", ".join(self.names()[:10])
        hint = f"There are: {known}." if known else "There is none yet; `replay schedule add` makes one."
        return InputError(f"There is no schedule {name} in {self.folder.absolute()}.", hint=hint)

    def _read(self, name: str) -> Entry:
        path = self._path(name)
        hint = f"Mend it, or `replay schedule remove {name}` and add it again."
        try:
            entry = Entry.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}.", hint=hint) from error
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, fault["loc"]))
            where = f" field {field}:" if field else ""
            raise ConfigurationError(f"{path} is no schedule:{where} {fault['msg']}.", hint=hint) from error
        except InputError as error:
            raise ConfigurationError(f"{path} is no schedule: {error.message}", hint=hint) from error
        if entry.name != name:
            raise ConfigurationError(f"{path} holds the schedule {entry.name}, and not {name}.", hint=hint)
        return entry

    def _write(self, entry: Entry) -> None:
        text = json.dumps(entry.wire(), ensure_ascii=False, indent=2) + "\n"
        durable.keep(self._path(entry.name), text.encode("utf-8", "backslashreplace"))

    def _tidy(self) -> None:
        kept = set()
        for _, found in self.each():
            if not isinstance(found, Entry):
                return  # it may need any of them
            kept.add(self.tasks(found.tasks_sha256))
        for path in self.tasks_folder.glob("*.jsonl"):
            if path not in kept:
                with suppress(OSError):
                    path.unlink()
