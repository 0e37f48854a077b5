"""What a line of source or prose states: the values that could confirm or refute a claimed one.

A line mentions more than it states. Not stated are: what stands in a comment behind code, in commented-out code, in an
import or in a doctest; a number that is compared with or calculated further (`if x < 10`, `1 << 20`, `max(x, 1)`,
`timedelta(days=1)`); a `None` in an annotation or a test; the name of a called function; the key of a mapping; and,
where a line gives values to several names, those of the names that are not asked about
(`def f(max_retries=3, socket_timeout=5)`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from replay import values
from replay.corpus.tokens import tokens
from replay.values import Value

_NAMED = re.compile(
    r"""(?<![\w.])(?:self\.|cls\.)?([A-Za-z_]\w*)\s*(?::\s*[^=,()'"]+)?(?<![=!<>])=(?!=)\s*  # name = · name: type =
      | ['"]([\w.-]+)['"]\s*:\s*                                                            # 'name':
    """,
    re.VERBOSE,
)
_COMMENTED_OUT = re.compile(r"[\w.\[\]'\"]+\s*=\s*\S")
_OPERATOR_BEFORE = re.compile(r"(?:[<>+/%|^&*#]|[=!<>]=|[\w)\]]\s*-|[\w)\]]\[)\s*$")
_OPERATOR_AFTER = re.compile(r"\s*(?:\*\*?|<<?|>>?|//?|[+|^&]|[=!]=|-\s)")
# "True if it is detected, False otherwise" says what the values mean, and neither.
_SUPPOSED = re.compile(r"(?:If|When|Whether|Unless)\s")
_EITHER = re.compile(r"\b(?:if|else|otherwise|or)\b")
_TEXT_ASSIGNED = re.compile(
    r"""(?:self\.|cls\.)?\w+\s*(?::[^=]{1,80})?=\s*(?P<quote>['"])(?P<text>[^'"\n]{1,80})(?P=quote),?"""
)
_ENVIRONMENT = re.compile(r"""(?:environ(?:\.get\(|\[)|\bgetenv\()\s*['"](?P<key>\w{1,80})['"]""")
# "defaults to DEBUG" speaks of no variable, although a line may read one.
_IS_READ = re.compile(
    r"\b(?:environ(?:ment)?|env(?:ironment)? var(?:iable)?s?|variable (?:behind|from)"
    r"|(?:read|taken|comes|filled) from)\b",
    re.IGNORECASE,
)
_GIVEN_BEFORE = re.compile(r"(?:(?<![=!<>])=|\breturn|\bOption\()\s*$")
_NOTHING = re.compile(r"\b(?:None|null|nil)\b")
_ASSIGNED = re.compile(r"(?<=[=:] )[A-Za-z_]\w*|(?<==)[A-Za-z_]\w*|(?<=return )[A-Za-z_]\w*")
# What types say of a value is no value: `x: dict[str, Path] = …`, `-> Path:`.
_TYPES = re.compile(r":\s*[\w.\[\], |\"']{1,200}(?==)|->[^:]{1,200}(?=:\s*$)")
# What an option says of itself beside its value.
_META = re.compile(
    r"""\b(?:type|old|alt|help|metavar|doc|description|deprecate_by|remove_by)\s*=\s*(?:'[^'\n]{0,200}'|"[^"\n]{0,200}"|"""
    r"""\{[^}\n]{0,200}\}|\w+)(?=\s*[,)])""",
)
_SIGNATURE = re.compile(r"(?:async\s+)?def\s")
_NAMING = re.compile(r"(?:class|raise|except)\b")
_IMPORT = re.compile(r"(?:from\s+[\w.]+\s+)?import\s")
_COMPUTED = re.compile(r"\b(?:max|min|round|range|pow|divmod|sum|abs|len|zip|slice)\([^()]*$")
# A key names a value and is none: `'x': …`, `conf.get('x')`, `conf['x']`, `getattr(conf, 'x')`.
_STRING = r"""(?:'[^'\n]{1,80}'|"[^"\n]{1,80}")"""
_KEY = re.compile(
    rf"{_STRING}\s*:(?!:)|(?:[._](?:get|pop|setdefault)|getenv)\(\s*{_STRING}|[\w\])]\[{_STRING}\]"
    rf"|\b(?:get|has|set)attr\([\w.]{{1,80}},\s*{_STRING}"
)
# A text that is filled in is not the text: `'%s/%s' % (host, port)`.
_FORMATTED = re.compile(rf"{_STRING}(?:\s*%\s*[\w({{\[]|\.format\()")
_LONGEST_LINE = 1000  # nobody writes a longer statement; generated ones are longer, and state nothing to a reader
_CLOSING = {"(": ")", "[": "]", "{": "}"}


@lru_cache(maxsize=4096)  # each shown line is read for the schema, and again by several rules of the gate
def stated(line: str, like: Value, about: frozenset[str] = frozenset()) -> tuple[Value, ...]:
    """The values that a line states and that could confirm or refute a value like this one.

    Args:
        line: One line.
        like: The claimed value: only values of its kind count, and for a word, of its shape; or an explicit none.
        about: The tokens of the claim, to tell several names on one line apart.
    """
    text = _META.sub(" ", _asked_part(_code(line), about))
    nothing = [
        values.parse(match[0]) for match in _NOTHING.finditer(text) if _GIVEN_BEFORE.search(text[: match.start()])
    ]
    quoted = values.quoted(_FORMATTED.sub(" ", _KEY.sub(" ", text)))
    if like.kind == "number":
        return values.distinct([*_plain_numbers(text), *nothing])
    if like.kind == "boolean":
        switched = values.distinct(values.switches(text))
        told = (len(switched) > 1 and _EITHER.search(text)) or _SUPPOSED.match(text)
        return () if told else switched
    if like.kind == "none" and not _NAMED.search(text) and "default" not in text.lower():
        return values.distinct(nothing)  # a sentence that quotes something gives it to nobody
    if like.kind == "none":
        return values.distinct([*nothing, *_plain_numbers(text), *values.switches(text), *quoted])
    found = [*quoted, *_bare_words(text, lower=values.shape(like.text) == "lower")]
    whole = assigned_text(text)
    alike = [
        word
        for word in found
        if word.kind == "word" and (values.shape(word.text) == values.shape(like.text) or word.text == whole)
    ]
    return values.distinct([*alike, *nothing])


def assigned_text(text: str) -> str | None:
    """The text that a line gives to a name and that is all it gives: it answers whatever text was claimed."""
    assigned = _TEXT_ASSIGNED.fullmatch(text.strip())
    return assigned["text"] if assigned else None


def gives_alone(line: str, found: str, claimed: Value, task: str) -> bool:
    """Is a value all that a line gives, where the task says in quotes what it should be, or which variable is read?

    `LABEL = "label"` gives that text whatever it is called; so it can refute that the label is 'event loop', although
    the task says the word. Where the task quotes no value, its own words may be the claimed one.
    """
    code = _code(line)
    read = _ENVIRONMENT.search(code)
    if read is not None:
        return found == read["key"] and values.shape(claimed.text) == "capitals" and bool(_IS_READ.search(task))
    return found == assigned_text(code) and any(claimed.same(said) for said in values.quoted(task))


def _bare_words(text: str, *, lower: bool) -> Iterator[Value]:
    """Words that stand for themselves: no called function, no type, and no name that is given to itself."""
    text = _TYPES.sub(" ", text)
    if _SIGNATURE.match(text):
        text = text[text.find("=") + 1 :] if "=" in text else ""
    for match in (_ASSIGNED if lower else values.IDENTIFIER).finditer(text):
        after = text[match.end() :].lstrip()
        if after.startswith(("(", "[", ".")) and not _NAMING.match(text):
            continue
        if text.startswith("raise ") and "." in match[0]:
            yield values.word(match[0].rpartition(".")[2])
        if lower and match[0] in text[: match.start()].rstrip("= ").rpartition(".")[2].split():
            continue
        yield values.word(match[0])


def names_given(line: str, about: frozenset[str]) -> tuple[str, ...]:
    """The names to which the asked part of a line gives values."""
    return tuple(match[1] or match[2] for match in _NAMED.finditer(_asked_part(_code(line), about)))


def _code(line: str) -> str:
    """A line without what only accompanies it."""
    text = line[:_LONGEST_LINE].strip()
    if text.startswith((">>>", "... ")) or _IMPORT.match(text):
        return ""
    if text.startswith("#"):
        said = text.lstrip("#:!- ")
        return "" if _COMMENTED_OUT.match(said) else said
    quote = ""
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "#" and text[at - 1].isspace():
            return text[:at].rstrip()
    return text


def _asked_part(text: str, about: frozenset[str]) -> str:
    """Of a line that gives values to several names, the ones whose names the claim asks for most; or all of it."""
    given = list(_NAMED.finditer(text))
    if len(given) < 2 or not about:
        return text
    ranked = []
    for match in given:
        parts = {token for token in tokens(match[1] or match[2]) if "_" not in token}
        asked = len(parts & about)
        ranked.append((asked, asked / len(parts) if parts else 0.0))
    best = max(ranked)
    if best[0] == 0:
        return text
    return " ; ".join(
        match[0] + _value_at(text, match.end()) for match, rank in zip(given, ranked, strict=True) if rank == best
    )


def _value_at(text: str, start: int) -> str:
    """The value that begins here: up to the comma or bracket that ends it, outside of brackets of its own."""
    waiting: list[str] = []
    for at in range(start, len(text)):
        char = text[at]
        if waiting and char == waiting[-1]:
            waiting.pop()
        elif char in _CLOSING:
            waiting.append(_CLOSING[char])
        elif not waiting and char in ",)]}":
            return text[start:at]
    return text[start:]


def _plain_numbers(text: str) -> Iterator[Value]:
    if "timedelta(" in text:
        return
    for value, start, end in values.numbers_at(text):
        if not _OPERATOR_BEFORE.search(text[max(0, start - 8) : start]) and not _OPERATOR_AFTER.match(
            text[end : end + 8]
        ):
            if _COMPUTED.search(text[:start]):
                continue
            yield value
