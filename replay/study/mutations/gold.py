"""Right answers: three to eight findings over eight records, each claim backed by the sentence that it quotes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from replay.contracts import Answer, Bundle, Check, Cite, Finding, Hit, Record, RecordKind, Ruling
from replay.study.mutations.case import Gold
from replay.study.mutations.editing import normal
from replay.study.mutations.history import History, histories
from replay.study.mutations.prose import Passage

RECORDS = 8
LONG_WORDS = 350
_FRAMES = (
    "{sentence}",
    "{name}: {sentence}",
    "The documentation of {name} says: {sentence}",
    "According to {name}, {sentence}",
    "{name} documents this: {sentence}",
    "In the words of {name}: {sentence}",
    "What {name} states is: {sentence}",
    '"{sentence}" is what {name} documents.',
    "{name} says: {sentence}",
)
_PLACED = (
    "In {place}, {name} says: {sentence}",
    "{sentence} ({place})",
    "{place} has the text of {name}: {sentence}",
    "{name} ({place}): {sentence}",
)
_TASKS = (
    "Audit what the documentation says about {names}.",
    "Review the documented behaviour of {names}.",
    "Summarise, with quotes, what is documented for {names}.",
    "Check the documentation of {names} and report what it states.",
    "Collect the documented facts about {names}.",
)


@dataclass(frozen=True)
class Wanted:
    """What a gold answer has to offer: sentences to hold, places named in claims, an older value in the evidence."""

    focus: tuple[tuple[Passage, str], ...] = ()
    placed: bool = False
    dated: bool = False
    joined: bool = False


def compose(pool: Sequence[Passage], wanted: Wanted, rng: Random) -> Gold | None:
    """Make a gold answer, or None where the draw does not come together.

    No sentence that is claimed stands in another record of the bundle, so that each has one right citation.
    """
    focus = list(wanted.focus)
    sentences: list[tuple[Passage, str]] = list(focus)
    long = rng.random() < 0.5
    aim = rng.randint(6, 8) if long else rng.randint(3, 5)
    asked = [passage for passage, _ in focus] + _companions(pool, focus, rng, aim, long=long)
    asked = list({passage.record.record_id: passage for passage in asked}.values())[: max(aim - rng.randint(0, 2), 2)]
    words = 0
    for passage in [*asked, *asked, *asked]:
        fresh = [sentence for sentence in passage.sentences if (passage, sentence) not in sentences]
        if len(sentences) < aim and fresh and words < LONG_WORDS:
            longest = sorted(fresh, key=len, reverse=True)[:3]
            sentences.append((passage, rng.choice(longest if long else fresh[:6])))
            words += len(sentences[-1][1].split()) + 6
    others = [p for p in rng.sample(list(pool), 40) if p not in asked][: RECORDS - len(asked)]
    records = {passage.record.record_id: passage.record for passage in (*asked, *others)}
    texts = {record_id: f" {normal(record.text)} " for record_id, record in records.items()}
    seconds = _seconds(sentences, rng) if long else {}
    for passage, sentence in (*sentences, *((passage, seconds[one]) for passage, one in sentences if one in seconds)):
        if sum(f" {normal(sentence)} " in text for text in texts.values()) != 1:
            return None
        if passage.record.record_id not in records:
            return None
    if len(sentences) < 3 or len(records) < RECORDS:
        return None
    if wanted.dated:
        passage, sentence = focus[0]
        found = histories(sentence, passage.record.text, rng)
        if found is None:
            return None
        records[passage.record.record_id] = _dated(passage.record, sentence, found)
    rng.shuffle(sentences)
    findings = [_finding(passage, sentence, seconds.get(sentence), wanted, rng) for passage, sentence in sentences]
    if wanted.joined:
        findings = _joined(findings, [sentence for _, sentence in focus], rng)
    return _gold(findings, asked, list(records.values()), rng)


def _companions(
    pool: Sequence[Passage], focus: Sequence[tuple[Passage, str]], rng: Random, aim: int, *, long: bool
) -> list[Passage]:
    """More passages for the task: of the same file or package where it has them, as in a real audit."""
    drawn = rng.sample(list(pool), 1)
    near = focus[0][0] if focus else drawn[0]
    same_file = [p for p in pool if p.record.path == near.record.path and p is not near]
    same_source = [p for p in pool if p.record.origin == near.record.origin and p is not near]
    chosen = [near]
    for _ in range(aim):
        near_by = same_file if same_file and rng.random() < 0.6 else same_source or drawn
        # A long answer is about records that say much.
        few = rng.sample(near_by, min(4, len(near_by)))
        chosen.append(max(few, key=lambda p: len(p.record.text)) if long else few[0])
    return chosen


def _finding(passage: Passage, sentence: str, second: str | None, wanted: Wanted, rng: Random) -> Finding:
    placed = passage.record.first_line is not None and rng.random() < (0.8 if wanted.placed else 0.15)
    frame = rng.choice(_PLACED if placed else _FRAMES)
    claim = frame.format(name=passage.name, sentence=sentence, place=_place(passage.record, rng))
    cite = Cite(record_id=passage.record.record_id, quote=sentence)
    if second is None:
        return Finding(claim=claim, cites=(cite,))
    return Finding(claim=f"{claim} {second}", cites=(cite, Cite(record_id=cite.record_id, quote=second)))


def _place(record: Record, rng: Random) -> str:
    """File and lines in one of the usual spellings."""
    link = rng.choice((":", " lines ", ", lines "))
    return f"{record.path}{link}{record.first_line}-{record.last_line}"


def _seconds(sentences: Sequence[tuple[Passage, str]], rng: Random) -> dict[str, str]:
    """For long answers: a second sentence of the same record for most of the claims."""
    said = {sentence for _, sentence in sentences}
    found = {}
    for passage, sentence in sentences:
        more = [one for one in passage.sentences if one not in said]
        if more and rng.random() < 0.8:
            found[sentence] = max(rng.sample(more, min(3, len(more))), key=len)
            said.add(found[sentence])
    return found


def _joined(findings: list[Finding], sentences: Sequence[str], rng: Random) -> list[Finding]:
    """Two findings made into one claim with both citations."""
    held = [finding for finding in findings if (finding.cites[0].quote or "") in sentences]
    if len(held) != 2:
        return findings
    link = rng.choice((" ", " In contrast: ", " Besides, ", " Also, "))
    made = Finding(claim=f"{held[0].claim}{link}{held[1].claim}", cites=(*held[0].cites, *held[1].cites))
    return [*(finding for finding in findings if finding not in held), made]


def _dated(record: Record, sentence: str, history: History) -> Record:
    old_way = f"{history.before}{sentence}{history.after}"
    return record.model_copy(update={"text": record.text.replace(sentence, old_way, 1)})


def _gold(findings: Sequence[Finding], asked: Sequence[Passage], records: Sequence[Record], rng: Random) -> Gold:
    cited = {cite.record_id for finding in findings for cite in finding.cites}
    named = [passage.name for passage in asked if passage.record.record_id in cited]
    names = ", ".join(named[:-1]) + f" and {named[-1]}" if len(named) > 1 else named[0]
    checklist = tuple(f"what {name} documents" for name in named) if rng.random() < 0.25 else ()
    kinds = (RecordKind.SOURCE, RecordKind.SOURCE, RecordKind.NOTE)
    hits = [
        Hit(
            record=record.model_copy(update={"kind": rng.choice(kinds)}),
            score=1.0,
            scorer="given",
        )
        for record in rng.sample(list(records), len(records))
    ]
    answer = Answer(
        findings=tuple(findings),
        checks=tuple(Check(item=item, result="pass") for item in checklist),
        verdict=Ruling.PASS,
    )
    return Gold(rng.choice(_TASKS).format(names=names), checklist, Bundle(playbook=tuple(hits)), answer)
