"""Faults and harmless changes of an answer that points at a line and names two values."""

from __future__ import annotations

import re
from random import Random

from replay.contracts import Answer, Bundle, Cite, EvidenceLine, Finding, Ruling
from replay.study.mutations import numerals
from replay.study.mutations.editing import Mutation, overlap, shuffled, with_finding

_VALUE = re.compile(r"(?<![\w.])(?:True|False|None|\d+(?:\.\d+)?|'[^'\s]+'|\"[^\"\s]+\")(?![\w.])")
_SETS = re.compile(r"^[\"']?(\w+)[\"']?\s*(?::[^=]+)?(?:=|:)\s*(?:Option\()?([^,()#]+?),?\s*(?:#.*)?$")
_UNITS = ("ms", "seconds", "minutes", "hours", "days")
_IN_SECONDS = {"ms": 0.001, "s": 1.0, "second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_OPPOSITE = {"true": "False", "false": "True", "enabled": "disabled", "disabled": "enabled", "on": "off", "off": "on"}
_PROPOSALS = ("Name the default in the user guide.", "Add a test for this value.", "Consider a larger value.")


def plain(value: str) -> str:
    """A value without quotation marks, in lower case; whole numbers without a fraction."""
    stripped = value.strip("`'\" ").lower()
    return stripped.removesuffix(".0") if re.fullmatch(r"\d+\.0", stripped) else stripped


def holds(value: str, text: str) -> bool:
    """Does a text have the value as a whole word, in whatever case and marks?"""
    return re.search(rf"(?<![\w.]){re.escape(plain(value))}(?:\.0)?(?![\w]|\.\d)", text.lower()) is not None


def _one(answer: Answer) -> tuple[Finding, str, str, Cite]:
    finding = answer.findings[0]
    return finding, finding.expected or "", finding.found or "", finding.cites[0]


def _told(answer: Answer, ruling: Ruling, **changes: object) -> Answer:
    """The answer with other fields of its finding and another ruling, its checks along with it."""
    finding = answer.findings[0].model_copy(update=changes)
    checks = tuple(check.model_copy(update={"result": str(ruling)}) for check in answer.checks)
    return with_finding(answer, 0, finding).model_copy(update={"verdict": ruling, "checks": checks})


def _others(old: str, bundle: Bundle, rng: Random) -> list[str]:
    """Values of the kind of another: beside it, its opposite, or from the shown lines."""
    near = [match[0] for line in bundle.lines for match in _VALUE.finditer(line.text)]
    kind = [value for value in near if plain(value).isdigit() == plain(old).isdigit()]
    made = shuffled(sorted(set(kind)), rng)[:3]
    if opposite := _OPPOSITE.get(plain(old)):
        made.append(opposite)
    if re.fullmatch(r"\d+(?:\.\d+)?", old) and (number := numerals.another(old, "", rng)):
        made.append(number)
    return made


def value_found(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """A found value that the cited line does not have: the claimed one, or another of its kind."""
    _, expected, found, cite = _one(answer)
    line = cite.quote or ""
    if answer.verdict is Ruling.FAIL and not _same_quantity(expected, line) and rng.random() < 0.6:
        return _told(answer, Ruling.PASS, found=expected)
    # What is calculated in the line, or said in another unit, is in it too.
    fit = [new for new in _others(found, bundle, rng) if not holds(new, line) and plain(new) != plain(expected)]
    if not fit or "*" in line:
        return None
    return _told(answer, Ruling.FAIL, found=rng.choice(fit))


def _same_quantity(value: str, line: str) -> bool:
    return holds(value, line) or "*" in line or bool(re.search(r"[a-z]", value) and re.match(r"\d", value))


def value_expected(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """A claimed value that the task does not claim: the one that was found, or another of its kind."""
    _, expected, found, _ = _one(answer)
    task_has = rf"\b{re.escape(plain(expected))}\b"
    if answer.verdict is Ruling.FAIL and rng.random() < 0.6 and not re.search(task_has, plain(found)):
        return _told(answer, Ruling.PASS, expected=found)
    fit = [new for new in _others(expected, bundle, rng) if plain(new) not in (plain(expected), plain(found))]
    return _told(answer, Ruling.FAIL, expected=rng.choice(fit)) if fit and answer.verdict is Ruling.PASS else None


def value_verdict(answer: Answer, _bundle: Bundle, _rng: Random) -> Answer | None:
    """The verdict `fail` over two values that agree."""
    if answer.verdict is not Ruling.PASS:
        return None
    return answer.model_copy(update={"verdict": Ruling.FAIL})


def value_pass_over_fail(answer: Answer, _bundle: Bundle, _rng: Random) -> Answer | None:
    """The verdict `pass` over two values that differ."""
    if answer.verdict is not Ruling.FAIL:
        return None
    return answer.model_copy(update={"verdict": Ruling.PASS})


def value_unit(answer: Answer, _bundle: Bundle, rng: Random) -> Answer | None:
    """The claimed duration in another unit, or the found number with a unit that makes it another duration."""
    _, expected, found, _ = _one(answer)
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([a-z]+)", expected)
    unit = match[2].rstrip("s") or "s" if match else ""
    unit = "ms" if unit == "m" else unit
    if match is None or unit not in _IN_SECONDS:
        return None
    others = [
        other for other in _UNITS if _IN_SECONDS[other if other == "ms" else other.rstrip("s")] != _IN_SECONDS[unit]
    ]
    if rng.random() < 0.6 or not re.fullmatch(r"\d+(?:\.\d+)?", found):
        return _told(answer, answer.verdict, expected=f"{match[1]} {rng.choice(others)}")
    if answer.verdict is Ruling.PASS:
        return None
    # The found number is in seconds; with the unit of the claim it seems to agree only where the digits do.
    return _told(answer, answer.verdict, found=f"{found} {rng.choice([o for o in others if o != 'seconds'] or others)}")


def value_line(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """Another shown line, about another thing: with the old value, or with the value of that line and what follows."""
    _, expected, found, cite = _one(answer)
    here = _SETS.match(cite.quote or "")
    for line in shuffled(bundle.lines, rng):
        if line.line_id == cite.line_id or line.text == cite.quote:
            continue
        there = _SETS.match(line.text)
        if there and here and not _alike(here[1], there[1]) and rng.random() < 0.7:
            value = there[2].strip()
            if _VALUE.fullmatch(value):
                ruling = Ruling.PASS if plain(value) == plain(expected) else Ruling.FAIL
                return _told(answer, ruling, found=value, cites=(_cite(line),))
        if not holds(found, line.text) and overlap(cite.quote or "", line.text) < 0.5:
            return _told(answer, answer.verdict, cites=(_cite(line),))
    return None


def _alike(one: str, two: str) -> bool:
    """Do two names share a part, so that one may be said for the other?"""
    return bool(set(one.lower().split("_")) & set(two.lower().split("_")))


def value_owner(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """The line of the same name in another class, function or package."""
    _, expected, found, cite = _one(answer)
    here = _SETS.match(cite.quote or "")
    records = bundle.records()
    mine = records[cite.record_id]
    for line in shuffled(bundle.lines, rng):
        there = _SETS.match(line.text)
        other = records[line.record_id]
        if line.record_id == cite.record_id or not here or not there or here[1] != there[1]:
            continue
        # A subclass or a twin may stand for it.
        if other.title.split(".")[-2:] == mine.title.split(".")[-2:]:
            continue
        value = there[2].strip()
        # With the same value the line would be a wrong place for a right answer: arguable.
        if not _VALUE.fullmatch(value) or plain(value) == plain(found):
            continue
        ruling = Ruling.PASS if plain(value) == plain(expected) else Ruling.FAIL
        return _told(answer, ruling, found=value, cites=(_cite(line),))
    return None


def value_quote(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """A quote that is not the line that its id names: edited, of another line, or of no shown line."""
    _, expected, found, cite = _one(answer)
    quote = cite.quote or ""
    records = bundle.records()
    # A record that has the quote elsewhere would still be a right place for it.
    others = [line for line in bundle.lines if quote not in records[line.record_id].text]
    how = rng.randrange(4)
    if how == 0 and found and found in quote and not holds(expected, quote):
        return _told(
            answer, answer.verdict, cites=(cite.model_copy(update={"quote": quote.replace(found, expected, 1)}),)
        )
    if how == 1 and others:
        line = rng.choice(others)
        return _told(
            answer,
            answer.verdict,
            cites=(cite.model_copy(update={"line_id": line.line_id, "record_id": line.record_id}),),
        )
    if how == 2:
        made = f"L{len(bundle.lines) + rng.randint(1, 40)}"
        return _told(answer, answer.verdict, cites=(Cite(record_id=made),))
    words = quote.split()
    if len(words) < 3:
        return None
    at = rng.randrange(len(words))
    made = " ".join([*words[:at], rng.choice(("default", "max", "self", "or", "legacy_")), *words[at + 1 :]])
    return _told(answer, answer.verdict, cites=(cite.model_copy(update={"quote": made}),)) if made != quote else None


def _cite(line: EvidenceLine) -> Cite:
    return Cite(record_id=line.record_id, quote=line.text, line_id=line.line_id)


def value_untouched(answer: Answer, _bundle: Bundle, _rng: Random) -> Answer | None:
    """The right answer itself."""
    return answer


def value_spelling(answer: Answer, _bundle: Bundle, rng: Random) -> Answer | None:
    """The same two values with or without quotation marks, a switch in another case."""
    _, expected, found, _ = _one(answer)

    def spelled(value: str) -> str:
        bare = value.strip("`'\"")
        if bare in ("True", "False", "None"):
            return rng.choice((bare.lower(), f"`{bare}`", bare))
        if bare[:1].isdigit():
            return rng.choice((bare, f"`{bare}`"))
        return rng.choice((bare, f"'{bare}'", f'"{bare}"', f"`{bare}`"))

    made = _told(answer, answer.verdict, expected=spelled(expected), found=spelled(found))
    return made if made != answer else None


def value_proposal(answer: Answer, _bundle: Bundle, rng: Random) -> Answer | None:
    """A suggestion beside the right answer."""
    return answer.model_copy(update={"proposals": (rng.choice(_PROPOSALS),)})


VALUE_FAULTS: dict[str, Mutation] = {
    "value_found": value_found,
    "value_expected": value_expected,
    "value_verdict": value_verdict,
    "value_pass_over_fail": value_pass_over_fail,
    "value_unit": value_unit,
    "value_line": value_line,
    "value_owner": value_owner,
    "value_quote": value_quote,
}
"""After any of these the answer is wrong."""

VALUE_PARAPHRASES: dict[str, Mutation] = {
    "value_untouched": value_untouched,
    "value_spelling": value_spelling,
    "value_proposal": value_proposal,
}
"""After any of these the answer is as right as it was."""
