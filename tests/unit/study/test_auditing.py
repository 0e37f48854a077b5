"""The auditor's report over many answers."""

from __future__ import annotations

import pytest

from replay.contracts import ClaimAudit, Record, RecordKind, ReplayRun, State, Tier
from replay.study.auditing import AuditReport, place, report
from tests.batches import make_run
from tests.factories import make_task


def audited(custom_id: str, *scores: float, state: State = State.ACCEPTED, tier: Tier = Tier.LOCAL) -> ReplayRun:
    """A run whose verdict carries these scores; what is backed is backed by the bundle's record, else by none."""
    run = make_run(make_task(custom_id=custom_id), state, tier)
    entries = tuple(
        ClaimAudit(
            finding=number,
            claim=f"claim of {custom_id}",
            score=score,
            backed_by=("src_channel",) if score else (),
            unsupported=() if score == 1 else ("claim",),
            scorer="support.test",
        )
        for number, score in enumerate(scores)
    )
    assert run.attempt is not None
    assert run.attempt.verdict is not None
    verdict = run.attempt.verdict.model_copy(update={"audit": entries})
    return run.model_copy(update={"attempt": run.attempt.model_copy(update={"verdict": verdict})})


@pytest.fixture
def audit() -> AuditReport:
    """Of four answers and an end without one."""
    return report(
        [
            audited("a", 1.0, 0.5),
            audited("b", 0.0, state=State.REJECTED, tier=Tier.ESCALATION),
            audited("c", 0.25),
            audited("d"),
            make_run(make_task(), State.FAILED, None),
        ],
        most=2,
    )


def test_claims_are_counted_by_how_far_they_are_backed(audit: AuditReport) -> None:
    """Wholly, partly, not; with the mean, for all, by tier and state, and by scorer."""
    total = audit.total
    assert (total.claims, total.wholly, total.partly, total.not_at_all, total.mean) == (4, 1, 2, 1, 0.4375)
    assert {key: backing.claims for key, backing in audit.groups.items()} == {
        (Tier.LOCAL, State.ACCEPTED): 3,
        (Tier.ESCALATION, State.REJECTED): 1,
    }
    assert audit.scorers == {"support.test": total}
    assert (audit.records, audit.answers, audit.without_answer, audit.unaudited) == (5, 4, 1, 1)


def test_what_backs_is_named(audit: AuditReport) -> None:
    """Records with kind and place, and the kinds."""
    assert [(backer.record_id, backer.kind, backer.claims) for backer in audit.backers] == [
        ("src_channel", "source", 3)
    ]
    assert audit.backers[0].place == "kombu/transport/redis.py:400-404"
    assert (audit.kinds, audit.unbacked) == ({"source": 3}, 1)


def test_the_least_backed_come_first(audit: AuditReport) -> None:
    """As many as are asked for; what is backed wholly is never among them."""
    assert [(claim.custom_id, claim.score) for claim in audit.least] == [("b", 0.0), ("c", 0.25)]
    assert report([audited("a", 1.0)]).least == ()


def test_a_record_that_is_not_in_the_bundle_is_said_to_be() -> None:
    """An audit of another bundle is not taken for backing by a kind."""
    run = audited("a", 1.0)
    bare = run.model_copy(update={"bundle": run.bundle.model_copy(update={"passages": (), "lines": ()})})
    assert report([bare]).kinds == {"not in the bundle": 1}


def test_again_measures_anew() -> None:
    """Also where an earlier gate made no audit."""
    plain = make_run(make_task())
    assert (report([plain]).unaudited, report([plain]).total.mean) == (1, None)
    anew = report([plain], again=True)
    assert (anew.unaudited, anew.total.mean) == (0, 1.0)


def test_nothing_is_a_report_too() -> None:
    """Without evidence there is no mean."""
    assert report([]).wire()["total"] == {
        "claims": 0, "wholly": 0, "partly": 0, "not_at_all": 0, "mean_score": None
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "first", "last", "shown"),
    [
        ("a.py", 3, 5, "a.py:3-5"),
        ("a.py", 3, 3, "a.py:3"),
        ("a.py", 3, None, "a.py:3"),
        ("a.py", None, None, "a.py"),
        (None, None, None, "Title"),
    ],
)
def test_place(path: str | None, first: int | None, last: int | None, shown: str) -> None:
    """Path and lines, or else the title."""
    record = Record(
        record_id="r",
        kind=RecordKind.NOTE,
        text="",
        title="Title",
        path=path,
        first_line=first,
        last_line=last,
    )
    assert place(record) == shown
