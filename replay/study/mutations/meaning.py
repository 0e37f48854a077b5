"""Statements turned into their opposite, and statements that nothing cited backs."""

from __future__ import annotations

import re
from random import Random

from replay.contracts import Answer, Bundle
from replay.study.mutations.additions import addition
from replay.study.mutations.editing import (
    content,
    overlap,
    replace_at,
    shuffled,
    spots,
    stands_in,
    with_claim,
    with_sentence,
)

# "may not" and "is not only" are no denials; "whether it is not" asks the same.
_NEGATABLE = re.compile(
    r"(?<!to )\b(is|are|was|were|can|could|will|would|must|should|does|do|has been|have been)\b"
    r"(?! (?:not|n't|only|also|necessarily|so))"
)
_MADE = {"can": "cannot", "has been": "has not been", "have been": "have not been"}
_DENIALS = (
    (re.compile(r"\b(is|are|was|were|will|would|must|should|could) not (?!only\b)"), r"\1 "),
    (re.compile(r"\b(?:does not|doesn't|do not|don't|did not) (?=\w)"), ""),
    (re.compile(r"\bcan(?:not| not|'t)\b"), "can"),
    (re.compile(r"\b(is|are|was|were|would|should|could)n't\b"), r"\1"),
    (re.compile(r"\bnever\b"), "always"),
    (re.compile(r"\bwithout\b"), "with"),
    (re.compile(r"\bno longer\b"), "still"),
    (re.compile(r"\b(?:if|when) not\b"), "if"),
)
_PAIRS = (
    *(("enable", "disable"), ("enabled", "disabled"), ("enables", "disables"), ("True", "False"), ("true", "false")),
    *(("always", "never"), ("before", "after"), ("required", "optional"), ("allowed", "forbidden")),
    *(("allow", "forbid"), ("allows", "forbids"), ("include", "exclude"), ("included", "excluded")),
    *(("including", "excluding"), ("minimum", "maximum"), ("first", "last"), ("start", "end"), ("left", "right")),
    *(("above", "below"), ("more than", "less than"), ("at least", "at most"), ("greater than", "less than")),
    *(("synchronous", "asynchronous"), ("valid", "invalid"), ("visible", "hidden"), ("top", "bottom")),
    *(("same", "different"), ("equal", "unequal"), ("public", "private"), ("larger", "smaller"), ("upper", "lower")),
    *(("empty", "non-empty"), ("supported", "unsupported"), ("safe", "unsafe"), ("add", "remove")),
    *(
        ("adds", "removes"),
        ("ignore", "respect"),
        ("ignored", "respected"),
        ("success", "failure"),
        ("with", "without"),
    ),
    *(("all", "no"), ("unless", "if"), ("succeeds", "fails"), ("increase", "decrease"), ("ascending", "descending")),
    *(("longer", "shorter"), ("encode", "decode"), ("read", "write"), ("input", "output"), ("horizontal", "vertical")),
)
_ONE_WAY = frozenset({"optional", "end", "right", "fails", "private", "output", "with", "no", "if", "lower"})
_IN_NAMES = re.compile(r"[`'\"./_]")
_VERBS = re.compile(
    r"^((?:The |This |A |An |It )?[\w ]{0,30}?)\b(returns|raises|supports|accepts|contains|uses|creates|sends|holds|"
    r"provides|renders|converts|closes|allows|checks|ignores|requires|represents|takes|stores)\b"
)
_IMPERATIVE = re.compile(
    r"^(Return|Raise|Get|Set|Create|Render|Check|Convert|Make|Send|Add|Parse|Close|Write|Read|Print|Load|Build|Validate|"
    r"Generate|Compute|Update|Iterate|Wait|Apply|Split|Yield)(s?)\b(?= )"
)
_STEMS = {"closes": "close", "uses": "use", "creates": "create", "provides": "provide", "requires": "require",
          "raises": "raise", "stores": "store", "takes": "take", "ignores": "ignore"}  # fmt: skip


