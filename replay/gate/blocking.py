"""What a sentence reports as failed, missing or broken: a finding over which nothing passes.

Only a main clause reports. "If no handler is found, KeyError is raised" describes, "No handler was found" reports; so
what stands behind `if`, `when`, `that`, `raises` and their like does not count, nor does a limit to a place ("is not
implemented on Windows").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_BE = r"(?:is|are|was|were|remains?|has been|have been|had been)"
_ADVERB = r"(?:(?:still|currently|also|entirely|completely|simply|clearly|now|again) )?"
_STATE = (
    r"(?:missing|absent|broken|violated|unimplemented|unmet|unsatisfied|unenforced|unregistered|untested|"
    r"nonexistent|non-existent|lacking|failing|failed|incorrect|wrong|gone|inconsistent|out of date|outdated)"
)
_DONE = (
    r"(?:implemented|present|found|located|met|satisfied|fulfilled|enforced|registered|covered|checked|validated|"
    r"verified|tested|in place|there|upheld|respected|honou?red|followed|called|wired up|complete|correct|"
    r"included|defined anywhere|documented)"
)
_PROOF = (
    r"(?:check|checks|test|tests|verification|validation|assertion|step|requirement|build|audit|scan|gate|review|"
    r"inspection|lint|job|pipeline|assert|precondition|postcondition|invariant|claim|criterion|condition)"
)
_THING = (
    r"(?:test|tests|check|checks|implementation|implementations|validation|evidence|proof|guard|handler|such|trace|"
    r"sign|record|records|code|logic|enforcement|coverage|mention|limit|assertion|definition|call)"
)
_GUARDS = (
    r"(?:covers?|checks?|enforces?|tests?|verif(?:y|ies)|validates?|implements?|handles?|guards?|asserts?|exercises?)"
)
_REPORTS = re.compile(
    rf"""
      \b{_BE}\ {_ADVERB}{_STATE}\b
    | \b(?:{_BE}|could|can)\ ?(?:not|n't)\ (?:be\ |been\ |yet\ )?(?:yet\ )?{_DONE}\b
    | \bcannot\ be\ (?:found|located|verified|confirmed)\b
    | \b(?:has|have|had)\ {_ADVERB}(?:been\ )?(?:failed|removed|broken|violated|dropped|disabled)\b
    | \b{_PROOF}\ {_ADVERB}(?:fails|failed|errored|breaks)\b
    | \b(?:do|does|did)\ ?(?:not|n't)\ (?:(?:exist|comply|conform)\b|(?:pass|hold|succeed|match|work)(?=\s*[.!;]|\s*$)
      |match\ the\ (?:code|implementation|source|documentation|specification)\b)
    | \b(?:found|finds|returned|yielded|turned\ up|showed)\ nothing\b | \bnothing\ (?:was|is|were)\ found\b
    | \bno\ (?:[\w-]+\ ){{1,6}}?(?:was|were|is|are|could\ be|can\ be|has\ been|have\ been|exists?)\b
      (?:\ {_DONE}|\ (?:detected|seen|observed|given\ for))?
    | \bthere\ (?:is|are|was|were)\ no\ (?:[\w-]+\ ){{0,2}}{_THING}\b
    | \bfailed\ (?:with|to\ (?:pass|verify|validate|comply))\b
    | \b{_PROOF}:\ fail(?:s|ed)?\b | ^(?:verdict|result|status|outcome)\s*[:=]\s*(?:fail(?:ed)?|error|broken|missing)\b
    | ^(?:fail|failed|failure|missing|broken)\s*[:.!]
    | ^(?:missing|failed|broken|absent|violated|unimplemented)\s*[.!]?$
    | ^not\ (?:yet\ )?(?:implemented|found|checked|tested|enforced|present)(?:\ (?:yet|here|anywhere))?\s*[.!]?$
    | \b(?:nothing|no\ [\w-]+(?:\ [\w-]+)?)\ {_GUARDS}\ (?:this|that|it|these|those|the|any)\b
    | \b(?:has|have|had)\ no\ (?:[\w-]+\ ){{0,2}}{_THING}\b
    | \b(?:lacks|is\ lacking|violates|breaks|fails)\ (?:the|this|its|any|every|all)\ (?:[\w-]+\ ){{0,3}}
      (?:check|checks|test|tests|requirement|requirements|rule|rules|contract|invariant|validation|specification|policy)\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
# A `no … was` counts only with what was looked for or done.
_NO = re.compile(r"^no\b", re.IGNORECASE)
_NO_DONE = re.compile(rf"(?:{_DONE}|detected|seen|observed|exists?|{_GUARDS} \w+)$", re.IGNORECASE)
_CONDITION = re.compile(
    r"\b(?:if|when|whenever|unless|until|while|whether|where|once|in case|that|which|who|whose|because|since|although|"
    r"though|after|before|as|so|rais(?:e|es|ed|ing)|throws?|thrown|return(?:s|ed|ing)?|yield(?:s|ed|ing)?|means?|"
    r"meaning|indicat(?:e|es|ed|ing)|signal(?:s|led|ling)?|report(?:s|ed|ing)?|denot(?:e|es|ing)|otherwise|in which|"
    r"even|or|with|without|assum(?:e|es|ing)|error|exception|should|may|might|can|could|would|will|must)\b",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    r"^\s*(?:on|in|for|by|under|with|when|if|unless|until|while|during|outside|except|from|as|or|to|and|between|because)\b",
    re.IGNORECASE,
)
_MODULE = re.compile(
    r"^\s*(?:in|for|of|on|by|to) (?:this|that|it|these|those|them|here)\b(?: [\w-]+){0,3}[\s.!]*$"
    r"|^\s*with (?:an? |the |its )?(?:\w+ )?(?:error|exception|failure|code|status|message|traceback)\b"
    r"|^\s*in (?:the|this|that|any) (?:[\w-]+ ){0,2}"
    r"(?:module|code|file|source|sources|record|repository|package|class|tests?|suite)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_LEAD = re.compile(r"^[^:]{1,160}:\s+(?=\S)")
# What a report that denies holds some of; looking for it first spares most sentences the pattern above.
_DENIED = re.compile(
    rf"n(?:o|'|\u2019)t (?:be |been |yet )*(?:{_DONE}|exist|pass|hold|succeed|comply|conform|match|work)"
    rf"|no\b(?:.{{1,80}}?(?:{_DONE}|{_GUARDS}|detected|seen|observed|given|exist)"
    rf"|(?<=there is no)|(?<=there are no)|(?<=there was no)|(?<=there were no))"
)
# And before that, as plain text: this is asked of every sentence of every answer.
SIGNS = (
    *[
        "missing",
        "absent",
        "fail",
        "broken",
        "breaks",
        "violat",
        "lack",
        "incorrect",
        "wrong",
        "gone",
        "inconsist",
        "outdated",
        "nonexist",
        "non-exist",
        "unimpl",
    ],
    *["unmet", "unsatisf", "unenforc", "unregist", "untested", "errored", "nothing", "removed", "dropped", "disabled"],
    *("cannot be", "out of date"),
    *("no ", "not ", "n't ", "n\u2019t "),
)
_DENIALS = SIGNS[-4:]
_LONGEST = 400  # characters of a sentence
_MOST = 200  # sentences
_LONGEST_TEXT = 20_000


def signs(text: str) -> tuple[str, ...]:
    """The pieces of words in a text without which nothing of it reports a failure."""
    lowered = text.lower()
    return tuple(sign for sign in SIGNS if sign in lowered)


def blocking(text: str, among: Sequence[str] = SIGNS) -> Iterator[str]:
    """The sentences of a text that report something failed, missing or broken; `among` are the signs it can have."""
    text = text[:_LONGEST_TEXT]
    lowered = text.lower()
    found = [sign for sign in among if sign in lowered]
    if not found or (found[0] in _DENIALS and not _DENIED.search(lowered)):
        return
    for sentence in _SENTENCE.split(text, maxsplit=_MOST)[:_MOST]:
        clipped = sentence[:_LONGEST].strip()
        lead = _LEAD.match(clipped)
        if _reports(clipped) or (lead is not None and _reports(clipped[lead.end() :])):
            yield clipped


def _reports(sentence: str) -> bool:
    for match in _REPORTS.finditer(sentence):
        before, after = sentence[: match.start()], sentence[match.end() :]
        if _NO.match(match[0]) and not _NO_DONE.search(match[0]):
            continue
        if _CONDITION.search(before):
            continue
        if _ELSEWHERE.match(after) and not _MODULE.match(after):
            continue
        return True
    return False
