"""Files over the API: uploads whole or not at all, and names that lead nowhere."""

from __future__ import annotations

import asyncio
import errno
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from producer.api import upload
from producer.api.disk import Files
from producer.api.rows import FileRow
from replay.corpus import snapshot
from replay.errors import AppendFailed
from replay.settings import Settings
from tests.api_desk import Api, broken_upload, request_file, request_line
from tests.factories import make_bundle

BOUNDARY = "b0und"
FORM = {"host": "127.0.0.1", "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
LIMIT = 100_000
ID = "file-" + "0a" * 16
SECOND = b'{}\r\n--b0und\r\nContent-Disposition: form-data; name="file"; filename="two"\r\n\r\n{}'


def form(content: bytes = b"{}\n", *, disposition: str = 'name="file"; filename="in.jsonl"', end: bool = True) -> bytes:
    """A form as it goes over the wire."""
    return (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    ).encode() + (content + f"\r\n--{BOUNDARY}--\r\n".encode() if end else content)


@pytest.fixture
def api(data_dir: Path) -> Iterator[Api]:
    """The application, with a small limit."""
    settings = Settings(data_dir=data_dir, api_max_file_bytes=LIMIT)
    snapshot.write([hit.record for hit in make_bundle().passages], settings.corpus_dir)
    with Api(settings) as made:
        yield made


def kept(api: Api) -> list[str]:
    """What lies in the folder of the files."""
    return sorted(path.name for path in (api.settings.data_dir / "api" / "files").iterdir())


def test_a_file_comes_back_as_it_was_sent(api: Api) -> None:
    """Upload, retrieve, list, content, delete; bytes of any kind are kept."""
    content = bytes(range(256)) * 300
    made = api.upload(content, "täglich.jsonl").json()
    assert (made["bytes"], made["filename"], made["purpose"]) == (len(content), "täglich.jsonl", "batch")
    assert api.ask("GET", f"/v1/files/{made['id']}").json() == made
    assert api.ask("GET", "/v1/files").json()["data"] == [made]
    sent = api.ask("GET", f"/v1/files/{made['id']}/content")
    assert sent.content == content
    assert sent.headers["content-disposition"].startswith("attachment; filename")
    assert api.ask("DELETE", f"/v1/files/{made['id']}").json() == {"id": made["id"], "object": "file", "deleted": True}
    assert api.ask("GET", f"/v1/files/{made['id']}").status_code == 404
    assert kept(api) == []


@pytest.mark.parametrize(
    ("disposition", "shown"),
    [
        pytest.param('name="file"; filename="../../etc/passwd"', "passwd", id="folders"),
        pytest.param('name="file"; filename="..\\\\..\\\\boot.ini"', "boot.ini", id="other folders"),
        pytest.param('name="file"; filename=".."', "..", id="dots"),
        pytest.param('name="file"; filename=""', "upload.jsonl", id="nothing"),
        pytest.param('name="file"', "upload.jsonl", id="no name"),
        pytest.param('name="file"; filename="a\x1b[31m<b>.jsonl"', "a[31m<b>.jsonl", id="what a terminal obeys"),
        pytest.param('name="file"; filename="' + "x" * 900 + '"', "x" * 255, id="a long one"),
    ],
)
def test_a_file_name_is_only_shown(api: Api, disposition: str, shown: str) -> None:
    """It is never a path: the file lies under its id, and the name is a name when it is sent back."""
    answer = api.ask("POST", "/v1/files", content=form(disposition=disposition), headers=FORM)
    made = answer.json()
    assert made["filename"] == shown
    assert kept(api) == [made["id"]]
    sent = api.ask("GET", f"/v1/files/{made['id']}/content").headers["content-disposition"]
    assert "\r" not in sent
    assert "\x1b" not in sent


@pytest.mark.parametrize(
    "file_id", ["file-0", "file-" + "0" * 32, "..%2fapi.sqlite", "%2e%2e", "..%2f..%2f..%2fetc%2fpasswd", "%00"]
)
def test_a_file_that_is_not_there_is_not_found(api: Api, file_id: str) -> None:
    """404 in the client's form, whatever the name looks like."""
    for verb, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        answer = api.ask(verb, f"/v1/files/{file_id}{path}")
        assert answer.status_code == 404
        assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        pytest.param(b"{}", {"content-type": "application/json"}, 400, id="no form"),
        pytest.param(b"{}", {"content-type": "multipart/form-data"}, 400, id="no boundary"),
        pytest.param(b"nonsense", {}, 400, id="nonsense"),
        pytest.param(form(end=False), {}, 400, id="no end"),
        pytest.param(form(disposition='name="other"'), {}, 400, id="no file"),
        pytest.param(form(b""), {}, 400, id="an empty file"),
        pytest.param(form().replace(b"\r\nbatch\r\n", b"\r\nfine-tune\r\n"), {}, 400, id="another purpose"),
        pytest.param(form().replace(b'name="purpose"', b'name="porpoise"'), {}, 400, id="no purpose"),
        pytest.param(form(b"x" * LIMIT) + form(b"x"), {}, 200, id="at the limit"),
        pytest.param(form(b"x" * (LIMIT + 1)), {}, 413, id="over the limit"),
        pytest.param(form(b"x"), {"content-length": "999999999"}, 413, id="announced over the limit"),
        pytest.param(form(b"x" * 2000, disposition='name="long"'), {}, 413, id="a long field"),
        pytest.param(form().replace(b"\r\n\r\nbatch", b"\r\nX: " + b"y" * 20_000), {}, 400, id="a long header"),
        pytest.param(form(SECOND), {}, 400, id="two files"),
    ],
)
def test_a_bad_upload_leaves_nothing(api: Api, content: bytes, headers: dict[str, str], status: int) -> None:
    """Refused with the reason, and no byte of it stays."""
    answer = api.ask("POST", "/v1/files", content=content, headers=FORM | headers)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json()["error"]["message"]
        assert kept(api) == []
        assert api.ask("GET", "/v1/files").json()["data"] == []


