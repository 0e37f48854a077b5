"""What every endpoint works with, put together once for an application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import redis
from fastapi import Depends, Request

from producer.api.access import Access
from producer.api.disk import Files, folder
from producer.api.keeper import Keeper
from producer.api.store import Store
from replay.settings import Settings


@dataclass(frozen=True)
class Desk:
    """The parts of one server."""

    settings: Settings
    access: Access
    store: Store
    files: Files
    keeper: Keeper

    @classmethod
    def of(cls, settings: Settings, client: redis.Redis | None = None) -> Desk:
        """Open what the settings name, and remove what a killed server left half.

        Args:
            settings: Tokens, data directory, broker.
            client: The broker; None: the one of the settings.

        Raises:
            ConfigurationError: The tokens cannot be used.
            EvidenceDamaged: The database is none.
            AppendFailed: The folders cannot be made.
        """
        access = Access(settings)
        place = folder(settings)
        store = Store(place / "api.sqlite")
        files = Files(place / "files")
        files.sweep(store.file_ids())
        return cls(settings, access, store, files, Keeper(settings, store, files, client))

    def close(self) -> None:
        """Let the keeper finish its step, and close the database."""
        self.keeper.stop()
        self.store.close()


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


DeskOf = Annotated[Desk, Depends(_desk)]
