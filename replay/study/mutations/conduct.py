"""Answers that fail their purpose: hedged, self-contradicting, repeating, empty, cut off, about another task."""

from __future__ import annotations

import re
from random import Random

from replay.contracts import Answer, Bundle, Check, Cite, Finding, Ruling
from replay.study.mutations.editing import (
    content,
    overlap,
    shuffled,
    spots,
    with_claim,
    with_finding,
    with_findings,
    with_sentence,
)

_LEADING = (
    "I think that", "It seems that", "Probably,", "As far as I can tell,", "I am not sure, but", "Presumably,",
    "It is likely that", "Perhaps", "I would guess that", "It appears that", "To the best of my knowledge,",
    "Most likely", "I believe that", "It could be that", "Possibly,", "As an AI language model, I would say that",
    "If I remember correctly,", "I assume that",
)  # fmt: skip
_TRAILING = (
    ", I think", ", probably", ", as far as I know", ", but I cannot be certain", " (not verified)",
    ", or something similar", ", though this may be wrong", ", if I am not mistaken", " - I am guessing here",
    ", presumably",
)  # fmt: skip
_INSERTED = ("probably", "possibly", "perhaps", "likely", "presumably", "supposedly", "apparently", "maybe")
_AUXILIARY = re.compile(r"\b(is|are|can|will|must|should|does|has)\b")
_BLOCKING = (
    "{name}: the documented behaviour contradicts what the task asks for; this is a blocking defect.",
    "The check of {name} failed.",
    "{name} does not meet the requirement that the task states.",
    "BLOCKER: {name} is not documented as the task demands.",
    "The requirement on {name} is violated by the cited text.",
    "For {name} the audit found a mismatch that has to be mended before release.",
)
_VALUES = (("enabled", "disabled"), ("3", "7"), ("True", "False"), ("utf-8", "latin-1"), ("10 seconds", "30 seconds"))
_NOTHING = ("", " ", "N/A", "...", "TODO", "-", "None", "n/a", "\n", "No findings.", "See above.")