def test_a_client_that_goes_away_leaves_nothing(api: Api) -> None:
    """In the middle of its file, after more than one write to the disk."""
    body = form(b"x" * LIMIT, end=False)
    half = len(body) // 2
    broken_upload(api.app, [body[:half], body[half:]], FORM)
    assert kept(api) == []
    assert api.ask("GET", "/v1/files").json()["data"] == []


def test_a_client_that_does_not_end_is_stopped(api: Api) -> None:
    """What follows the end of a form has no announced length and no end; it is not read for ever."""
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        yield form()
        while sent < 100 * LIMIT:
            sent += LIMIT
            yield b"x" * LIMIT

    assert api.ask("POST", "/v1/files", content=endless(), headers=FORM).status_code == 413
    assert sent < 100 * LIMIT
    assert kept(api) == []


def test_a_client_that_falls_silent_is_sent_away(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload of which no byte comes does not hold its file for ever."""
    monkeypatch.setattr(upload, "_PATIENCE_S", 0.01)

    async def silent() -> Any:
        yield form(end=False)
        await asyncio.Event().wait()

    answer = api.ask("POST", "/v1/files", content=silent(), headers=FORM)
    assert answer.status_code == 408
    assert kept(api) == []


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_is_told_and_leaves_nothing(api: Api, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """507, so that clients try again later; no half file."""

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(f"producer.api.disk.os.{call}", full)
        answer = api.upload(b"{}")
    assert (answer.status_code, answer.json()["error"]["type"]) == (507, "server_error")
    assert kept(api) == []


def test_a_file_that_could_not_be_noted_is_not_kept(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database took no more: 507, and the file that nobody was told of does not fill the disk further."""

    def full(_: FileRow) -> None:
        raise AppendFailed("no room")

    with monkeypatch.context() as patched:
        patched.setattr(api.desk.store, "add_file", full)
        assert api.upload(b"{}").status_code == 507
    assert kept(api) == []


def test_what_a_killed_server_left_is_removed(api: Api) -> None:
    """A part of an upload, and a file that nobody was told of; what is known stays, and what is none of ours."""
    made = api.upload(b"{}").json()["id"]
    files = Files(api.settings.data_dir / "api" / "files")
    files.begin("file-" + "1" * 32).flush()
    files.path("file-" + "2" * 32).write_bytes(b"{}")
    (api.settings.data_dir / "api" / "files" / "lost+found").mkdir()
    with Api(api.settings):
        assert kept(api) == [made, "lost+found"]


def test_memory_does_not_grow_with_the_file(data_dir: Path) -> None:
    """Sixteen times the buffer takes no more than a few buffers."""
    size = 16 << 20
    with Api(Settings(data_dir=data_dir)) as api:

        async def stream() -> Any:
            yield form(end=False)
            for _ in range(size >> 16):
                yield b"x" * (1 << 16)
            yield f"\r\n--{BOUNDARY}--\r\n".encode()

        api.upload(b"{}")  # what is made once
        tracemalloc.start()
        try:
            made = api.ask("POST", "/v1/files", content=stream(), headers=FORM).json()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert made["bytes"] == 3 + size
        assert peak < 8 << 20


def test_files_are_listed_in_pages(api: Api) -> None:
    """Either way round, by purpose, `after` and `limit` as the client's pages use them."""
    made = [api.upload(b"{}", f"{n}").json()["id"] for n in range(3)]
    page = api.ask("GET", "/v1/files", params={"limit": 2, "order": "asc"}).json()
    assert ([row["id"] for row in page["data"]], page["has_more"]) == (made[:2], True)
    page = api.ask("GET", "/v1/files", params={"after": made[1]}).json()
    assert ([row["id"] for row in page["data"]], page["has_more"]) == (made[:1], False)
    assert api.ask("GET", "/v1/files", params={"purpose": "batch_output"}).json()["data"] == []
    for wrong in ({"limit": 0}, {"order": "up"}, {"after": "file-x"}):
        assert api.ask("GET", "/v1/files", params=wrong).status_code == 400


def test_a_file_that_a_batch_reads_is_kept(api: Api) -> None:
    """409 until the batch has ended, also where its time is over; a batch of a file that is gone is refused."""
    batch = api.create([request_line("a")])
    file_id = batch["input_file_id"]
    assert api.ask("DELETE", f"/v1/files/{file_id}").status_code == 409
    api.ask("POST", f"/v1/batches/{batch['id']}/cancel")
    api.settle(batch["id"])
    assert api.ask("DELETE", f"/v1/files/{file_id}").status_code == 200
    body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    assert api.ask("POST", "/v1/batches", json=body).status_code == 404


def test_a_file_whose_time_is_over_is_gone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """`expires_after` of an upload holds, within its bounds."""
    lifetime = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    made = api.upload(request_file([request_line("a")]), **lifetime).json()
    assert made["expires_at"] == made["created_at"] + 3600
    refused = api.upload(b"{}", **lifetime | {"expires_after[seconds]": "1"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "expires_after")
    monkeypatch.setattr(api.desk.store, "now", lambda: made["expires_at"])
    assert api.ask("GET", f"/v1/files/{made['id']}").status_code == 404
    assert api.ask("GET", "/v1/files").json()["data"] == []
    assert api.desk.store.expired_files() == [made["id"]]


def test_an_output_file_is_no_input(api: Api) -> None:
    """Only what was uploaded with the purpose `batch` is read as requests."""
    batch = api.create([request_line("a", model="another")])
    output = api.settle(batch["id"])["error_file_id"]
    body = {"input_file_id": output, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    refused = api.ask("POST", "/v1/batches", json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input_file_id")


def test_a_part_is_not_followed_through_a_link(tmp_path: Path) -> None:
    """Somebody who can write there cannot make an upload write elsewhere."""
    files = Files(tmp_path / "files")
    target = tmp_path / "target"
    target.write_text("mine")
    (tmp_path / "files" / f"{ID}.part").symlink_to(target)
    with pytest.raises(Exception, match="open of"):
        files.begin(ID)
    assert target.read_text() == "mine"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/etc/passwd", f"{ID}\n", f"{ID}/../x", ID.upper()])
def test_only_an_id_becomes_a_path(tmp_path: Path, name: str) -> None:
    """Whatever came that far, it leads nowhere."""
    with pytest.raises(ValueError, match="no id of a file"):
        Files(tmp_path / "files").path(name)
