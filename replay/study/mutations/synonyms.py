"""Words that may stand for each other in documentation without any change of what is said."""

from __future__ import annotations

import re

# Only pairs that mean the same in every sentence that they fit grammatically: "that is" is no "i.e." in "a name that is
# taken", and "a number of seconds" is not "several seconds", so those go one way.
_BOTH_WAYS = (
    *(("e.g.", "for example"), ("instead of", "rather than"), ("does not", "doesn't"), ("often", "frequently")),
    *(("do not", "don't"), ("is not", "isn't"), ("cannot", "can not"), ("via", "by means of")),
    *(("identical to", "the same as"), ("it is", "it's"), ("will not", "won't"), ("are not", "aren't")),
    *(("omitted", "left out"), ("should not", "shouldn't"), ("must be", "has to be")),
)
_ONE_WAY = (
    *(("in order to", "to"), ("is used to", "serves to"), ("are used to", "serve to"), ("i.e.", "that is")),
    *(("such as", "like"), ("whether or not", "whether"), ("utilize", "use"), ("retrieve", "get"), ("begin", "start")),
    *(
        ("by default", "unless told otherwise"),
        ("defaults to", "has as its default"),
        ("Defaults to", "The default is"),
    ),
    *(("allows you to", "lets you"), ("allow you to", "let you"), ("multiple", "several"), ("entire", "whole")),
    *(("Returns", "Gives back"), ("contains", "holds"), ("displayed", "shown"), ("displays", "shows")),
    *(
        ("represents", "stands for"),
        ("large", "big"),
        ("is equivalent to", "is the same as"),
        ("mostly", "for the most part"),
    ),
    *(("specified", "given"), ("if given", "when given"), ("creates", "makes"), ("obtain", "get")),
    *(("Create a", "Make a"), ("is raised", "gets raised"), ("useful", "helpful"), ("several", "a number of")),
    *(("additional", "further"), ("therefore", "so"), ("currently", "at present"), ("immediately", "at once")),
    *(("attempts to", "tries to"), ("modify", "change"), ("modified", "changed"), ("usually", "as a rule")),
    *(("is able to", "can"), ("are able to", "can")),
    *(("should be", "ought to be"), ("approximately", "about"), ("prior to", "before"), ("performs", "carries out")),
    *(
        ("perform", "carry out"),
        ("receive", "get"),
        ("permits", "allows"),
        ("in case", "if"),
        ("as well as", "and also"),
    ),
    *(("each time", "every time"), ("in addition", "besides"), ("sufficient", "enough"), ("purpose", "aim")),
)
# Where a pair does not mean the same: "a multiple of 3", "in case of", an attempt or a change as a noun.
_NOT_BEFORE = {"multiple": " of", "in case": " of", "several": " of"}


def replaced(sentence: str, *, contractions: bool = True) -> list[str]:
    """The sentence with one word or phrase for another, once for each that it has outside of quotations."""
    pairs = [*_BOTH_WAYS, *((two, one) for one, two in _BOTH_WAYS), *_ONE_WAY]
    made = []
    for old, new in pairs:
        if not contractions and "'" in old + new:
            continue
        for match in re.finditer(rf"(?<![\w./-]){re.escape(old)}(?![\w/(:-]|\.\w)", sentence):
            before, behind = sentence[: match.start()], sentence[match.end() :]
            if before.count("`") % 2 or before.count('"') % 2:
                continue
            if old in _NOT_BEFORE and behind.startswith(_NOT_BEFORE[old]):
                continue
            made.append(_with_article(before, new) + behind)
    return made


def _with_article(before: str, new: str) -> str:
    """The text so far with a word, and the article before it as the word wants it."""
    if match := re.search(r"\b([Aa])n? $", before):
        article = match[1] + ("n " if new[0] in "aeiou" else " ")
        before = before[: match.start()] + article
    return before + new
