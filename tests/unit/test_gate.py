"""The gate: what it accepts, and each way in which it refuses."""

from __future__ import annotations

import pytest

from replay import assertion
from replay.contracts import Answer, Check, Cite, Finding, Ruling
from replay.gate import GATE_VERSION, judge, judge_answer
from tests.factories import SOURCE, UNSURE, make_bundle, make_generation, make_reply, make_task


def rules(task_text: str, reply: str, *, source: str = SOURCE, **generation: str) -> set[str]:
    """The rules that object to a reply; empty when it is accepted."""
    _, verdict = judge(make_task(task_text), make_bundle(source), make_generation(reply, **generation))
    assert verdict.gate_version == GATE_VERSION
    assert verdict.accepted is (not verdict.reasons)
    return {reason.rule for reason in verdict.reasons}


TRUE_CLAIM = "Verify that the visibility timeout of kombu's Redis channel is 1 hour."
FALSE_CLAIM = "Verify that the visibility timeout of kombu's Redis channel is 10 minutes."

INVENTED = make_reply(found="10 minutes", expected="10 minutes")
WORD_FOR_NUMBER = make_reply(line="L5", found="round_robin")


def test_accepts_a_pass_whose_value_stands_in_the_cited_line_in_another_unit() -> None:
    """One hour in the task and 3600 in the source are the same value."""
    assert rules(TRUE_CLAIM, make_reply()) == set()


def test_accepts_a_fail_whose_cited_line_states_another_value() -> None:
    """A false claim is refuted by a line on the same subject with another number."""
    assert rules(FALSE_CLAIM, make_reply(expected="10 minutes")) == set()


@pytest.mark.parametrize(
    ("claim", "reply", "rule"),
    [
        pytest.param(
            FALSE_CLAIM,
            make_reply(found="10 minutes", expected="10 minutes"),
            "literals.found_not_cited",
            id="invented",
        ),
        pytest.param(FALSE_CLAIM, make_reply(), "literals.expected_not_asked", id="another claim's value"),
        pytest.param(TRUE_CLAIM, UNSURE, "verdict.unsure", id="unsure"),
        pytest.param(TRUE_CLAIM, make_reply(line="L9"), "citations.unknown_record", id="line that was not shown"),
        pytest.param(TRUE_CLAIM, make_reply(found="probably 3600"), "form.hedge", id="hedge"),
        pytest.param(TRUE_CLAIM, make_reply(found=""), "form.empty_value", id="empty value"),
        pytest.param(TRUE_CLAIM, make_reply(found="3600 " * 60), "form.long_value", id="essay"),
        pytest.param(TRUE_CLAIM, "the timeout is one hour", "form.not_the_format", id="prose"),
        pytest.param(TRUE_CLAIM, '{"verdict": "pass"}', "form.not_the_format", id="missing field"),
        pytest.param(TRUE_CLAIM, make_reply(mood="good"), "form.not_the_format", id="unknown field"),
        pytest.param(
            TRUE_CLAIM, make_reply(line="L2", found="300"), "binding.rival_line", id="neighbour of the right line"
        ),
        pytest.param(
            TRUE_CLAIM, make_reply(line="L5", found="round_robin"), "verdict.fail_of_another_kind", id="word for number"
        ),
        pytest.param(
            "Verify that the visibility timeout of kombu's Redis channel is `Channel`.",
            make_reply(line="L1", found="Channel", expected="kombu"),
            "verdict.fail_by_own_word",
            id="a word of the claim as counter-value",
        ),
    ],
)
def test_refuses_with_a_typed_reason(claim: str, reply: str, rule: str) -> None:
    """Each wrong answer is refused by the rule that is about it."""
    assert rule in rules(claim, reply)


def test_refuses_the_right_number_on_another_subject() -> None:
    """A line of another package with the claimed number does not pass a claim about redis-py's pool."""
    source = "class Namespaces:\n    connection_max_retries=Option(100, type='int'),\n"
    bundle = make_bundle(source, path="celery/app/defaults.py", title="celery.app.defaults")
    pool = make_bundle("class ConnectionPool:\n    ...\n", path="redis/connection.py", title="redis.connection")
    near = pool.passages[0].model_copy(
        update={"record": pool.passages[0].record.model_copy(update={"record_id": "src_pool"})}
    )
    bundle = bundle.model_copy(update={"passages": (*bundle.passages, near)})
    task = make_task("Verify that redis-py connection pools allow 100 connections by default.")
    _, verdict = judge(task, bundle, make_generation(make_reply(line="L2", found="100", expected="100")))
    assert [reason.rule for reason in verdict.reasons] == ["binding.other_subject"]


def test_refuses_a_line_that_lists_possible_values() -> None:
    """A sentence that says what a setting can be does not say what it is."""
    source = "class Serializer:\n    # the Redis channel serializer can be pickle, json, yaml\n"
    claim = "Verify that the serializer of kombu's Redis channel is pickle."
    assert "binding.listed" in rules(claim, make_reply(line="L2", found="pickle", expected="pickle"), source=source)


