"""The words that the gate knows: which say the same, which turn a sentence, and which carry no claim of their own.

English for technical prose, small on purpose. A word is looked up by its stem, so an inflection needs no entry. A
synonym that is missing costs little: one replaced word is tolerated. Changing a table changes the gate's version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from replay.gate.stems import stem

FUNCTION = frozenset(
    """
    a about above across after again against along also am among an and another any anyone anything are around as at
    back be because become been before behind being below beneath beside besides between beyond both but by did do
    does doing done down during each either else etc even ever for from further had has have having he hence her here
    hers herself him himself his how however i if in indeed instead into is it its itself just kind let like many me
    might more most much my myself namely need now of off on once one ones onto or other others our out over own per
    please put quite rather same say says several she since so some somehow such than that the their them themselves
    then there thereby therefore these they this those though through thus till to together too toward towards under
    until up upon us use used uses using various very via was way we well were what whatever when whenever where
    whereas wherever whether which whichever while who whole whom whose why will with within would yet you your yourself
    given following specified provided certain respective respectively corresponding particular actual actually
    simply otherwise according accordingly already still although
    """.split()  # noqa: SIM905  a list of three hundred quoted words is harder to read and to keep in order
)

# What a claim may call the thing that it is about, and how it may say that a source says something.
GENERIC = frozenset(
    """
    api argument attribute cite claim class code comment constant constructor declare declaration default define
    definition describe description doc docs docstring document documentation entry equal evidence example explain
    field file finding function guide keyword line list manual member mention method mode module name note object
    option package page parameter passage property quote read record reference report say set setting show signature
    source specify state statement string text thing type value variable word wording
    """.split()  # noqa: SIM905  as above
)

# What is counted or measured in. Where a source says one of these, another is another quantity, never a synonym.
UNITS = frozenset(
    map(
        stem,
        """
        nanosecond microsecond millisecond second minute hour day week month year
        bit byte kilobyte megabyte gigabyte terabyte kibibyte mebibyte gibibyte kb mb gb kib mib gib
        character letter digit word line row column cell space tab pixel point inch page paragraph sentence token
        percent percentage fraction degree radian hertz
        thread process worker core
        """.split(),  # noqa: SIM905  as above
    )
)

# Words of one line mean the same in technical prose; the first names them all.
_SYNONYMS = """
    return yield
    create make build construct generate produce
    delete remove erase drop
    start begin launch initiate
    stop end finish terminate
    close shut
    send transmit emit
    obtain get fetch retrieve receive acquire
    show display
    call invoke
    run execute
    raise throw
    permit allow let
    forbid prohibit disallow ban
    require need
    contain hold comprise
    keep retain preserve
    store save
    change modify alter
    convert transform translate
    check test verify validate examine
    specify define state
    set assign
    maximum max largest biggest
    minimum min smallest
    limit cap bound
    count number
    item element
    error failure
    large big
    small little tiny
    fast quick rapid
    whether if
    when whenever
    also additionally too
    argument parameter arg param
    character char
    milliseconds msec
    reference ref
    identifier id
    message msg
    empty blank
    directory folder
    copy duplicate
    part portion
    whole entire complete
    add append
    combine merge join
    split divide
    find locate
    represent denote
    handle process
    ignore skip disregard
    supply provide give
    new fresh
    identical same
    different distinct
    correct right
    wrong incorrect
    only solely exclusively merely
    usual typical normal
    usually typically normally generally
    must shall
    can may
    should ought
    always invariably
    but however
    although though
    several multiple
    wait pause
    interval period
    manage control
    support back
    base parent
    expire lapse
    derive inherit
    attempt try
    repeat retry
    approximately about roughly
    unauthenticated anonymous
    configuration config
    directory dir
    information info
    milliseconds ms
    automatically itself
    afterwards later
    use serve employ utilise utilize
    encounter meet
    useful helpful handy
    happen occur
    immediate instant
    gather collect
    choose select pick
    compute calculate
    contain include
    decide determine
    describe explain
    ensure guarantee
    finally eventually
    halt stop
    mark flag
    perform do
    reset clear
    respond reply answer
    reveal expose
    specific particular
    update refresh
    wish want
    true enable
    false disable
    """

# Words that turn, widen or narrow what a sentence says: the class by which two sentences are compared.
MARKERS = {
    word: kind
    for kind, words in {
        "not": "not no never none nothing neither nor without nobody nowhere hardly barely scarcely",
        "only": "only solely exclusively merely",
        "all": "always all every everything everyone invariably",
        "some": "sometimes often usually typically normally generally mostly occasionally rarely seldom partly "
        "partially",
        "must": "must shall",
        "should": "should ought",
        "may": "can may might could possibly optionally",
        "atleast": "atleast",
        "atmost": "atmost",
        "morethan": "morethan",
        "lessthan": "lessthan",
        "unless": "unless except excepting excluding",
        "formerly": "formerly previously originally nolonger",
    }.items()
    for word in words.split()
}
# Those whose loss changes what is said; that a claim drops a `must`, a `can` or an `all` weakens it and is no lie.
BINDING_MARKERS = frozenset(["not", "only", "some", "unless", "formerly", "morethan", "lessthan"])

# Sequences that say one thing, as the words that they are read as; the longest is taken.
_PHRASES = {
    "at least": "atleast",
    "no less than": "atleast",
    "no fewer than": "atleast",
    "not less than": "atleast",
    "not fewer than": "atleast",
    "or more": "atleast",
    "at most": "atmost",
    "up to": "atmost",
    "no more than": "atmost",
    "not more than": "atmost",
    "no longer than": "atmost",
    "not longer than": "atmost",
    "or less": "atmost",
    "or fewer": "atmost",
    "one or more": "one or more",
    "more than": "morethan",
    "greater than": "morethan",
    "larger than": "morethan",
    "bigger than": "morethan",
    "higher than": "morethan",
    "longer than": "morethan",
    "in excess of": "morethan",
    "less than": "lessthan",
    "fewer than": "lessthan",
    "smaller than": "lessthan",
    "lower than": "lessthan",
    "shorter than": "lessthan",
    "as a rule": "usually",
    "by means of": "via",
    "by way of": "via",
    "stands for": "represents",
    "stand for": "represent",
    "no longer": "nolonger",
    "not any longer": "nolonger",
    "not any more": "nolonger",
    "used to be": "formerly",
    "has to": "must",
    "have to": "must",
    "had to": "must",
    "need to": "must",
    "needs to": "must",
    "is required to": "must",
    "are required to": "must",
    "is obliged to": "must",
    "is able to": "can",
    "are able to": "can",
    "be able to": "can",
    "is not able to": "can not",
    "are not able to": "can not",
    "is unable to": "can not",
    "are unable to": "can not",
    "is allowed to": "can",
    "are allowed to": "can",
    "is permitted to": "can",
    "are permitted to": "can",
    "used to": "to",
    "serves to": "to",
    "serve to": "to",
    "in order to": "to",
    "so as to": "to",
    "get rid of": "delete",
    "gets rid of": "delete",
    "give back": "return",
    "gives back": "return",
    "gave back": "return",
    "given back": "return",
    "giving back": "return",
    "make use of": "use",
    "makes use of": "use",
    "look up": "find",
    "looks up": "find",
    "carry out": "perform",
    "carries out": "perform",
    "carried out": "perform",
    "set up": "create",
    "sets up": "create",
    "by itself": "automatically",
    "by themselves": "automatically",
    "on its own": "automatically",
    "instead of": "instead of",
    "whether or not": "if",
    "with no": "without",
    "as well as": "and",
    "as well": "also",
    "such as": "like",
    "for example": "like",
    "for instance": "like",
    "due to": "because",
    "because of": "because",
    "in case": "if",
    "as soon as": "when",
    "provided that": "if",
    "prior to": "before",
    "a number of": "several",
    "a lot of": "many",
    "the number of": "count of",
    "not required": "optional",
    "not mandatory": "optional",
    "not optional": "require",
    "switched on": "enable",
    "turned on": "enable",
    "switched off": "disable",
    "turned off": "disable",
    "every time": "when",
    "each time": "when",
    "exactly once": "exactly once",
    "all of": "all",
    "none of": "none",
    "any of": "any",
    "except for": "except",
    "other than": "except",
    "apart from": "except",
    "only if": "only if",
    "not only": "not only",
}


def _canon() -> dict[str, str]:
    names: dict[str, str] = {}
    for line in _SYNONYMS.strip().splitlines():
        stems = [stem(word) for word in line.split()]
        name = next((names[stemmed] for stemmed in stems if stemmed in names), stems[0])
        for stemmed in stems:
            names.setdefault(stemmed, name)
    return names


_CANON = _canon()


@lru_cache(maxsize=1 << 16)  # as `stem`
def canonical(word: str) -> str:
    """The one key of a lower-case word, its inflections and its synonyms."""
    stemmed = stem(word)
    return _CANON.get(stemmed, stemmed)


def _phrase_table() -> dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]]:
    table: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    for phrase in sorted(_PHRASES, key=lambda phrase: -phrase.count(" ")):
        first, *rest = phrase.split()
        table.setdefault(first, []).append((tuple(rest), tuple(_PHRASES[phrase].split())))
    return table


PHRASES = _phrase_table()
PHRASE_STARTS = frozenset((first, rest[0]) for first, phrases in PHRASES.items() for rest, _ in phrases)


_SAYS_DEFAULT = re.compile(
    r"""\b(?:
        out\ of\ the\ box | by\ default
      | (?:unless|until)\ (?:something\ else\ is\ (?:given|set|said)
          | (?:it\ is\ |they\ are\ )?(?:told|configured|overridden)(?:\ otherwise)?
          | otherwise\ (?:specified|configured|given|set) | specified\ otherwise
          | (?:the\ )?\w+\ (?:says|say)\ otherwise)
      | (?:where|when|if)\ (?:nothing|none|no\ \w+|not)\ (?:is\ |are\ )?(?:given|set|said|specified|configured)
      | (?:where|when|if)\ the\ environment\ does\ not\ set\ it
      | (?:(?:if|when|where|as\ long\ as)\ )?(?:it\ is\ |they\ are\ |is\ |are\ )?
        left\ (?:alone|untouched|as\ (?:it\ is|they\ are))
      | (?:as\ long\ as|where|when|if|unless|until)\ (?:nobody|no\ one|nothing|someone|somebody|anybody|anyone)\ \w+
        \ (?:it|them|another|otherwise|anything|something)(?:\ else)?
      | (?:is|are)\ (?:meant|supposed|expected)\ to\ be | comes?\ preset | as\ (?:long|soon)\ as
      | is\ what | starts?\ with
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)


def without_default(text: str) -> str:
    """A claim without the words by which it says that it speaks of a default; they are no part of its subject."""
    return _SAYS_DEFAULT.sub(" ", text)


# Elsewhere `'s` makes a possessive.
_IS_SHORTENED = frozenset(f"{word}'s" for word in ("it", "that", "there", "here", "what", "who", "he", "she"))


def spoken(word: str) -> Iterator[str]:
    """A lower-case word without its contraction: `doesn't` is `does`, `not`; `cannot` is `can`, `not`."""
    word = word.replace("\u2019", "'")
    if word == "cannot":
        yield from ("can", "not")
    elif word.endswith("n't"):
        yield {"wo": "will", "ca": "can", "sha": "shall"}.get(word[:-3], word[:-3])
        yield "not"
    elif word in _IS_SHORTENED:
        yield from (word[:-2], "is")
    else:
        yield word.partition("'")[0]