def flipped(sentence: str, rng: Random) -> str | None:
    """The sentence with the opposite meaning, by one change; None where it has no place for one.

    The change is a negation put in or taken out, or a word replaced by its opposite outside of names and quotations.
    """
    changes = [*_negated(sentence), *_undenied(sentence), *_opposed(sentence)]
    changes = [change for change in changes if change != sentence]
    return rng.choice(changes) if changes else None


def _negated(sentence: str) -> list[str]:
    made = []
    for match in _NEGATABLE.finditer(sentence):
        # The opposite of a question within a sentence is the same question.
        if re.search(r"\b(?:whether|either|if|how|what|as)\b[^,.;]*$", sentence[: match.start()], re.IGNORECASE):
            continue
        if re.match(r" (?:\w+ )?(?:not|never|no)\b", sentence[match.end() :]):
            continue
        auxiliary = match[1]
        made.append(replace_at(sentence, match, _MADE.get(auxiliary, f"{auxiliary} not")))
    if verb := _VERBS.match(sentence):
        stem = _STEMS.get(verb[2], verb[2].removesuffix("s"))
        made.append(f"{sentence[: verb.start(2)]}does not {stem}{sentence[verb.end(2) :]}")
    if order := _IMPERATIVE.match(sentence):
        never = "Never" if order[2] else "Do not"
        verb_form = order[1].lower() + order[2]
        made.append(f"{never} {verb_form}{sentence[order.end() :]}")
    return made


def _undenied(sentence: str) -> list[str]:
    made = []
    for pattern, new in _DENIALS:
        for match in pattern.finditer(sentence):
            if re.search(r"\b(?:whether|or)\b[^,.;]*$", sentence[: match.start()], re.IGNORECASE):
                continue
            made.append(sentence[: match.start()] + match.expand(new) + sentence[match.end() :])
    return made


def _opposed(sentence: str) -> list[str]:
    made = []
    for one, two in _PAIRS:
        for old, new in ((one, two), (two, one)):
            if old in _ONE_WAY:
                continue
            for match in re.finditer(rf"\b{old}\b", sentence):
                around = sentence[max(match.start() - 1, 0) : match.start()] + sentence[match.end() : match.end() + 1]
                pair_there = re.search(rf"\b{re.escape(new)}\b", sentence)
                if (
                    pair_there
                    or _IN_NAMES.search(around.rstrip("."))
                    or re.match(
                        r" \(|:| : |s? (?:the|of|other)\b" if old == "all" else r" \(|:| : ", sentence[match.end() :]
                    )
                ):
                    continue
                made.append(replace_at(sentence, match, new))
    return made


def polarity_flip(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """A claim that says the opposite of the sentence that it quotes."""
    for spot in shuffled(spots(answer, bundle), rng):
        made = flipped(spot.sentence, rng)
        if made is not None and not stands_in(made, spot.cited):
            return with_sentence(answer, spot, made)
    return None


def unsupported_addition(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """More than the evidence says: a clause or a sentence, invented or about another record, before or behind."""
    places = shuffled(spots(answer, bundle), rng)
    for spot in places:
        if rng.random() < 0.2:
            borrowed = _borrowed(answer, spot.place, spot.cited, rng)
            if borrowed is not None:
                return with_claim(answer, spot.place, f"{answer.findings[spot.place].claim} {borrowed}")
        added = addition(rng)
        if overlap(added.text, spot.cited) > 0.5 or not content(added.text):
            continue
        sentence = spot.sentence
        if added.is_clause:
            made = f"{sentence.rstrip('.')}{added.text}."
        elif added.leads:
            made = f"{added.text} {sentence}"
        else:
            made = f"{sentence} {added.text}"
        return with_sentence(answer, spot, made)
    return None


def _borrowed(answer: Answer, place: int, cited: str, rng: Random) -> str | None:
    """A sentence that is true of another record, said here of this one and not cited."""
    quotes = [
        cite.quote
        for rank, finding in enumerate(answer.findings)
        for cite in finding.cites
        if rank != place and cite.quote and overlap(cite.quote, cited) < 0.3 and len(content(cite.quote)) > 3
    ]
    return rng.choice(quotes) if quotes else None
