"""The corpus: its versions, their records, and how each record is used."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute

from dashboard.desk import Desk, not_found, whole
from evidence.views import runs, uses
from evidence.views.runs import RunPage, RunRow
from evidence.views.uses import Use
from replay.contracts import Record
from replay.corpus import search, snapshot
from replay.corpus.retrieval import SnapshotRetriever
from replay.corpus.snapshot import Snapshot
from replay.errors import CorpusError
from replay.settings import Settings

PAGE = 50
_VERSIONS = 50
_OPENED = 2
_QUERY = 2_000
_CITING = 25
_LAST = 1 << 53


@dataclass(frozen=True)
class Entry:
    """A record in a list, and its use in all of the evidence; None: it was never retrieved."""

    record_id: str
    kind: str
    title: str
    place: str
    text: str
    use: Use | None


@dataclass(frozen=True)
class CorpusView:
    """A version and a page of its records.

    Attributes:
        problem: Why there is nothing to show; empty where there is.
        current: The version that new tasks use.
        version: The one that is shown.
        versions: What was published, newest first.
        entries: Records of the version; or what was found; or the most used ones.
        by: `stored`, `query`, `retrieved` or `cited`: how they were chosen.
        query: What was looked for.
        page: Number of the page.
        records: How many the version has.
        pages: How many pages that makes.
    """

    problem: str
    current: str
    version: str
    versions: tuple[dict[str, Any], ...]
    entries: tuple[Entry, ...] = ()
    by: str = "stored"
    query: str = ""
    page: int = 1
    records: int = 0
    pages: int = 1


@dataclass(frozen=True)
class RecordView:
    """One record of a version, its use, and a page of the ended runs that cite it, newest first."""

    version: str
    record: dict[str, Any]
    place: str
    use: Use | None
    citing: tuple[RunRow, ...]
    older: str


def routes(desk: Desk) -> list[BaseRoute]:
    """Versions and records, and one record."""
    shelf = Shelf(desk.settings)

    def take(request: Request) -> CorpusView:
        return _look(desk, shelf, request)

    def take_one(request: Request) -> RecordView:
        version, record_id = request.query_params.get("version", snapshot.POINTER), request.path_params["record_id"]
        opened = shelf.opened(version)
        record = opened.find(record_id)
        if record is None:
            raise not_found(f"Version {opened.version} has no such record.")
        before = whole(request, "before", _LAST, most=_LAST)
        with desk.views() as db:
            used = uses.of(db, [record_id]) if db is not None else {}
            page = (
                runs.citing(db, record_id, before=before, limit=_CITING) if db is not None else RunPage((), None, None)
            )
        older = f"?version={opened.version}&before={page.older}" if page.older is not None else ""
        return RecordView(opened.version, record.wire(), _place(record), used.get(record_id), page.rows, older)

    return [
        *desk.view("/corpus", "pages/corpus.html", take),
        *desk.view(
            "/corpus/records/{record_id:path}",
            "pages/corpus_record.html",
            take_one,
            twin="/corpus/record.json/{record_id:path}",
        ),
    ]


class Shelf:
    """Opened versions. Opening one proves its files, so the last two stay open; what is opened never changes."""

    def __init__(self, settings: Settings) -> None:
        self._corpus_dir = settings.corpus_dir
        self._lock = threading.Lock()
        self._opened: OrderedDict[str, Snapshot] = OrderedDict()

    def opened(self, name: str) -> Snapshot:
        """A version, by its name or `current`.

        Raises:
            CorpusError: There is none, or a file of it is not what was written.
        """
        version = snapshot.named(self._corpus_dir, name)
        with self._lock:
            found = self._opened.get(version)
            if found is None:
                reuse = next(reversed(self._opened.values()), None)
                found = self._opened[version] = snapshot.load(self._corpus_dir, version, reuse=reuse)
            self._opened.move_to_end(version)
            while len(self._opened) > _OPENED:
                self._opened.popitem(last=False)
            return found


def _look(desk: Desk, shelf: Shelf, request: Request) -> CorpusView:
    settings, given = desk.settings, request.query_params
    try:
        published = tuple(one.wire() for one in snapshot.history(settings.corpus_dir)[::-1][:_VERSIONS])
    except CorpusError:
        published = ()  # the corpus does not need its log
    try:
        current = snapshot.current_version(settings.corpus_dir) or ""
        opened = shelf.opened(given.get("version") or snapshot.POINTER)
    except CorpusError as error:
        return CorpusView(f"{error.message}. {error.hint}", "", "", published)
    query, by = given.get("q", "").strip()[:_QUERY], given.get("by", "")
    number = whole(request, "page", 1, most=10_000_000)
    records, pages, by = _chosen(desk, opened, query, by, number)
    used = _uses(desk, [record.record_id for record in records])
    return CorpusView(
        problem="",
        current=current,
        version=opened.version,
        versions=published,
        entries=tuple(_entry(record, used) for record in records),
        by=by,
        query=query,
        page=min(number, pages),
        records=len(opened),
        pages=pages,
    )


def _chosen(desk: Desk, opened: Snapshot, query: str, by: str, number: int) -> tuple[list[Record], int, str]:
    """Records to show, how many pages there are of them, and how they were chosen."""
    if query:
        result = search.search(SnapshotRetriever(opened, desk.settings), query, lines=0)
        return [found.hit.record for found in (*result.playbook, *result.passages)], 1, "query"
    if by in uses.ORDERS:
        with desk.views() as db:
            used = uses.page(db, by, limit=PAGE) if db is not None else []
        found = (opened.find(use.record_id) for use in used)
        return [record for record in found if record is not None], 1, by
    pages = max(1, -(-len(opened) // PAGE))
    return _stored(opened, (min(number, pages) - 1) * PAGE), pages, "stored"


def _stored(opened: Snapshot, start: int) -> list[Record]:
    """A page of records in the order in which they lie there: the place of each is known without reading others."""
    records: list[Record] = []
    for segment in (*opened.playbook.segments, *opened.sources.segments):
        if start >= len(segment):
            start -= len(segment)
            continue
        here = range(start, min(len(segment), start + PAGE - len(records)))
        records += [segment.records.read(ordinal) for ordinal in here]
        start = 0
        if len(records) == PAGE:
            break
    return records


def _entry(record: Record, used: Mapping[str, Use]) -> Entry:
    text = record.text[:400]
    return Entry(record.record_id, record.kind.value, record.title, _place(record), text, used.get(record.record_id))


def _place(record: Record) -> str:
    if not record.path:
        return record.origin
    return f"{record.path}:{record.first_line}" if record.first_line is not None else record.path


def _uses(desk: Desk, record_ids: list[str]) -> dict[str, Use]:
    with desk.views() as db:
        return uses.of(db, record_ids) if db is not None else {}
