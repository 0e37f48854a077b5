"""The words that the gate knows: which say the same, which say the opposite, and which carry no claim of their own.

English for technical prose, small on purpose. A word is looked up by its stem, so an inflection needs no entry. A pair
that is missing in `SYNONYMS` costs little (one replaced word is tolerated); one that is missing in `OPPOSITES` lets
that turn of the sense pass, so this table is the larger one. Changing a table changes the gate's version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

_IRREGULAR = {
    form: base
    for base, forms in {
        "begin": "began begun beginning",
        "bind": "bound",
        "break": "broke broken",
        "build": "built",
        "choose": "chose chosen",
        "fall": "fell fallen",
        "find": "found",
        "forbid": "forbade forbidden",
        "freeze": "froze frozen",
        "get": "got gotten getting",
        "give": "gave given",
        "grow": "grew grown",
        "hide": "hid hidden",
        "hold": "held",
        "keep": "kept",
        "know": "knew known",
        "leave": "left",
        "lose": "lost losing",
        "make": "made",
        "mean": "meant",
        "meet": "met",
        "run": "ran",
        "send": "sent",
        "show": "shown",
        "shrink": "shrank shrunk",
        "speak": "spoke spoken",
        "spend": "spent",
        "take": "took taken",
        "tell": "told",
        "throw": "threw thrown",
        "write": "wrote written",
    }.items()
    for form in forms.split()
}

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
    source specify state statement string text thing type value variable
    """.split()  # noqa: SIM905  as above
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

OPPOSITES_OF: dict[str, frozenset[str]] = {}
_OPPOSITES = """
    always never|always sometimes|always rarely|always usually|all none|all no|all some|all any|every no|every some
    any no|both neither|either neither|everything nothing|some none|often rarely|often never|usually never|usually rarely
    and or|if unless|when unless|before after|until after|until before|until since|since before|earlier later
    early late|first last|previous next|prior subsequent|preceding following|now later|once repeatedly
    left right|up down|above below|over under|in out|into out|from to|from into|on off|inside outside|inner outer
    upper lower|top bottom|front back|head tail|forward backward|ahead behind|horizontal vertical|row column
    start stop|begin end|open close|opened closed|enter exit|enter leave|attach detach|connect disconnect|bind unbind
    true false|yes no|enable disable|allow forbid|allow prevent|allow deny|permit deny|accept reject|accept refuse
    include exclude|inclusive exclusive|add remove|insert delete|create delete|create destroy|append prepend
    success failure|succeed fail|pass fail|valid invalid|correct wrong|right wrong|legal illegal|possible impossible
    minimum maximum|atleast atmost|morethan lessthan|more less|more fewer|most least|most fewest|greater less
    greater smaller|greater lower|larger smaller|bigger smaller|largest smallest|longer shorter|longest shortest
    higher lower|highest lowest|high low|large small|long short|wide narrow|wider narrower|deep shallow
    increase decrease|increase reduce|increment decrement|raise lower|grow shrink|expand collapse|expand shrink
    ascending descending|increasing decreasing|maximise minimise|maximize minimize|exceed below|gain lose
    synchronous asynchronous|sync async|blocking nonblocking|block unblock|serial parallel|sequential parallel
    read write|readable writable|load dump|load unload|load store|load save|import export|upload download
    encode decode|encrypt decrypt|compress decompress|compress uncompress|compress extract|serialize deserialize
    pack unpack|lock unlock|push pop|push pull|send receive|client server|parent child|ancestor descendant|local remote
    acquire release|allocate free|subscribe unsubscribe|register unregister|install uninstall|commit rollback
    public private|global local|internal external|static dynamic|mutable immutable|shared exclusive|shared private
    positive negative|even odd|same different|equal unequal|equal different|identical different|similar different
    require optional|mandatory optional|require forbid|must may|must should|necessary unnecessary|necessary optional
    new old|newer older|newest oldest|latest earliest|latest oldest|fresh stale|young old|current obsolete|modern legacy
    fast slow|faster slower|quick slow|strong weak|strict lenient|strict loose|hard soft|heavy light|full empty
    source destination|source target|sender receiver|producer consumer|absolute relative|explicit implicit
    direct indirect|with without|present absent|present missing|exist missing|available unavailable|available missing
    visible hidden|show hide|active inactive|active idle|alive dead|busy idle|online offline|on_line off_line
    permanent temporary|persistent transient|persistent temporary|durable transient|durable temporary|volatile durable
    single multiple|single several|singular plural|unique duplicate|unique shared|one many|manual automatic
    manually automatically|lazy eager|lazily eagerly|greedy lazy|raw parsed|keep discard|keep drop|keep delete|retain discard
    ignore respect|ignore honor|ignore honour|ignore obey|ignore use|raise suppress|raise swallow|raise return
    deprecated recommended|reject pass|safe dangerous|secure insecure|simple complex|easy difficult|easy hard
    sorted unsorted|ordered unordered|odd even|plus minus|prefix suffix|uppercase lowercase|capital lowercase
    signed unsigned|buffered unbuffered|weak strong|input output|stdin stdout|request response|question answer
    case_sensitive case_insensitive|before during|reader writer|width height|begin finish|beginning end|start end|start finish
    minimal maximal|lowest greatest|least greatest|least maximum|atleast upto|cause prevent|help hinder|gracefully forcibly
    good bad|better worse|best worst|trust distrust|agree disagree|appear disappear|cover uncover|continue stop
    continue abort|resume suspend|resume pause|follow precede|inherit override|omit include|omit provide|lack have
    partial complete|partial full|partially fully|partly fully|approximate exact|approximately exactly|roughly exactly
    rarely frequently|seldom often|never sometimes|never often|only also|only any|unconditionally conditionally
    succeeded failed|won lost|true none|healthy unhealthy|safe unsafe|accessible inaccessible|relevant irrelevant
    """

