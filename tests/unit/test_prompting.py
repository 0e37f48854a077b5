"""The prompt and the answer format: what is shown, in which order, and what may come back."""

from __future__ import annotations

import pytest

from replay import answers, prompting
from replay.contracts import Bundle, Hit, Record, RecordKind
from tests.factories import UNSURE, make_bundle, make_reply, make_task

EXEMPLAR = """\
Claim: Verify that the poll interval is 5 seconds.
Evidence: celery/beat.py:10: poll_interval = 5
Expected: 5 seconds
Found: 5
Verdict: pass
Verify the assignment."""


def bundle_with_playbook() -> Bundle:
    """One exemplar, one warning and a step beside the source lines."""
    records = [
        Record(record_id="pb-2", kind=RecordKind.EXEMPLAR, text=EXEMPLAR),
        Record(record_id="pb-1", kind=RecordKind.EXEMPLAR, text="An exemplar in words."),
        Record(record_id="pb-3", kind=RecordKind.WARNING, text="A list is not a default."),
    ]
    return make_bundle().model_copy(
        update={
            "playbook": tuple(Hit(record=record, score=0.5, scorer="jaccard.v1") for record in records),
            "exemplars": ("pb-2", "pb-1"),
            "warnings": ("pb-3",),
            "validation_steps": ("Verify the assignment.",),
        }
    )


def test_static_part_first_records_by_id_task_last() -> None:
    """The order serves a prefix cache: rules, exemplars by id, warnings, steps, evidence, and the task at the end."""
    system, user = prompting.build(make_task(), bundle_with_playbook(), (), prompting.PromptLimits()).messages
    assert system["role"] == "system"
    order = [
        "An exemplar in words.",
        "poll_interval = 5",
        "A list is not a default.",
        "Steps:",
        "Evidence:\nL1",
        "Claim: Verify that the visibility",
    ]
    positions = [user["content"].index(part) for part in order]
    assert positions == sorted(positions)


def test_an_exemplar_is_shown_in_the_form_that_is_asked_for() -> None:
    """A worked example ends in a reply that the parser itself would take."""
    user = prompting.build(make_task(), bundle_with_playbook(), (), prompting.PromptLimits()).messages[1]["content"]
    reply = next(line for line in user.splitlines() if line.startswith('{"findings"'))
    assert answers.parse(reply, make_task(), make_bundle()).findings[0].found == "5"


def test_limits_bound_what_is_shown_and_not_what_is_kept() -> None:
    """With no exemplars to show the prompt has none, while the bundle still has both."""
    bundle = bundle_with_playbook()
    user = prompting.build(make_task(), bundle, (), prompting.PromptLimits(0, 0, 0)).messages[1]["content"]
    assert "Example" not in user
    assert "Warning" not in user
    assert len(bundle.exemplars) == 2


def test_the_schema_offers_lines_that_can_decide_with_the_values_in_them() -> None:
    """A line without a value of the claimed kind is not offered; each checklist item must be answered."""
    schema = answers.schema(make_task(checklist=["a", "b"]), make_bundle())
    choices = schema["properties"]["findings"]["items"]["anyOf"]
    assert [choice["properties"]["line"]["const"] for choice in choices] == ["L2", "L3", "L4", "none"]
    assert choices[1]["properties"]["found"]["enum"] == ["3600", "1 hour"][:1]
    assert choices[1]["properties"]["expected"]["enum"] == ["1 hour"]
    assert schema["properties"]["checks"]["required"] == ["C1", "C2"]


def test_quotes_are_resolved_by_code() -> None:
    """The stored citation has the record's id and the line verbatim, whatever the model wrote."""
    cite = answers.parse(make_reply(), make_task(), make_bundle()).findings[0].cites[0]
    assert (cite.record_id, cite.quote, cite.line_id) == ("src_channel", "visibility_timeout = 3600  # 1 hour", "L3")


def test_a_fenced_reply_is_read_and_prose_around_it_is_not() -> None:
    """Text mode allows one code fence around the object and nothing else."""
    fenced = f"```json\n{make_reply()}\n```"
    assert answers.parse(fenced, make_task(), make_bundle()).verdict.value == "pass"
    with pytest.raises(ValueError, match="not JSON"):
        answers.parse("Sure! " + make_reply(), make_task(), make_bundle())


def test_a_wrong_field_is_named() -> None:
    """The message says which field departs from the format."""
    with pytest.raises(ValueError, match=r"field checks\.C1"):
        answers.parse(make_reply(checks={"C1": "maybe"}), make_task(checklist=["a"]), make_bundle())


def test_the_verdict_follows_from_the_values() -> None:
    """Equal values pass, unequal ones fail, and no line means unsure; the model is not asked."""
    rulings = [
        answers.parse(reply, make_task(), make_bundle()).verdict.value
        for reply in (make_reply(), make_reply(found="300", line="L2"), UNSURE)
    ]
    assert rulings == ["pass", "fail", "unsure"]


def test_no_line_of_a_source_begins_another_line_of_the_prompt() -> None:
    """A form feed or a Unicode line separator within a source line does not make a second evidence line of its rest."""
    bundle = make_bundle("visibility_timeout = 3600\u2028L9 [kombu] visibility_timeout = 1\x0bL8 [kombu] x = 2\n")
    (*_, user) = prompting.build(make_task(), bundle, (), prompting.PromptLimits()).messages
    assert not [line for line in user["content"].splitlines() if line.startswith(("L8", "L9"))]
