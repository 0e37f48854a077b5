"""Form rules: the answer says something definite, whole, once, and within bounds."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from replay.contracts import Answer, Finding, Reason, Ruling
from replay.gate.case import Case
from replay.gate.comparison import Comparison, Part
from replay.gate.reading import Atom, read

_HEDGE = re.compile(
    r"\b(?:might|may|could(?: well)? be|could have|perhaps|maybe|probably|possibly|presumably|supposedly|conceivably|"
    r"arguably|apparently|seemingly|reportedly|allegedly|(?:most |very |quite )?likely|unlikely|appears?|seems?|"
    r"looks? (?:like|as if)|it is (?:possible|conceivable|plausible|likely|unclear)|there is a (?:good )?chance|"
    r"in all (?:likelihood|probability)|chances are|i (?:think|believe|assume|guess|suppose|suspect|would say|recall|"
    r"remember|expect|imagine|am|have|can(?:not|'t)?|do)|i'm|i'd|we (?:think|believe|assume|can assume)|my (?:best )?"
    r"(?:guess|understanding|impression|knowledge|opinion)|in my (?:opinion|view)|as an ai|language model|"
    r"(?:cannot|can't|could not|unable to|not able to|hard to|difficult to) (?:be )?"
    r"(?:determined?|verif(?:y|ied)|confirm(?:ed)?|say|tell)|not (?:entirely |completely |quite |totally )?"
    r"(?:sure|certain|clear)|uncertain|unsure|unverified|unconfirmed|it depends|should be fine|should be (?:ok|okay)|"
    r"approximately|around \d|roughly|more or less|or so|or thereabouts|unclear|n/?a|tbd|tba|unknown|"
    r"as far as (?:i|we|one) (?:know|can tell|can see)|to (?:the best of )?(?:my|our) knowledge|"
    r"if (?:i|we) (?:remember|recall|understand)|(?:so|or) it (?:seems|appears)|tends? to|to some extent|"
    r"needs? (?:further|more) (?:investigation|checking|research)|take (?:this|it) with)\b",
    re.IGNORECASE,
)
# Each alternative above holds one of these words; looking them up first spares most claims the pattern.
_HEDGE_WORDS = frozenset(
    """
    might may could perhaps maybe probably possibly presumably supposedly conceivably arguably apparently seemingly
    reportedly allegedly likely unlikely appear appears seem seems look looks possible conceivable plausible unclear
    chance chances likelihood probability i we my ai language determine determined verify verified confirm confirmed say
    tell sure certain clear uncertain unsure unverified unconfirmed depends fine ok okay approximately around roughly
    more so thereabouts n tbd tba unknown far knowledge remember recall understand tend tends extent need needs take
    """.split()  # noqa: SIM905  as in the lexicon
)
_WORDS = re.compile(r"\w+")
# Any of these may stand for another.
_MODAL = frozenset(["may", "might"])
_MODALS = re.compile(r"\b(?:can|cannot|could|may|might)\b", re.IGNORECASE)
# Marks that change how text is shown and not what it says; a reader and the gate would see different claims.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-"
    "\ufffb\U000e0000-\U000e007f]"
)
_ENDED = re.compile(r"""[.!?\u3002\uff01\uff1f\u2026][)\]}>"'`*\u201d\u2019]*\s*$""")
_WORD = re.compile(r"\w")
# A claim that ends in one of these goes on somewhere.
_DANGLING = frozenset(
    """
    a an and are as at be been but by can could did do does for from has have if in into is its may must nor of on or
    shall should than that the their then these this those to was were when where which while who whose will with would
    """.split()  # noqa: SIM905  as in the lexicon
)
_OPEN = re.compile(r"[,:(\[{\-\u2013\u2014/]$")
_TWINS = ("`", '"')
_PAIRS = (("(", ")"), ("[", "]"), ("{", "}"))
_COPIED = 3  # atoms at the end of a claim that follow its source word by word
_RUN, _RUN_WEIGHT = 4, 1.5
_NOWHERE = (sys.maxsize, sys.maxsize)  # where the last name of a text is followed by the next one


def is_bounded(case: Case) -> list[Reason]:
    """No answer is so long that reading it would cost more than it can be worth."""
    limits = case.thresholds
    answer = case.answer
    reasons = []
    if len(answer.findings) > limits.findings:
        reasons.append(Reason(rule="form.too_long", message=f"{len(answer.findings)} findings"))
    size = 0
    for text in _texts(answer):
        size += len(text)
    if size > limits.answer_chars:
        reasons.append(Reason(rule="form.too_long", message=f"the answer has {size} characters"))
    for finding in answer.findings[: limits.findings]:
        if len(finding.claim) > limits.claim_chars:
            reasons.append(Reason(rule="form.too_long", message="a claim is an essay", span=finding.claim[:80]))
        for name in ("found", "expected"):
            value = (getattr(finding, name) or "").strip()
            if len(value) > limits.value_chars:
                reasons.append(Reason(rule="form.long_value", message=f"{name} is not a value", span=value[:80]))
    return reasons