def hedge(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """A claim that takes back its own certainty, at its beginning, in the middle or at its end."""
    for spot in shuffled(spots(answer, bundle), rng):
        sentence = spot.sentence
        how = rng.randrange(4)
        verb = _AUXILIARY.search(sentence)
        if how == 0:
            made = f"{rng.choice(_LEADING)} {sentence}"
        elif how == 1:
            made = f"{sentence.rstrip('.')}{rng.choice(_TRAILING)}."
        elif how == 2 and verb:
            made = f"{sentence[: verb.end()]} {rng.choice(_INSERTED)}{sentence[verb.end() :]}"
        else:
            lead = rng.choice(_LEADING)
            return with_claim(answer, spot.place, f"{lead} {answer.findings[spot.place].claim}")
        return with_sentence(answer, spot, made)
    return None


def pass_over_blocking(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """The verdict `pass` over a finding or a check that says the opposite."""
    if answer.verdict is not Ruling.PASS or not answer.findings:
        return None
    place = rng.randrange(len(answer.findings))
    finding = answer.findings[place]
    cite = finding.cites[0]
    how = rng.randrange(4)
    if how == 0 and answer.checks:
        rank = rng.randrange(len(answer.checks))
        checks = list(answer.checks)
        checks[rank] = Check(item=checks[rank].item, result="fail")
        return answer.model_copy(update={"checks": tuple(checks)})
    if how == 1:
        expected, found = rng.choice(_VALUES)
        return with_finding(answer, place, finding.model_copy(update={"expected": expected, "found": found}))
    record = bundle.records()[cite.record_id]
    blocking = rng.choice(_BLOCKING).format(name=record.title)
    if how == 2:
        return with_claim(answer, place, f"{finding.claim} {blocking}")
    at = rng.randrange(len(answer.findings) + 1)
    added = Finding(claim=blocking, cites=(Cite(record_id=cite.record_id, quote=cite.quote),))
    return with_findings(answer, (*answer.findings[:at], added, *answer.findings[at:]))


def repetition(answer: Answer, _bundle: Bundle, rng: Random) -> Answer | None:
    """One finding, sentence, clause or word over and over."""
    place = rng.randrange(len(answer.findings))
    finding = answer.findings[place]
    times = rng.randint(3, 7)
    how = rng.randrange(5)
    if how == 0:
        return with_finding(answer, place, *[finding] * times)
    if how == 1:
        return with_claim(answer, place, " ".join([finding.claim] * times))
    words = finding.claim.split()
    if how == 2 and len(words) > 8:
        tail = " ".join(words[-rng.randint(3, 6) :])
        return with_claim(answer, place, f"{finding.claim} {' '.join([tail] * times)}")
    if how == 3:
        at = rng.randrange(len(words))
        return with_claim(answer, place, " ".join([*words[:at], *[words[at]] * (times + 2), *words[at + 1 :]]))
    return with_findings(answer, [one for one in answer.findings for _ in range(3)])


def empty(answer: Answer, _bundle: Bundle, rng: Random) -> Answer | None:
    """Nothing said: no findings, or findings without words; suggestions alone are no answer."""
    how = rng.randrange(4)
    if how == 0:
        return with_findings(answer, ())
    if how == 1:
        return answer.model_copy(update={"findings": (), "proposals": ("Read the documentation again.",)})
    said = rng.choice(_NOTHING)
    if how == 2:
        return with_findings(answer, [one.model_copy(update={"claim": said}) for one in answer.findings])
    return with_findings(answer, (Finding(claim=said, cites=answer.findings[0].cites if rng.random() < 0.5 else ()),))


def truncated(answer: Answer, _bundle: Bundle, rng: Random) -> Answer | None:
    """An answer that was cut off: its last claim ends within a word or behind a word that calls for another."""
    last = len(answer.findings) - 1
    finding = answer.findings[last]
    claim = finding.claim
    start = len(claim) // 4
    hanging = [m.end() for m in re.finditer(r"\b(?:the|of|to|and|is|a|an|with|for|by|in|or|that|be)\b(?= )", claim)]
    within = [m.start() + 3 for m in re.finditer(r"\b[a-z]{6,}\b", claim)]
    hanging, within = [at for at in hanging if at > start], [at for at in within if at > start]
    ends = hanging if hanging and (rng.random() < 0.5 or not within) else within
    if not ends:
        return None
    cut = claim[: rng.choice(ends)]
    cites = finding.cites if rng.random() < 0.6 else ()
    return with_finding(answer, last, Finding(claim=cut, cites=cites))


def copied_exemplar(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """Findings about other records than those that the task names, each rightly cited: another task's answer."""
    cited = {cite.record_id for finding in answer.findings for cite in finding.cites}
    asked = "\n".join(record.text for record_id, record in bundle.records().items() if record_id in cited)
    copied = []
    for hit in bundle.playbook:
        record = hit.record
        if record.record_id in cited:
            continue
        body = record.text.removeprefix(f"{record.title}: ")
        sentences = [part for part in re.split(r"(?<=[.!?])\s+(?=[A-Z`])|\n", body) if len(part.split()) > 5]
        sentences = [part for part in sentences if part[-1] in ".!" and overlap(part, asked) < 0.6 and content(part)]
        if sentences:
            sentence = rng.choice(sentences[:3])
            frame = rng.choice(("{name}: {sentence}", "{sentence}", "The documentation of {name} says: {sentence}"))
            claim = frame.format(name=record.title, sentence=sentence)
            copied.append(Finding(claim=claim, cites=(Cite(record_id=record.record_id, quote=sentence),)))
    if len(copied) < 2:
        return None
    copied = shuffled(copied, rng)[: max(len(answer.findings) - 1, 2)]
    return answer.model_copy(update={"findings": tuple(copied)})
