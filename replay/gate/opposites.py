"""Which words say the opposite of each other: by a table of technical English, or by an affix that negates.

A pair that is missing here lets that turn of a claim's sense pass, so the table is generous.
"""

from __future__ import annotations

from functools import lru_cache

from replay.gate.lexicon import canonical
from replay.gate.stems import stem

_PAIRS = """
    always never | always sometimes | always rarely | always usually | all none | all no | all some | all any |
    every no | every some | any no | both neither | either neither | everything nothing | some none | often rarely |
    often never | usually never | usually rarely | and or | if unless | when unless | before after | until after |
    until before | until since | since before | earlier later | early late | first last | previous next |
    prior subsequent | preceding following | now later | once repeatedly | left right | up down | above below |
    over under | in out | into out | from to | from into | on off | inside outside | inner outer | upper lower |
    top bottom | front back | head tail | forward backward | ahead behind | horizontal vertical | row column |
    start stop | begin end | open close | opened closed | enter exit | enter leave | attach detach |
    connect disconnect | bind unbind | true false | yes no | enable disable | allow forbid | allow prevent |
    allow deny | permit deny | accept reject | accept refuse | include exclude | inclusive exclusive | add remove |
    insert delete | create delete | create destroy | append prepend | success failure | succeed fail | pass fail |
    valid invalid | correct wrong | right wrong | legal illegal | possible impossible | minimum maximum |
    atleast atmost | morethan lessthan | more less | more fewer | most least | most fewest | greater less |
    greater smaller | greater lower | larger smaller | bigger smaller | largest smallest | longer shorter |
    longest shortest | higher lower | highest lowest | high low | large small | long short | wide narrow |
    wider narrower | deep shallow | increase decrease | increase reduce | increment decrement | raise lower |
    grow shrink | expand collapse | expand shrink | ascending descending | increasing decreasing | maximise minimise |
    maximize minimize | exceed below | gain lose | synchronous asynchronous | sync async | blocking nonblocking |
    block unblock | serial parallel | sequential parallel | read write | readable writable | load dump | load unload |
    load store | load save | import export | upload download | encode decode | encrypt decrypt | compress decompress |
    compress uncompress | compress extract | serialize deserialize | pack unpack | lock unlock | push pop |
    push pull | send receive | client server | parent child | ancestor descendant | local remote | acquire release |
    allocate free | subscribe unsubscribe | register unregister | install uninstall | commit rollback |
    public private | global local | internal external | static dynamic | mutable immutable | shared exclusive |
    shared private | positive negative | even odd | same different | equal unequal | equal different |
    identical different | similar different | require optional | mandatory optional | require forbid | must may |
    must should | necessary unnecessary | necessary optional | new old | newer older | newest oldest |
    latest earliest | latest oldest | fresh stale | young old | current obsolete | modern legacy | fast slow |
    faster slower | quick slow | strong weak | strict lenient | strict loose | hard soft | heavy light | full empty |
    source destination | source target | sender receiver | producer consumer | absolute relative | explicit implicit |
    direct indirect | with without | present absent | present missing | exist missing | available unavailable |
    available missing | visible hidden | show hide | active inactive | active idle | alive dead | busy idle |
    online offline | on_line off_line | permanent temporary | persistent transient | persistent temporary |
    durable transient | durable temporary | volatile durable | single multiple | single several | singular plural |
    unique duplicate | unique shared | one many | manual automatic | manually automatically | lazy eager |
    lazily eagerly | greedy lazy | raw parsed | keep discard | keep drop | keep delete | retain discard |
    ignore respect | ignore honor | ignore honour | ignore obey | ignore use | raise suppress | raise swallow |
    raise return | deprecated recommended | reject pass | safe dangerous | secure insecure | simple complex |
    easy difficult | easy hard | sorted unsorted | ordered unordered | odd even | plus minus | prefix suffix |
    uppercase lowercase | capital lowercase | signed unsigned | buffered unbuffered | weak strong | input output |
    stdin stdout | request response | question answer | case_sensitive case_insensitive | before during |
    reader writer | width height | begin finish | beginning end | start end | start finish | minimal maximal |
    lowest greatest | least greatest | least maximum | atleast upto | cause prevent | help hinder |
    gracefully forcibly | good bad | better worse | best worst | trust distrust | agree disagree | appear disappear |
    cover uncover | continue stop | continue abort | resume suspend | resume pause | follow precede |
    inherit override | omit include | omit provide | lack have | partial complete | partial full | partially fully |
    partly fully | approximate exact | approximately exactly | roughly exactly | rarely frequently | seldom often |
    never sometimes | never often | only also | only any | unconditionally conditionally | succeeded failed |
    won lost | true none | healthy unhealthy | safe unsafe | accessible inaccessible | relevant irrelevant
    """
_NOT_UNDONE = ("un", "in", "im", "il", "ir", "non", "dis", "de", "mis", "a")


@lru_cache(maxsize=1 << 14)  # as `stem`
def opposite(one: str, other: str) -> bool:
    """Do two words, lower-case and as written, say the opposite: by the table, or by an affix that negates?"""
    forms, others = _forms(one), _forms(other)
    if forms & others:
        return False
    if any(_OPPOSITES.get(form, frozenset()) & others for form in forms):
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


def _table() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for pair in _PAIRS.replace("\n", " ").split("|"):
        one, other = pair.split()
        for left, right in ((one, other), (other, one)):
            for key in _forms(left):
                table.setdefault(key, set()).update(_forms(right))
    return {key: frozenset(others) for key, others in table.items()}


_OPPOSITES = _table()