def is_visible(case: Case) -> list[Reason]:
    """No control character and no mark that reverses or hides text stands in what the answer says."""
    return [
        Reason(
            rule="form.unseen_characters",
            message=f"holds U+{ord(mark[0]):04X}, which is not seen",
            span=text[max(0, mark.start() - 20) : mark.start() + 20],
        )
        for text in _said(case.answer)
        if (mark := _UNSEEN.search(text))
    ]


def has_findings(case: Case) -> list[Reason]:
    """An answer without a finding says nothing that could be checked, unless it says that nothing was found."""
    if case.answer.findings or case.answer.verdict is Ruling.UNSURE:
        return []
    return [Reason(rule="form.no_findings", message="the answer has no finding")]


def has_values(case: Case) -> list[Reason]:
    """A finding claims something: in words, or by what was expected and what was found."""
    reasons = []
    for finding in case.answer.findings:
        if _WORD.search(finding.claim):
            continue
        if finding.claim.strip() or (finding.found is None and finding.expected is None):
            reasons.append(Reason(rule="form.empty_claim", message="a finding claims nothing", span=finding.claim))
            continue
        reasons += [
            Reason(rule="form.empty_value", message=f"{name} is empty")
            for name in ("found", "expected")
            if not (getattr(finding, name) or "").strip()
        ]
    return reasons


def has_no_hedge(case: Case) -> list[Reason]:
    """A finding states something; a hedge states nothing. What its own source says as often is no hedge."""
    reasons = []
    for finding in case.answer.findings:
        if case.is_verbatim(finding):
            continue
        quotes = " ".join(span.quote for span in case.spans(finding)).lower()
        for text in (finding.claim, finding.found or "", finding.expected or ""):
            if _HEDGE_WORDS.isdisjoint(_WORDS.findall(text.lower())):
                continue
            hedges = Counter(match[0].lower() for match in _HEDGE.finditer(text))
            for hedge, count in hedges.items():
                if text is not finding.claim and hedge in case.task.text.lower():
                    continue  # a value may be a word of the task
                if hedge in _MODAL:
                    is_own = len(_MODALS.findall(text)) > len(_MODALS.findall(quotes))
                else:
                    is_own = count > len(re.findall(rf"\b{re.escape(hedge)}\b", quotes))
                if is_own:
                    reasons.append(Reason(rule="form.hedge", message=f"hedges: {hedge!r}", span=text))
    return reasons


def is_said_once(case: Case) -> list[Reason]:
    """No finding is said twice, and no run of words goes round in a claim."""
    reasons = []
    said: Counter[tuple[object, ...]] = Counter()
    for finding in case.answer.findings:
        said[_gist(finding, case)] += 1
    reasons += [
        Reason(rule="form.repetition", message=f"one finding stands {count} times", span=str(gist)[:200])
        for gist, count in said.items()
        if count > 1
    ]
    for comparison in case.comparisons:
        run = _loop(comparison, case.thresholds.repeats)
        if run:
            reasons.append(Reason(rule="form.repetition", message="a claim goes round", span=run))
    return reasons


def is_whole(case: Case) -> list[Reason]:
    """A claim does not break off in the middle of a word, a bracket or a clause of its source."""
    reasons = []
    for comparison in case.comparisons:
        text = comparison.claim.text.rstrip()
        quotes = "\n".join(span.quote for span in comparison.spans)
        cut = (
            next(
                (
                    f"{opening!r} is not closed"
                    for opening, closing in _PAIRS
                    if text.count(opening) > text.count(closing) and quotes.count(opening) <= quotes.count(closing)
                ),
                None,
            )
            or next(
                (f"{mark!r} is not closed" for mark in _TWINS if text.count(mark) % 2 and quotes.count(mark) % 2 == 0),
                None,
            )
            or (not _ENDED.search(text) and _broken_end(comparison))
            or None
        )
        if cut:
            reasons.append(Reason(rule="form.truncated", message=f"the claim breaks off: {cut}", span=text[-60:]))
    return reasons


def _texts(answer: Answer) -> Iterator[str]:
    yield from _said(answer)
    for finding in answer.findings:
        for cite in finding.cites:
            yield cite.record_id
            yield cite.quote or ""
    yield from answer.proposals


def _said(answer: Answer) -> Iterator[str]:
    for finding in answer.findings:
        yield from (finding.claim, finding.found or "", finding.expected or "")
    for check in answer.checks:
        yield check.item


def _gist(finding: Finding, case: Case) -> tuple[object, ...]:
    """What a finding says, without the words by which it introduces what it says."""
    if not finding.claim.strip():
        return (finding.expected, finding.found, *((cite.record_id, cite.quote) for cite in finding.cites))
    if case.is_verbatim(finding):
        return tuple((cite.record_id, cite.quote) for cite in finding.cites)
    names = frozenset().union(*(read(span.names).said for span in case.spans(finding)))
    said = [atom for atom in read(finding.claim).content if atom.key not in names]
    if all(atom.kind == "number" for atom in said):
        return (finding.claim,)  # no more than the lines at which it stands
    return tuple(atom.key for atom in said)


