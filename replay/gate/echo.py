"""Echo rules: an answer is about the task, and does not repeat what a similar record says of something else."""

from __future__ import annotations

from replay import values
from replay.contracts import Reason
from replay.corpus.tokens import query_tokens, tokens
from replay.gate.case import Case


def is_about_the_task(case: Case) -> list[Reason]:
    """Each finding that claims something is about a thing that the task names, or shares its words."""
    reasons = []
    asked = case.task.text.lower()
    named = [name.text.lower() for name in case.named]
    about = set() if named else {token for token in query_tokens(case.task.text) if len(token) > 1}
    for finding, spans in case.claims:
        if any(_is_asked(span.record.title, asked) for span in spans):
            continue
        if named:
            spoken = any(
                name in held and values.stands_whole(name, held)
                for span in spans
                for held in (span.names.lower(), span.quote.lower())
                for name in named
            )
        else:
            held = "\n".join(f"{span.names}\n{span.quote}" for span in spans)
            spoken = not about or bool(about & (tokens(held) | tokens(finding.claim)))
        if not spoken:
            reasons.append(
                Reason(
                    rule="echo.other_subject",
                    message="the finding is about something that the task does not ask",
                    span=finding.claim,
                    expectation=", ".join(name.text for name in case.named) or case.task.text,
                )
            )
    return reasons


def _is_asked(title: str, asked: str) -> bool:
    """Does the task name a record by its whole title, whatever that looks like: `requests: Advanced use: Proxies`?"""
    return bool(title) and values.stands_whole(title.lower(), asked)
