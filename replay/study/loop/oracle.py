"""A stand-in for a strong large model: it knows the gold answer and points at the deciding line.

No model can be as good: it is told what is right. What it cannot do is cite a line that retrieval did not offer, so it
shows how much the mechanism could win at most. Wherever its numbers appear they carry its name, `STAND_IN`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replay import answers, values
from replay.choices import chosen, offered
from replay.contracts import Bundle, EscalationOrder, Generation, ReplayTask, Ruling, Tier, Verdict
from replay.gate import Gate, judge
from replay.study.loop.tasks import Gold

STAND_IN = "oracle stand-in (knows the gold answer; not a model)"
NAME = "oracle-stand-in"


class OracleStandIn:
    """Answers one order by its gold; says that no line decides where none that is offered does.

    Of several right choices it takes one that the gate accepts, and where it accepts none the first: it is a ceiling.
    """

    def __init__(self, order: EscalationOrder, gold: Gold, gate: Gate) -> None:
        self._order = order
        self._gold = gold
        self._gate = gate

    def generate(self, tier: Tier, messages: list[dict[str, str]], schema: dict[str, Any]) -> Generation:
        """Return the right choice, whoever is asked and whatever the prompt says."""
        del tier, messages, schema
        first = None
        for reply, verdict in right_choices(self._order.task, self._order.bundle, self._gold, self._gate):
            if verdict.accepted:
                return reply
            first = first or reply
        return first or _reply(self._order.task, {"line": answers.NO_LINE})


def can_be_right(task: ReplayTask, bundle: Bundle, gold: Gold, gate: Gate) -> bool:
    """Is there any choice in a bundle that is right and that the gate accepts? No answer over it can do better."""
    return any(verdict.accepted for _, verdict in right_choices(task, bundle, gold, gate))


def right_choices(task: ReplayTask, bundle: Bundle, gold: Gold, gate: Gate) -> Iterator[tuple[Generation, Verdict]]:
    """Each choice on the deciding line that leads to the known ruling, those with the known values first."""
    places = gold.places
    if not places or not bundle.lines:
        return
    records, lines = bundle.records(), {line.line_id: line for line in bundle.lines}
    found = [
        finding
        for finding in offered(task, bundle)
        if (line := lines[finding["line"]]) and (records[line.record_id].path, line.text.strip()) in places
    ]
    for finding in sorted(found, key=lambda one: not _is_known(one, gold)):
        reply = _reply(task, finding)
        answer, verdict = judge(task, bundle, reply, gate)
        if answer is not None and answer.verdict is gold.ruling and answer.verdict is not Ruling.UNSURE:
            yield reply, verdict


def _is_known(finding: dict[str, str], gold: Gold) -> bool:
    known = (("found", gold.found), ("expected", gold.expected))
    return all(said is not None and values.parse(finding[name]).same(values.parse(said)) for name, said in known)


def _reply(task: ReplayTask, finding: dict[str, str]) -> Generation:
    return chosen(task, finding, by=NAME)