# Words that turn, widen or narrow what a sentence says: the class by which two sentences are compared.
MARKERS = {
    word: kind
    for kind, words in {
        "not": "not no never none nothing neither nor without nobody nowhere hardly barely scarcely",
        "only": "only solely exclusively merely",
        "all": "always all every everything everyone invariably",
        "some": "sometimes often usually typically normally generally mostly occasionally rarely seldom partly partially",
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
_NOT_UNDONE = ("un", "in", "im", "il", "ir", "non", "dis", "de", "mis", "a")
_VOWEL = re.compile("[aeiouy]")


@lru_cache(maxsize=1 << 16)  # pure, and the same words come again and again
def stem(word: str) -> str:
    """A lower-case word without its inflection: `creates`, `created` and `creating` give one stem.

    Suffix stripping after M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, reduced to the
    inflections of nouns and verbs: derived words (`creation`) are other words here.
    """
    if word in _IRREGULAR:
        word = _IRREGULAR[word]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-3] + "y" if word.endswith("ies") and len(word) > 4 else word[:-1]
        if word.endswith(("sse", "she", "che", "xe", "zze")):
            word = word[:-1]
    for ending in ("ing", "ied", "ed"):
        rest = word[: -len(ending)]
        if word.endswith(ending) and not word.endswith("eed") and len(rest) >= 3 and _VOWEL.search(rest):
            word = rest + "y" if ending == "ied" else rest
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiou":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


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


def _fill_opposites() -> None:
    table: dict[str, set[str]] = {}
    for pair in _OPPOSITES.replace("\n", "|").split("|"):
        for one, other in pairwise(pair.split()):
            for left, right in ((one, other), (other, one)):
                for key in {left, stem(left), canonical(left)}:
                    table.setdefault(key, set()).update({right, stem(right), canonical(right)})
    OPPOSITES_OF.update({key: frozenset(others) for key, others in table.items()})


_fill_opposites()


@lru_cache(maxsize=1 << 14)  # as `stem`
def opposite(one: str, other: str) -> bool:
    """Do two words, lower-case and as written, say the opposite: by the table, or by a prefix or suffix that negates?"""
    forms, others = _forms(one), _forms(other)
    if forms & others:
        return False
    if any(OPPOSITES_OF.get(form, frozenset()) & others for form in forms):
        return True
    for short, long in ((one, other), (other, one)):
        if len(short) > 3 and any(long == prefix + short for prefix in _NOT_UNDONE):
            return True
        if short.endswith("ful") and long == short[:-3] + "less":
            return True
    short, long = sorted((stem(one), stem(other)), key=len)
    return len(short) > 3 and any(long == prefix + short for prefix in _NOT_UNDONE)


def _forms(word: str) -> frozenset[str]:
    return frozenset((word, stem(word), canonical(word)))


def _phrase_table() -> dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]]:
    table: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    for phrase in sorted(_PHRASES, key=lambda phrase: -phrase.count(" ")):
        first, *rest = phrase.split()
        table.setdefault(first, []).append((tuple(rest), tuple(_PHRASES[phrase].split())))
    return table


PHRASES = _phrase_table()
PHRASE_STARTS = frozenset((first, rest[0]) for first, phrases in PHRASES.items() for rest, _ in phrases)


def spoken(word: str) -> Iterator[str]:
    """A lower-case word without its contraction: `doesn't` is `does`, `not`; `cannot` is `can`, `not`."""
    word = word.replace("\u2019", "'")
    if word == "cannot":
        yield from ("can", "not")
    elif word.endswith("n't"):
        yield {"wo": "will", "ca": "can", "sha": "shall"}.get(word[:-3], word[:-3])
        yield "not"
    else:
        yield word.partition("'")[0]
