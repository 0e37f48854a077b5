"""`replay evidence` as it is typed."""

from __future__ import annotations

import csv
import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from evidence import segments
from evidence.checkpoints import checkpoints_path
from evidence.log import EvidenceLog
from replay.contracts import State
from replay.errors import EvidenceDamaged
from replay.settings import Settings
from tests.batches import make_run
from tests.command_line import Typed, typing_into
from tests.factories import make_task


@pytest.fixture
def typed(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Typed:
    """Types a command: its exit code, what it prints, and what it tells on stderr."""
    known = {"data_dir": data_dir, "evidence_key": tmp_path / "key.pem", "evidence_segment_bytes": 8000}
    return typing_into(monkeypatch, capfdbinary, **known)


@pytest.fixture
def public(typed: Typed, tmp_path: Path) -> str:
    """A key has been made: its public half."""
    code, printed, told = typed("evidence", "keygen", tmp_path / "key.pem")
    assert (code, "REPLAY_EVIDENCE_KEY" in told) == (0, True)
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    return printed.strip()


@pytest.fixture
def runs(public: str) -> list[dict[str, Any]]:
    """A signed log of ten runs in several segments: the records."""
    assert public
    records = [
        make_run(make_task(custom_id=f"t{n}"), State.ACCEPTED if n % 2 else State.REJECTED).wire() for n in range(10)
    ]
    with EvidenceLog.of(Settings()) as log:
        for record in records:
            log.append([record])
    assert len(segments.load(Settings().evidence_log).segments) > 1
    return records


def test_a_key_is_not_written_over(public: str, typed: Typed, tmp_path: Path) -> None:
    """A second key under the same name is refused."""
    assert public.startswith("replay-evidence+")
    code, printed, told = typed("evidence", "keygen", tmp_path / "key.pem")
    assert (code, printed) == (2, "")
    assert "exists already" in told


def test_the_whole_log_is_proved(runs: list[dict[str, Any]], public: str, typed: Typed, tmp_path: Path) -> None:
    """Records, head, root and signatures are told; an old checkpoint is compared; the same as JSON."""
    log = Settings().evidence_log
    kept = tmp_path / "kept.jsonl"
    kept.write_bytes(checkpoints_path(log).read_bytes())
    code, printed, _ = typed("evidence", "verify", "--public-key", public, "--from", kept, "--strict")
    assert code == 0
    assert "holds  10 records" in printed
    assert "1 checkpoints, to record 10; 1 signed with that key, to record 10" in printed
    code, printed, _ = typed("evidence", "verify", "--json")
    report = json.loads(printed)
    assert (code, report["ok"], report["records"], report["fault"]) == (0, True, len(runs), None)


@pytest.mark.usefixtures("runs")
def test_damage_in_a_closed_segment(typed: Typed) -> None:
    """A changed byte is told with its file, byte and line, and ends with exit code 4."""
    file = sorted(segments.folder(Settings().evidence_log).glob("0*"))[1]
    data = file.read_bytes()
    at = data.index(b"accepted")
    file.write_bytes(data.replace(b"accepted", b"Accepted", 1))
    code, printed, _ = typed("evidence", "verify")
    assert code == 4
    assert f"line {data[:at].count(10) + 1} of {file}" in printed
    report = json.loads(typed("evidence", "verify", "--json")[1])
    assert (report["ok"], report["fault"]["file"]) == (False, str(file))


@pytest.mark.usefixtures("runs")
def test_no_public_key(typed: Typed) -> None:
    """What is no key is refused with a hint."""
    code, _, told = typed("evidence", "verify", "--public-key", "nonsense")
    assert code == 2
    assert "keygen" in told


def test_a_run_is_proved_to_somebody_else(
    runs: list[dict[str, Any]], public: str, typed: Typed, tmp_path: Path
) -> None:
    """What `prove` prints is checked without the log, from a file or stdin; a changed one ends with exit code 4."""
    code, printed, _ = typed("evidence", "prove", runs[4]["run_id"])
    assert code == 0
    proof = tmp_path / "proof.json"
    proof.write_text(printed)
    for file in Settings().evidence_log.parent.rglob("*.json*"):
        file.unlink()
    code, told, _ = typed("evidence", "check-proof", proof, "--public-key", public)
    assert code == 0
    assert f"record 5  {runs[4]['id']}" in told
    assert "signed with that key" in told
    code, told, _ = typed("evidence", "check-proof", "-", "--json", stdin=printed.encode())
    checked = json.loads(told)
    assert (checked["size"], checked["signed"], checked["records"]) == (10, None, [runs[4]])
    proof.write_text(printed.replace("rejected", "accepted"))
    code, told, error = typed("evidence", "check-proof", proof)
    assert (code, told) == (4, "")
    assert "the proof does not hold: at byte" in error


@pytest.mark.usefixtures("runs")
def test_what_cannot_be_proved(typed: Typed, tmp_path: Path) -> None:
    """An unknown run, a file that is none and one that is no proof are mistakes with a hint."""
    (tmp_path / "none.json").write_text("{}")
    for words in (["prove", "nobody"], ["check-proof", tmp_path / "gone"], ["check-proof", tmp_path / "none.json"]):
        code, _, told = typed("evidence", *words)
        assert code == 2
        assert "hint:" in told


def test_export(runs: list[dict[str, Any]], typed: Typed, tmp_path: Path) -> None:
    """To stdout or a file, in each form, filtered."""
    code, printed, told = typed("evidence", "export", "--state", "accepted", "--batch", "batch_test")
    assert (code, told) == (0, "")
    records = [json.loads(line) for line in printed.splitlines()]
    assert [record["id"] for record in records] == [run["id"] for run in runs if run["state"] == "accepted"]
    file = tmp_path / "out.csv"
    assert typed("evidence", "export", "--format", "csv", "-o", file)[:2] == (0, "")
    assert [row["custom_id"] for row in csv.DictReader(io.StringIO(file.read_text()))] == [f"t{n}" for n in range(10)]
    assert typed("evidence", "export", "--since", "2126-01-01")[:2] == (0, "")
    assert typed("evidence", "export", "--since", "soon")[0] == 2
    assert typed("evidence", "export", "-o", tmp_path / "gone" / "out")[0] == 2
    assert [left.name for left in tmp_path.glob("*.part")] == []


def test_the_last_ones_are_shown_once(runs: list[dict[str, Any]], typed: Typed) -> None:
    """`tail -n` shows as many as it is told, also none, from closed segments too."""
    code, printed, _ = typed("evidence", "tail", "-n", "7", "--json")
    assert code == 0
    assert [json.loads(line)["id"] for line in printed.splitlines()] == [run["id"] for run in runs[3:]]
    assert typed("evidence", "tail", "-n", "0")[:2] == (0, "")


def test_before_there_is_a_log(typed: Typed) -> None:
    """Commands that need a log say how it begins."""
    for words in (["verify"], ["export"]):
        code, _, told = typed("evidence", *words)
        assert code == 2
        assert "replay quickstart" in told


def test_a_loss_is_accepted_by_hand(typed: Typed, runs: list[dict[str, Any]]) -> None:
    """The writer's error names the command; it wants a reason and a yes, and then the log verifies again."""
    assert runs
    log = Settings().evidence_log
    assert typed("evidence", "accept-loss", "--reason", "x", "--yes")[0] == 2
    whole = log.read_bytes()
    log.write_bytes(whole[: whole[:-1].rfind(b"\n") + 1])
    with pytest.raises(EvidenceDamaged) as refused:
        EvidenceLog.of(Settings())
    assert "`replay evidence accept-loss --yes --reason WHY`" in refused.value.hint
    assert typed("evidence", "verify")[0] == 4
    assert typed("evidence", "accept-loss", "--reason", " ", "--yes")[0] == 2
    assert typed("evidence", "accept-loss")[0] == 2
    code, _, asked = typed("evidence", "accept-loss", "--reason", "the disk died")
    assert (code, "had 10 records" in asked, "--yes" in asked) == (2, True, True)
    code, printed, _ = typed("evidence", "accept-loss", "--reason", "the disk died", "--yes", "--json")
    done = json.loads(printed)
    assert (code, done["loss"]["had"], done["loss"]["reason"]) == (0, 10, "the disk died")
    assert [Path(kept).name for kept in done["kept"]] == ["replay_runs.checkpoints.lost-10.jsonl"]
    assert typed("evidence", "verify")[0] == 0
