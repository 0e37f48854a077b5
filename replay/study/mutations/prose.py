"""Prose out of source records: the docstrings and documents that sentences of a gold answer are taken from."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from replay.contracts import Record

_DOCSTRING = re.compile(r':\s*\n\s*[rRuU]?"""(.+?)"""', re.DOTALL)
_PROSE_FILES = (".md", ".rst", ".txt", "METADATA")
_TESTS = re.compile(r"(?:^|/)tests?/")
_LICENCE = re.compile(r"licen[cs]e|copying|notice|author", re.IGNORECASE)
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_NO_PROSE = re.compile(r"^\s*(?:>>>|\.\.\. |\||[-=~^+*#]{3,}\s*$|\.\. |:\w+:|<|!\[|\[!|@|\$ |[A-Z][\w-]+: \S+$)")
_ITEM = re.compile(r"^\s*(?:[-*+•]\s+|\d+[.)]\s+|#+\s+|\*{0,2}\w+(?: \([^)]*\))?:\s|\w+ : )")
_NOT_AN_END = re.compile(r"(?:\b(?:e\.g|i\.e|etc|cf|vs|resp|approx|Note|no|fig|al)\.|\b[A-Z]\.|\d\.)$", re.IGNORECASE)
_BETWEEN = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"'*(])")
_WORD = re.compile(r"[A-Za-z][a-z']+")
_MARKUP = re.compile(r"https?://|\]\(|</|::|\\|[{}<>=$]|\|")
_NAME = re.compile(r"[\w.:,+&!?' /-]+")
_SHORTEST, _LONGEST = 6, 48  # words of a sentence that can carry a claim
_MOST_CHARS = 2400  # of one text; a bundle of eight such is about 2,500 words


@dataclass(frozen=True)
class Passage:
    """Prose of one record, whose text begins with its name and ends with its place; its sentences fit for claims."""

    record: Record
    sentences: tuple[str, ...]

    @property
    def name(self) -> str:
        """What a task calls it."""
        return self.record.title


def passages(records: Iterable[Record]) -> list[Passage]:
    """The records that hold prose, in their order, each text once.

    A paragraph becomes one line, so that a sentence stands verbatim in its record. Code and tables are left out.
    """
    found: dict[str, Passage] = {}
    names: set[str] = set()
    for record in records:
        prose = _prose(record)
        if (
            prose is None
            or _TESTS.search(record.path or "")
            or not _NAME.fullmatch(record.title)
            or not record.path
            or record.title in names
        ):
            continue
        paragraphs = list(_paragraphs(prose))
        text = "\n".join(paragraphs)[:_MOST_CHARS]
        sentences = tuple(dict.fromkeys(part for line in text.split("\n") for part in _sentences(line)))
        if sentences and text not in found:
            names.add(record.title)
            found[text] = Passage(
                record.model_copy(update={"text": f"{record.title}: {text}\n{place(record)}"}), sentences
            )
    return list(found.values())


def place(record: Record) -> str:
    """The file and the lines of a record."""
    return f"{record.path}:{record.first_line}-{record.last_line}"


def _prose(record: Record) -> str | None:
    path = record.path or ""
    if path.endswith(_PROSE_FILES):
        return None if _LICENCE.search(path) else record.text
    match = _DOCSTRING.search(record.text)
    return inspect.cleandoc(match[1]) if match else None


def _paragraphs(text: str) -> Iterator[str]:
    """Wrapped lines joined; an item of a list and a change of indentation begin a new paragraph."""
    held: list[str] = []
    indent = 0
    fenced = False
    for line in [*text.split("\n"), ""]:
        if _FENCE.match(line):
            fenced = not fenced
            continue
        depth = len(line) - len(line.lstrip())
        unfit = fenced or not line.strip() or _NO_PROSE.match(line)
        if held and (unfit or _ITEM.match(line) or (depth != indent and len(held) != 1) or depth < indent):
            yield " ".join(held)
            held = []
        if not unfit:
            held.append(" ".join(line.split()))
            indent = depth


def _sentences(paragraph: str) -> Iterator[str]:
    """The complete sentences of a paragraph that read as prose."""
    parts: list[str] = []
    for part in _BETWEEN.split(paragraph):
        if parts and _NOT_AN_END.search(parts[-1]):
            parts[-1] += f" {part}"
        else:
            parts.append(part)
    for part in parts:
        words = part.split()
        wordlike = sum(1 for word in words if _WORD.search(word))
        if (
            _SHORTEST <= len(words) <= _LONGEST
            and part[-1] in ".!"
            and not _MARKUP.search(part)
            and wordlike >= 0.7 * len(words)
            and part.count("(") == part.count(")")
            and part.count("`") % 2 == 0
            and part.count('"') % 2 == 0
            and (part[0].isupper() or part[0] in "`*" or ":" in part)
        ):
            yield part