def test_refuses_a_value_that_is_only_mentioned_in_a_message() -> None:
    """A value inside the sentence of a string literal asserts nothing about the setting."""
    source = "class Serializer:\n    warn('the Redis channel serializer falls back to pickle today')\n"
    claim = "Verify that the serializer of kombu's Redis channel is pickle."
    assert "binding.mentioned" in rules(claim, make_reply(line="L2", found="pickle", expected="pickle"), source=source)


def test_absence_is_never_accepted_from_a_pointed_line() -> None:
    """A claim that a class exists is not refuted by a line with another class."""
    source = "class ExponentialBackoff(AbstractBackoff):\n    ...\n"
    reply = make_reply(line="L1", found="ExponentialBackoff", expected="FibonacciBackoff")
    claim = "Verify that kombu's Redis channel ships a FibonacciBackoff class."
    assert "verdict.fail_of_existence" in rules(claim, reply, source=source)


def test_refuses_1000_where_the_source_says_10000() -> None:
    """Numbers compare as values, never as substrings."""
    source = "class Cache:\n    max_size: int = 10000\n"
    reply = make_reply(line="L2", found="1000", expected="1000")
    assert "literals.found_not_cited" in rules("Verify that the cache max size is 1000.", reply, source=source)


@pytest.mark.parametrize(
    ("generation", "rule"),
    [
        ({"content": "  "}, "transport.empty"),
        ({"content": '{"findings', "finish_reason": "length"}, "transport.truncated"),
        ({"content": "{}", "finish_reason": "content_filter"}, "transport.finish"),
        ({"content": "<think>hm</think>{}"}, "transport.leaked_reasoning"),
    ],
)
def test_refuses_what_did_not_arrive_whole(generation: dict[str, str], rule: str) -> None:
    """Empty, cut, filtered and leaking replies are refused before anyone reads them."""
    answer, verdict = judge(make_task(), make_bundle(), make_generation(**generation))
    assert answer is None
    assert [reason.rule for reason in verdict.reasons] == [rule]


def test_checklist_items_are_answered_and_a_failed_one_forbids_pass() -> None:
    """An item without an answer, and a pass over a failed item, are both refused."""
    task = make_task(checklist=["the timeout"])
    _, unanswered = judge(task, make_bundle(), make_generation(make_reply()))
    _, failed = judge(task, make_bundle(), make_generation(make_reply(checks={"C1": "fail"})))
    _, passed = judge(task, make_bundle(), make_generation(make_reply(checks={"C1": "pass"})))
    assert [reason.rule for reason in unanswered.reasons] == ["coverage.unanswered"]
    assert [reason.rule for reason in failed.reasons] == ["verdict.pass_over_failed_check"]
    assert passed.accepted


def test_a_stored_answer_with_an_altered_quote_is_refused() -> None:
    """History can be judged again: a quote that is not in its record is found out."""
    cite = Cite(record_id="src_channel", quote="visibility_timeout = 7200")
    answer = Answer(findings=(Finding(expected="1 hour", found="3600", cites=(cite,)),), verdict=Ruling.PASS)
    assert [r.rule for r in judge_answer(make_task(), make_bundle(), answer).reasons] == ["citations.altered_quote"]


@pytest.mark.parametrize(
    ("claim", "found", "expected", "verdict"),
    [(TRUE_CLAIM, "3600", "1 hour", Ruling.FAIL), (FALSE_CLAIM, "3600", "10 minutes", Ruling.PASS)],
)
def test_a_stored_verdict_that_its_own_findings_contradict_is_refused(
    claim: str, found: str, expected: str, verdict: Ruling
) -> None:
    """Whoever wrote the answer, the verdict follows from its values or is refused."""
    cite = Cite(record_id="src_channel", quote="visibility_timeout = 3600  # 1 hour", line_id="L3")
    answer = Answer(findings=(Finding(expected=expected, found=found, cites=(cite,)),), verdict=verdict)
    assert "verdict.contradicts_findings" in {
        r.rule for r in judge_answer(make_task(claim), make_bundle(), answer).reasons
    }


def test_proposals_may_name_what_does_not_exist_and_claims_may_not() -> None:
    """An unknown literal is refused in a finding's claim and allowed in a proposal."""
    cite = Cite(record_id="src_channel", quote="visibility_timeout = 3600  # 1 hour", line_id="L3")
    finding = Finding(claim="Set by `lease_seconds`.", expected="1 hour", found="3600", cites=(cite,))
    check = Check(item="x", result="pass")
    claimed = Answer(findings=(finding,), checks=(check,), verdict=Ruling.PASS)
    proposed = claimed.model_copy(
        update={"findings": (finding.model_copy(update={"claim": ""}),), "proposals": ("add `lease_seconds`",)}
    )
    assert "literals.unknown" in {reason.rule for reason in judge_answer(make_task(), make_bundle(), claimed).reasons}
    assert judge_answer(make_task(), make_bundle(), proposed).accepted


