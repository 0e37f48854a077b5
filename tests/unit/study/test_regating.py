"""Evidence judged again by another gate."""

from __future__ import annotations

from typing import Any

from replay import pipeline
from replay.contracts import Attempt, ReplayRun, State, Tier, Verdict
from replay.gate import DEFAULT_GATE, GATE_VERSION, Gate, judge
from replay.study.regating import Basis, Change, Changes, Regated, Unjudged, regate
from tests.batches import make_run
from tests.factories import make_bundle, make_generation, make_reply, make_task

WRONG = make_reply(line="L2", found="300")  # the neighbour of the deciding line
LENIENT = Gate(off=frozenset({"binding.rival_line", "binding.other_subject"}))


def judged(content: str, gate: Gate = DEFAULT_GATE, tier: Tier = Tier.LOCAL, **fields: Any) -> ReplayRun:
    """The evidence of a reply as the pipeline leaves it."""
    task, bundle, generation = make_task(), make_bundle(), make_generation(content)
    answer, verdict = judge(task, bundle, generation, gate)
    attempt = Attempt(
        **{
            "attempt_id": f"att_{tier}",
            "tier": tier,
            "repeat": 0,
            "prompt_hash": "sha256:0",
            "generation": generation,
            "answer": answer,
            "verdict": verdict,
            **fields,
        }
    )
    state = State.ACCEPTED if verdict.accepted else State.REJECTED
    return pipeline.end_without_attempt(task, state, "", bundle=bundle).model_copy(update={"attempt": attempt})


def one(run: ReplayRun, gate: Gate, basis: Basis = Basis.REPLY) -> Regated:
    """What becomes of an attempt that can be judged again."""
    (item,) = regate([run], gate, basis)
    assert isinstance(item, Regated)
    return item


def test_the_same_gate_changes_nothing() -> None:
    """A pure function of what is stored."""
    for content in (make_reply(), WRONG, "no JSON"):
        item = one(judged(content), DEFAULT_GATE)
        assert (item.change, item.read_otherwise, item.gate) == (Change.UNCHANGED, False, GATE_VERSION)


def test_each_kind_of_change() -> None:
    """Both directions, and a rejection with other reasons."""
    rejected = judged(WRONG)
    assert one(rejected, LENIENT).change is not Change.UNCHANGED
    assert one(judged(make_reply(), LENIENT), DEFAULT_GATE).change is Change.UNCHANGED
    structural = Gate(off=frozenset(reason.rule for reason in rejected.attempt.verdict.reasons))  # type: ignore[union-attr]  # it was judged
    admitted = one(rejected, structural)
    assert (admitted.change, admitted.after) == (Change.NEWLY_ACCEPTED, ())
    refused = one(judged(WRONG, structural), DEFAULT_GATE)
    assert refused.change is Change.NEWLY_REJECTED
    assert refused.recorded_gate == structural.version
    assert set(admitted.before) == refused.rules
    part = DEFAULT_GATE.without(sorted(refused.rules)[:1])
    assert one(rejected, part).change is (Change.OTHER_REASONS if len(refused.rules) > 1 else Change.NEWLY_ACCEPTED)


def test_the_reply_is_read_again_and_the_stored_answer_is_not() -> None:
    """An answer that was read otherwise when it came is told; by the answer, it is judged as it was stored."""
    run = judged(make_reply())
    stored = make_run(make_task()).attempt
    assert stored is not None
    assert stored.answer is not None
    other = stored.answer.model_copy(update={"proposals": ("something",)})
    run = run.model_copy(update={"attempt": run.attempt.model_copy(update={"answer": other})})  # type: ignore[union-attr]  # it has one
    by_reply, by_answer = one(run, DEFAULT_GATE), one(run, DEFAULT_GATE, Basis.ANSWER)
    assert (by_reply.basis, by_reply.read_otherwise) == (Basis.REPLY, True)
    assert (by_answer.basis, by_answer.read_otherwise) == (Basis.ANSWER, False)


def test_where_one_is_missing_the_other_serves() -> None:
    """A reply that could not be read has no answer; an imported answer has no reply."""
    unread = judged("no JSON")
    assert one(unread, DEFAULT_GATE, Basis.ANSWER).basis is Basis.REPLY
    assert one(judged(make_reply(), generation=None), DEFAULT_GATE).basis is Basis.ANSWER


def test_what_cannot_be_judged_again_is_counted_by_why() -> None:
    """No attempt, no reply, no verdict."""
    fault = judged(make_reply(), generation=None, answer=None, verdict=None, fault="refused")
    items = list(
        regate([make_run(make_task(), State.FAILED, None), fault, judged(make_reply(), verdict=None)], DEFAULT_GATE)
    )
    assert items == [Unjudged.NO_ATTEMPT, Unjudged.NO_REPLY, Unjudged.NO_VERDICT]


def test_the_report_adds_up_by_tier_and_recorded_gate() -> None:
    """With the rules that came and went."""
    old = Verdict(gate_version="gate.v0", accepted=True, score=0.5)
    changes = Changes()
    runs = [
        judged(make_reply()),
        judged(WRONG, verdict=old),
        judged(WRONG, tier=Tier.ESCALATION),
        make_run(make_task(), State.FAILED, None),
    ]
    for item in regate(runs, DEFAULT_GATE):
        changes.add(item)
    report = changes.report()
    assert [(row.tier, row.recorded_gate, row.attempts) for row in report.rows] == [
        (Tier.ESCALATION, GATE_VERSION, 1),
        (Tier.LOCAL, "gate.v0", 1),
        (Tier.LOCAL, GATE_VERSION, 1),
    ]
    assert (report.attempts, report.count(Change.NEWLY_REJECTED), report.count(Change.UNCHANGED)) == (3, 1, 2)
    assert "binding.rival_line" in report.came
    assert report.went == {}
    assert report.unjudged[Unjudged.NO_ATTEMPT] == 1
    assert report.wire()["rows"][1]["newly_rejected"] == 1
