"""What the API knows of files and batches: one small database beside the files.

It holds what happened, with times: uploaded, accepted, cancelled, written. How far a batch is does not stand here; that
is asked of the evidence. Every change is on the disk when its call returns.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from evidence import durable
from producer.api.rows import BatchRow, FileRow
from replay.errors import AppendFailed, EvidenceDamaged

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL, expires_at INTEGER,
  filename TEXT NOT NULL, purpose TEXT NOT NULL, bytes INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS batches (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL, input_file_id TEXT NOT NULL, metadata TEXT, output_expires_s INTEGER,
  total INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0, submitting_at INTEGER, replay_batch TEXT,
  in_progress_at INTEGER, cancelling_at INTEGER, finalizing_at INTEGER, ending TEXT, ended_at INTEGER,
  errors TEXT, output_file_id TEXT, error_file_id TEXT, completed INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0, usage TEXT
);
CREATE INDEX IF NOT EXISTS open_batches ON batches (seq) WHERE ended_at IS NULL;
"""

_FILE = ", ".join(field.name for field in fields(FileRow))
_BATCH = ", ".join(field.name for field in fields(BatchRow))


class Store:
    """The database, for every thread of one server.

    Args:
        path: The file; it is made where it is missing.
        clock: Unix time.

    Raises:
        EvidenceDamaged: The file is no database of ours.
        AppendFailed: It cannot be written.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        durable.make_folders(path.parent)
        self._path = path
        self._clock = clock
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            raise self._unwritable(error) from error
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise EvidenceDamaged(
                f"{path} cannot be read: {error}",
                hint="Move it and `files` beside it away: batches go on, and `replay results` has their answers.",
            ) from error
        durable.sync_folder(path.parent)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def now(self) -> int:
        """Unix time in whole seconds."""
        return int(self._clock())

    def add_file(self, row: FileRow) -> None:
        """Tell of a file; the same file again is told once."""
        with self._writing() as db:
            db.execute(
                f"INSERT INTO files ({_FILE}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",  # noqa: S608
                (row.id, row.created_at, row.expires_at, row.filename, row.purpose, row.bytes),
            )

    def file(self, file_id: str) -> FileRow | None:
        """A file, unless it is gone or its time is over."""
        rows = self._ask(
            f"SELECT {_FILE} FROM files WHERE id = ? AND (expires_at IS NULL OR expires_at > ?)",  # noqa: S608
            file_id,
            self.now(),
        )
        return FileRow(*rows[0]) if rows else None

    def files(
        self, *, after: str | None, limit: int, purpose: str | None = None, oldest_first: bool = False
    ) -> list[FileRow] | None:
        """A page of files behind `after`; None where there is no such file."""
        found = self._page("files", _FILE, after=after, limit=limit, oldest_first=oldest_first, purpose=purpose)
        return None if found is None else [FileRow(*row) for row in found]

    def file_ids(self) -> set[str]:
        """The names of all files."""
        return {name for (name,) in self._ask("SELECT id FROM files")}

    def expired_files(self) -> list[str]:
        """Files whose time is over and which no open batch reads."""
        rows = self._ask(
            "SELECT id FROM files WHERE expires_at <= ?"
            " AND id NOT IN (SELECT input_file_id FROM batches WHERE ended_at IS NULL)",
            self.now(),
        )
        return [name for (name,) in rows]

    def forget_file(self, file_id: str) -> bool:
        """Take a file out, unless an open batch reads it; False where one does."""
        with self._writing() as db:
            gone = db.execute(
                "DELETE FROM files WHERE id = ?"
                " AND id NOT IN (SELECT input_file_id FROM batches WHERE ended_at IS NULL)",
                (file_id,),
            )
            return gone.rowcount == 1

    def add_batch(self, row: BatchRow) -> bool:
        """Accept a batch; False where its file is gone."""
        with self._writing() as db:
            added = db.execute(
                "INSERT INTO batches (id, created_at, expires_at, input_file_id, metadata, output_expires_s)"
                " SELECT ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM files WHERE id = ?)",
                (row.id, row.created_at, row.expires_at, row.input_file_id, row.metadata, row.output_expires_s,
                 row.input_file_id),
            )  # fmt: skip
            return added.rowcount == 1

    def batch(self, batch_id: str) -> BatchRow | None:
        """A batch."""
        rows = self._ask(f"SELECT {_BATCH} FROM batches WHERE id = ?", batch_id)  # noqa: S608  names of this file
        return BatchRow(*rows[0]) if rows else None

    def batches(self, *, after: str | None, limit: int) -> list[BatchRow] | None:
        """A page of batches behind `after`, the newest first; None where there is no such batch."""
        found = self._page("batches", _BATCH, after=after, limit=limit, oldest_first=False)
        return None if found is None else [BatchRow(*row) for row in found]

    def open_batches(self) -> list[BatchRow]:
        """Batches that have not ended, the oldest first."""
        rows = self._ask(f"SELECT {_BATCH} FROM batches WHERE ended_at IS NULL ORDER BY seq")  # noqa: S608
        return [BatchRow(*row) for row in rows]

    def note(self, batch_id: str, *, unless: str = "", **what: Any) -> bool:
        """Note what happened to a batch that has not ended.

        Args:
            batch_id: Which one.
            unless: A field; where it is set already, nothing is noted.
            what: Fields and their values.

        Returns:
            Was it noted?
        """
        columns = {field.name for field in fields(BatchRow)}
        assert what.keys() | ({unless} if unless else set()) <= columns  # noqa: S101  names become SQL
        sets = ", ".join(f"{name} = ?" for name in what)
        condition = f" AND {unless} IS NULL" if unless else ""
        with self._writing() as db:
            noted = db.execute(
                f"UPDATE batches SET {sets} WHERE id = ? AND ended_at IS NULL{condition}",  # noqa: S608
                (*what.values(), batch_id),
            )
            return noted.rowcount == 1

    def end(self, batch_id: str, written: list[FileRow], **what: Any) -> None:
        """Note the end of a batch and tell of the files that it wrote, both or neither."""
        with self._lock, self._writing():
            for row in written:
                self.add_file(row)
            self.note(batch_id, ended_at=self.now(), **what)

    def _page(
        self, table: str, names: str, *, after: str | None, limit: int, oldest_first: bool, **equal: str | None
    ) -> list[tuple[Any, ...]] | None:
        conditions, values = ["1"], list[Any]()
        if after is not None:
            place = self._ask(f"SELECT seq FROM {table} WHERE id = ?", after)  # noqa: S608  names of this file
            if not place:
                return None
            conditions.append(f"seq {'>' if oldest_first else '<'} ?")
            values.append(place[0][0])
        for name, value in equal.items():
            if value is not None:
                conditions.append(f"{name} = ?")
                values.append(value)
        if table == "files":
            conditions.append("(expires_at IS NULL OR expires_at > ?)")
            values.append(self.now())
        where, order = " AND ".join(conditions), "ASC" if oldest_first else "DESC"
        sql = f"SELECT {names} FROM {table} WHERE {where} ORDER BY seq {order} LIMIT ?"  # noqa: S608  names of this file
        return self._ask(sql, *values, limit)

    def _ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; inside another one, part of that."""
        with self._lock:
            if self._db.in_transaction:
                yield self._db
                return
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.OperationalError as error:
                self._roll_back()
                raise self._unwritable(error) from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _unwritable(self, error: sqlite3.OperationalError) -> AppendFailed:
        return AppendFailed(
            f"{self._path} cannot be written: {error}", hint="Make room, or give this user the right to write there."
        )
