"""Whether a bundle has any answer that the gate would accept.

Under the schema a model can only choose among what is offered: a line, a value in it, a value of the claim. All that
it could say is therefore known before it is asked, and so is what the gate says of it. Where no choice passes, no
model's answer over this bundle can, however large it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice, product
from typing import Any

from replay import answers
from replay.contracts import Bundle, Generation, ReplayTask
from replay.gate import Gate, judge

MOST = 64
"""How many choices are judged; where there are more, an answer is taken to be possible."""


def is_decidable(task: ReplayTask, bundle: Bundle, gate: Gate) -> bool:
    """Is there a choice that the gate accepts, whether right or wrong? A pure function of the three.

    Takes a judgement for each choice, up to the first that is accepted, or `MOST` of them.
    """
    if bundle.passages and not bundle.lines:
        return True  # the schema is free text then, and a record can be named as a whole
    judged = 0
    for finding in islice(offered(task, bundle), MOST):
        _, verdict = judge(task, bundle, chosen(task, finding), gate)
        if verdict.accepted:
            return True
        judged += 1
    return judged == MOST


def offered(task: ReplayTask, bundle: Bundle) -> Iterator[dict[str, str]]:
    """Each finding that the schema allows, in the order of the lines."""
    if not bundle.lines:
        return
    for choice in answers.schema(task, bundle)["properties"]["findings"]["items"]["anyOf"]:
        held = choice["properties"]
        if "found" not in held:
            continue
        for found, expected in product(held["found"]["enum"], held["expected"]["enum"]):
            yield {"line": held["line"]["const"], "found": found, "expected": expected}


def chosen(task: ReplayTask, finding: dict[str, str], *, by: str = "choice") -> Generation:
    """A reply that makes a choice, with every item of the checklist passed: no reply with it is judged better.

    Args:
        task: What is asked.
        finding: One of `offered`, or only the line that says that none decides.
        by: Who is named as its model.
    """
    written: dict[str, Any] = {"findings": [finding]}
    if task.checklist:
        written["checks"] = dict.fromkeys(answers.check_ids(task), "pass")
    return Generation(
        model=by, endpoint=by, response_format="json_schema", content=json.dumps(written), finish_reason="stop"
    )