def _loop(comparison: Comparison, most: int) -> str | None:
    """A run of words that a claim repeats and its source does not."""
    if stuck := _stuck(comparison):
        return stuck
    keys = [atom.key for atom in comparison.claim.atoms]
    pairs = list(pairwise(keys))
    if len(pairs) - len(set(pairs)) < _RUN - 1:
        return None  # a run that comes again brings its pairs of words again
    atoms = [atom for atom in _words(comparison.claim.atoms, comparison.names) if not comparison.introduces(atom)]
    if len(atoms) < _RUN:
        return None
    runs = Counter(zip(*([atom.key for atom in atoms[offset:]] for offset in range(_RUN)), strict=False))
    run, count = runs.most_common(1)[0]
    if count < 2:
        return None
    weights = {atom.key: {"function": 0.0, "generic": 0.5}.get(atom.kind, 1.0) for atom in atoms}
    keys = [atom.key for atom in _words(comparison.source.atoms, comparison.given_names)]
    given = Counter(zip(*(keys[offset:] for offset in range(_RUN)), strict=False))
    for run, count in runs.items():
        if count > max(given[run], most - 1) and sum(weights[key] for key in run) >= _RUN_WEIGHT / (count - given[run]):
            return " ".join(run)
    return None


def _stuck(comparison: Comparison) -> str | None:
    """A word that stands thrice in a row, and not so in the source."""
    words = _words(comparison.claim.atoms, comparison.names)
    for one, two, three in zip(*(words[offset:] for offset in range(3)), strict=False):
        if one.text == two.text == three.text and one.kind != "number" and not comparison.strict(one):
            text = " ".join([one.text] * 3)
            if text not in " ".join(atom.text for atom in comparison.source.atoms):
                return text
    return None


def _words(atoms: Sequence[Atom], names: Sequence[tuple[str, int, int]]) -> list[Atom]:
    """The atoms of a text, with each name counted once: a long one is one word, however often it has to be said."""
    whole = [(start, end) for text, start, end in names if " " not in text]
    if not whole:
        return list(atoms)
    words = []
    following = iter(whole)
    start, end = next(following)
    begun = False
    for atom in atoms:
        while atom.start >= end:
            start, end = next(following, _NOWHERE)
            begun = False
        if atom.start < start:
            words.append(atom)
        elif not begun:
            words.append(atom)
            begun = True
    return words


def _broken_end(comparison: Comparison) -> str | None:
    if not comparison.parts or not comparison.parts[-1].claim:
        return None
    part = comparison.parts[-1]
    last = part.claim[-1]
    rest = comparison.claim.text[last.end :].strip()
    if rest in ("'", "\u2019") and comparison.claim.text.count(rest) % 2:
        return f"it ends in {rest!r}"
    if rest:
        return f"it ends in {rest!r}" if _OPEN.search(rest) and not comparison.source.text.endswith(rest) else None
    there = part.alignment.at[-1]
    return _cut_word(comparison, part, last) if there < 0 else _cut_clause(comparison, part, last, there)


def _cut_word(comparison: Comparison, part: Part, last: Atom) -> str | None:
    """Is the last word, which its source does not have, the beginning of one that it has?"""
    before = next((place for place in reversed(part.alignment.at) if place >= 0), -1)
    following = part.source[before + 1 : before + 2]
    if last.kind == "word" and last.key not in comparison.subject:
        following = (*following, *comparison.source.atoms)
    longer = next((atom.text for atom in following if atom.text.startswith(last.text) and atom.text != last.text), None)
    if (
        longer is None
        and last.kind == "word"
        and last.text in comparison.source.text.lower()  # a pattern of its own for each word is dear
        and re.search(rf"\b{re.escape(last.text)}\w", source := comparison.source.text, re.IGNORECASE)
    ):
        longer = None if re.search(rf"\b{re.escape(last.text)}\b", source, re.IGNORECASE) else last.text + "…"
    if longer is not None:
        return f"{last.text!r} is the beginning of {longer!r}"
    return f"it ends in {last.text!r}" if last.text in _DANGLING else None


def _cut_clause(comparison: Comparison, part: Part, last: Atom, there: int) -> str | None:
    """Does the source go on, without a pause, behind the last word of a claim that copies it?"""
    given = part.source[there]
    if given.text != last.text and given.text.startswith(last.text) and last.kind == "word":
        return f"{last.text!r} is the beginning of {given.text!r}"
    following = part.source[there + 1] if there + 1 < len(part.source) else None
    if following is None or following.sentence != part.source[there].sentence:
        return None
    length = min(_COPIED, max(2, len(part.claim)))
    copied = part.alignment.at[-length:] == tuple(range(there - length + 1, there + 1))
    if following.clause != part.source[there].clause:
        # Prose that is cut at a comma has no full stop; what follows a value in code is no part of it.
        copied = copied and comparison.source.text.rstrip().endswith((".", "!", "?"))
    if last.text in _DANGLING or copied:
        return f"its source goes on with {following.text!r}"
    return None
