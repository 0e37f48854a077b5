"""Harmless changes: the answer says the same in another way, and a careful reader accepts it as he did before."""

from __future__ import annotations

import re
from random import Random

from replay.contracts import Answer, Bundle
from replay.study.mutations import numerals
from replay.study.mutations.editing import (
    replace_at,
    shuffled,
    spots,
    with_claim,
    with_findings,
    with_sentence,
)
from replay.study.mutations.synonyms import replaced

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_DURATION = re.compile(r"(?<![\w.-])(\d+)[ -]?(seconds?|minutes?|hours?|days?|s|ms|milliseconds?)\b(?!\w|\()")
_SMALL = re.compile(r"[2-9]|1[0-2]")
_NAMED = re.compile(r"(?:[A-Z]\w*|version|level|step|RFC|Python|=) $")
_EXAMPLE = re.compile(r" \((?:e\.g\.|for example|such as|i\.e\.|see|like)[^()]*\)")
_ASIDE = re.compile(r"^(?:Note that|Note:|Please note that|In short,|Basically,|However,) (?=\w)")
# Not the name in a role of reStructuredText, whose marks belong to it.
_TICKED = re.compile(r"(?<![:`])(?:``([^`]+)``|`([^`]+)`)(?!`)")
_SWITCH = re.compile(r"\bDefaults to (True|False|None)\b")
_FRAME = re.compile(
    r"^(?:The documentation of |According to |In the words of |What )?([\w.]+\.\w+)"
    r"(?: says| states is| documents this)?[:,] "
)


def untouched(answer: Answer, _bundle: Bundle, _rng: Random) -> Answer | None:
    """The gold answer itself."""
    return answer


def current_fact(answer: Answer, _bundle: Bundle, _rng: Random) -> Answer | None:
    """The gold answer beside evidence that also tells an older value."""
    return answer


def reordered(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """The same findings in another order; or a claim with the name of its subject behind the sentence."""
    if rng.random() < 0.7:
        made = with_findings(answer, shuffled(answer.findings, rng))
        return made if made != answer else None
    for spot in shuffled(spots(answer, bundle), rng):
        frame = _FRAME.fullmatch(spot.before)
        if frame and not spot.after:
            return with_claim(answer, spot.place, f"{spot.sentence} ({frame[1]})")
    return None


def shortened(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """Without an example in brackets, an aside, the name of the speaker, or a second finding about one record."""
    records = [finding.cites[0].record_id for finding in answer.findings if len(finding.cites) == 1]
    double = [
        place
        for place, finding in enumerate(answer.findings)
        if len(finding.cites) == 1 and records.count(finding.cites[0].record_id) > 1
    ]
    ways = ["example", "aside", "frame"] + (["finding"] if double and len(answer.findings) > 2 else [])
    for way in shuffled(ways, rng):
        if way == "finding":
            place = rng.choice(double)
            return with_findings(answer, [one for rank, one in enumerate(answer.findings) if rank != place])
        for spot in shuffled(spots(answer, bundle), rng):
            made = spot.sentence
            if way == "example":
                made = _EXAMPLE.sub("", made, count=1)
            elif way == "aside":
                made = _ASIDE.sub("", made)
                made = made[0].upper() + made[1:] if made != spot.sentence else made
            elif _FRAME.fullmatch(spot.before) and spot.sentence[0].isupper():
                return with_claim(answer, spot.place, f"{spot.sentence}{spot.after}")
            if made != spot.sentence:
                return with_sentence(answer, spot, made)
    return None


def synonym(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """One to three words for others of the same meaning, each in a claim of its own."""
    made = answer
    changed = 0
    wanted = rng.randint(1, 3)
    for spot in shuffled(spots(answer, bundle), rng):
        choices = replaced(spot.sentence)
        if choices and changed < wanted:
            edited = with_sentence(answer, spot, rng.choice(choices)).findings[spot.place]
            findings = list(made.findings)
            if findings[spot.place] == answer.findings[spot.place]:
                findings[spot.place] = edited
                made = with_findings(made, findings)
                changed += 1
    return made if changed else None


def units_spelled_out(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """The same quantity: seconds as minutes, digits as words, words as digits, `%` as percent."""
    for spot in shuffled(spots(answer, bundle), rng):
        converted, spelled = _converted(spot.sentence), _respelled(spot.sentence)
        if choices := converted if converted and rng.random() < 0.7 else converted + spelled:
            return with_sentence(answer, spot, rng.choice(choices))
    return None


def spellable(sentence: str) -> bool:
    """Does a sentence have a quantity that can be said in another way?"""
    return bool(_converted(sentence) or _respelled(sentence))


def _converted(sentence: str) -> list[str]:
    made = []
    for match in _DURATION.finditer(sentence):
        amount, unit = int(match[1]), match[2].rstrip("s") or "s"
        if unit in ("m", "millisecond"):
            other = "milliseconds" if unit == "m" else "ms"
            made.append(replace_at(sentence, match, f"{amount} {other}"))
            continue
        seconds = amount * _SECONDS["second" if unit in ("s", "") else unit]
        for name, size in _SECONDS.items():
            if seconds % size == 0 and seconds // size <= 100_000 and name != unit:
                many = seconds // size
                made.append(replace_at(sentence, match, f"{many} {name}{'' if many == 1 else 's'}"))
    made += [replace_at(sentence, match, " percent") for match in re.finditer(r"(?<=\d)%", sentence)]
    return made


def _respelled(sentence: str) -> list[str]:
    made = []
    for match in numerals.places(sentence):
        written = match[0]
        behind = sentence[match.end() :]
        before = sentence[: match.start()]
        if written.lower() in numerals.WORDS:
            made.append(before + str(numerals.WORDS[written.lower()]) + behind)
        # "4 cells" reads as "four cells"; "HTTP 2" and "defaults to 4" do not always.
        elif _SMALL.fullmatch(written) and re.match(r" [a-z]{3,}", behind) and not _NAMED.search(before):
            made.append(before + numerals.SPELLED[int(written)] + behind)
    return made


def respelled(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """Names in other quotation marks or in none, and switches said in another way."""
    for spot in shuffled(spots(answer, bundle), rng):
        sentence = spot.sentence
        made = []
        for match in _TICKED.finditer(sentence):
            name = match[1] or match[2]
            marks = ["`{}`", '"{}"', "'{}'", "``{}``"]
            if re.fullmatch(r"\w*[._]\w+|[A-Z]\w+[A-Z]\w+|True|False|None", name):
                marks.append("{}")
            made += [sentence[: match.start()] + mark.format(name) + sentence[match.end() :] for mark in marks]
        for match in _SWITCH.finditer(sentence):
            made.append(replace_at(sentence, match, f"Defaults to {match[1].lower()}"))
            said = ["Defaults to `{}`", "The default is {}", 'Defaults to "{}"', "By default {}"]
            made += [replace_at(sentence, match, way.format(match[1])) for way in said]
        made = [text for text in made if text != sentence]
        if made:
            return with_sentence(answer, spot, rng.choice(made))
    return None