def test_judging_twice_gives_the_same_verdict() -> None:
    """The gate is a pure function of task, bundle and reply."""
    first = judge(make_task(), make_bundle(), make_generation())
    assert first == judge(make_task(), make_bundle(), make_generation())


@pytest.mark.parametrize(
    "claim",
    [
        "Verify that the visibility timeout of kombu's Redis channel is not 1 hour.",
        "Verify that the visibility timeout of kombu's Redis channel is less than 1 hour.",
        "Verify that the visibility timeout of kombu's Redis channel is at least 1 hour.",
        "Verify that the visibility timeout of kombu's Redis channel isn't 1 hour.",
    ],
)
def test_a_claim_that_denies_or_compares_is_not_decided_by_equality(claim: str) -> None:
    """Equal values confirm "is 1 hour"; they say nothing right about "is not" and "is less than"."""
    assert rules(claim, make_reply()) == {"verdict.relation"}


def test_numbers_with_separators_are_one_number() -> None:
    """3,600 in prose is 3600 in the source."""
    claim = "Verify that the visibility timeout of kombu's Redis channel is 3,600 seconds."
    assert rules(claim, make_reply(expected="3,600 seconds")) == set()


def test_another_number_of_the_claim_is_not_refuted_in_passing() -> None:
    """A version in the claim is not the value that a line about retries refutes."""
    claim = "Verify that in Celery 5 the visibility timeout of kombu's Redis channel is 2 hours."
    assert "verdict.fail_leaves_literal" in rules(claim, make_reply(expected="5"))


def test_a_name_of_the_claim_binds_it_to_the_line_that_has_it() -> None:
    """A claim that names auto_delete is not answered by another switch of the same class."""
    source = "class Redis(kombu.Channel):\n    durable = True\n    auto_delete = False\n"
    claim = "Verify that auto_delete of kombu's Redis channel is enabled."
    assert "binding.other_name" in rules(claim, make_reply("L2", "True", "enabled"), source=source)
    assert rules(claim, make_reply("L3", "False", "enabled"), source=source) == set()


def test_a_switch_whose_name_negates_is_no_plain_answer() -> None:
    """disable_limits=False neither confirms that limits are disabled nor that they are enabled."""
    source = "class Redis(kombu.Channel):\n    disable_rate_limits = Option(False, type='bool')\n"
    claim = "Verify that rate limits of kombu's Redis channel are enabled."
    assert "binding.negated_name" in rules(claim, make_reply("L2", "False", "enabled"), source=source)


@pytest.mark.parametrize(
    ("claim", "line", "rule"),
    [
        ("10 ms", "visibility_timeout = 10", "verdict.unit_unknown"),
        ("10 ms", "visibility_timeout_ms = 10", None),
        ("10 ms", "visibility_timeout = 0.01", None),
    ],
)
def test_a_bare_number_is_milliseconds_only_where_it_says_so(claim: str, line: str, rule: str | None) -> None:
    """Seconds are the unit of a bare number, unless its place speaks of milliseconds."""
    task = f"Verify that the visibility timeout of kombu's Redis channel is {claim}."
    found = line.rpartition(" ")[2]
    refused = rules(task, make_reply("L2", found, claim), source=f"class Redis(kombu.Channel):\n    {line}\n")
    assert refused == ({rule} if rule else set())


def test_a_claim_without_any_value_offers_nothing_to_compare() -> None:
    """Words of the subject are not taken for what the claim says of it."""
    assert assertion.claimed("Verify that the worker acknowledges tasks late.") == ()
    assert [v.text for v in assertion.claimed("Verify that the default serializer is pickle.")] == ["pickle"]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param("[" * 100_000, id="nested too deeply"),
        pytest.param('{"findings": [], "findings": [{"line": "none"}]}', id="a key twice"),
        pytest.param("\ufeff{}", id="a byte order mark"),
        pytest.param(make_reply(found="\ud83d"), id="half of a surrogate pair"),
    ],
)
def test_a_reply_that_no_reader_would_take_alike_is_refused(reply: str) -> None:
    """Hostile and ambiguous JSON ends as a refusal, never as an error."""
    assert rules(TRUE_CLAIM, reply) == {"form.not_the_format"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("'" + "a " * 20_000, id="an open quote"),
        pytest.param("AB" * 16_000, id="capitals"),
        pytest.param("don't" + " " * 32_000, id="an apostrophe and blanks"),
        pytest.param("1" * 32_000, id="digits"),
        pytest.param("5 \u017f and 5 m\u0131n and f\u0131ve", id="letters that fold to units"),
        pytest.param("x=" * 16_000, id="assignments"),
        pytest.param("(" * 32_000, id="brackets"),
    ],
)
def test_hostile_text_is_judged_without_delay_or_error(text: str) -> None:
    """No text in the claim or in a line makes a rule run away; the suite's time limit is the bound."""
    for claim, source in ((f"Verify {text}"[:32_000], SOURCE), (TRUE_CLAIM, f"class X:\n    {text}\n")):
        assert judge(make_task(claim), make_bundle(source), make_generation(make_reply(line="L2")))[1].reasons
