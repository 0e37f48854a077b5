"""An explanation as Markdown that a model or a record cannot break out of.

Foreign text stands in code: single lines in a code span, whose delimiter is longer than any run of backticks in the
text, lines of records in a fenced block with as long a fence. Nothing in it is markup there, be it a table's bar, a
link or HTML (CommonMark 0.31, sections 4.5 and 6.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from replay.contracts import Reason
from replay.study.explaining import Citation, Explanation, Laid, ShownLine
from replay.study.visible import one_line, visible

OPEN, CLOSE = "⟦", "⟧"
_LONGEST_LINE = 400
_BACKTICKS = re.compile(r"`+")


def to_markdown(explanation: Explanation) -> str:
    """The explanation as a document of its own."""
    return "\n".join(_document(explanation)) + "\n"


def marked(claim: str, places: tuple[tuple[int, int], ...], opening: str = OPEN, closing: str = CLOSE) -> str:
    """A claim on one line with marks round the places; marks that it brings itself are spelt out."""
    parts = []
    at = 0
    for start, end in places:
        parts += [_unmarked(claim[at:start]), opening, _unmarked(claim[start:end]), closing]
        at = end
    return "".join([*parts, _unmarked(claim[at:])])


def code(text: str) -> str:
    """A foreign text as a code span: on one line, nothing in it is markup."""
    held = one_line(text, _LONGEST_LINE)
    if not held:
        return "` `"
    ticks = "`" * (_longest_run(held) + 1)
    # A reader takes one blank off each side, so that a text may begin or end with a backtick.
    blank = " " if held[0] == "`" or held[-1] == "`" else ""
    return f"{ticks}{blank}{held}{blank}{ticks}"


def cell(text: str) -> str:
    """A foreign text for a cell of a table, where a bar ends the cell even within code."""
    return code(text).replace("|", r"\|")


def _document(explanation: Explanation) -> Iterator[str]:
    yield f"# {code(explanation.run.custom_id)}: {explanation.decision}\n"
    yield f"{code(explanation.run.task.text)}\n"
    yield "| | |\n|---|---|"
    yield from (f"| {name} | {cell(value)} |" for name, value in _facts(explanation))
    yield ""
    if explanation.no_answer:
        yield f"There is no answer: {code(explanation.no_answer)}\n"
        yield from _fenced(explanation.reply.split("\n")) if explanation.reply else ()
    for finding in explanation.findings:
        yield from _finding(finding)
    if explanation.reasons:
        yield "## About the answer as a whole\n"
        yield from map(_reason, explanation.reasons)
        yield ""
    if explanation.checks:
        yield "## Checks\n\n| item | result |\n|---|---|"
        # What was decided first: what was left open may be about other tasks.
        checks = sorted(explanation.checks, key=lambda check: (check.result == "unknown", check.result))
        yield from (f"| {cell(check.item)} | {check.result} |" for check in checks)
        yield ""
    if explanation.findings:
        now = ", measured now" if explanation.measured_now else ""
        yield f"{OPEN}…{CLOSE} marks what nothing cited backs, by {code(explanation.scorer)}{now}; `▶` a cited line."


def _facts(explanation: Explanation) -> Iterator[tuple[str, str]]:
    run, attempt = explanation.run, explanation.attempt
    yield "run", run.run_id
    if attempt is not None:
        yield "attempt", attempt.attempt_id
        yield "tier", attempt.tier.value
        if attempt.generation is not None:
            yield "model", attempt.generation.model
        if attempt.answer is not None:
            yield "answer", attempt.answer.verdict.value
    if explanation.gate_version:
        yield "gate", explanation.gate_version
    yield "state", run.state.value
    yield "corpus", run.corpus_version or "none"


def _finding(finding: Laid) -> Iterator[str]:
    backed = "" if finding.score is None else f", {finding.score:.0%} backed"
    yield f"## Finding {finding.number}{backed}\n"
    yield f"{code(marked(finding.claim, finding.unsupported))}\n"
    yield from map(_reason, finding.reasons)
    if finding.reasons:
        yield ""
    if not finding.citations:
        yield "It cites nothing.\n"
    for citation in finding.citations:
        yield from _citation(citation)


def _citation(citation: Citation) -> Iterator[str]:
    if not citation.kind:
        yield f"It cites {code(citation.record_id)}, which is not in the bundle.\n"
        return
    yield f"{code(citation.place or citation.record_id)}, {citation.kind} {code(citation.record_id)}\n"
    if not citation.stands:
        yield f"The quote does not stand in it: {code(citation.quote or '')}\n"
    yield from _fenced([shown(line) for line in citation.lines])


def shown(line: ShownLine) -> str:
    """A line of a record with its number, and the mark of a cited one."""
    text = visible(line.text.rstrip()[: _LONGEST_LINE + 1].expandtabs(4))
    cut = text[:_LONGEST_LINE] + "…" if len(text) > _LONGEST_LINE else text
    return f"{'▶' if line.cited else ' '} {line.number:>5}  {cut}"


def _fenced(lines: list[str]) -> Iterator[str]:
    text = "\n".join(lines)
    fence = "`" * max(3, _longest_run(text) + 1)
    yield f"{fence}text\n{text}\n{fence}\n"


def _reason(reason: Reason) -> str:
    span = f": {code(reason.span)}" if reason.span else ""
    return f"- **{reason.rule if _is_code(reason.rule) else code(reason.rule)}** {code(reason.message)}{span}"


def _is_code(rule: str) -> bool:
    return re.fullmatch(r"[a-z_.]+", rule) is not None


def _unmarked(text: str) -> str:
    return text.replace(OPEN, r"\u27e6").replace(CLOSE, r"\u27e7")


def _longest_run(text: str) -> int:
    return max(map(len, _BACKTICKS.findall(text)), default=0)
