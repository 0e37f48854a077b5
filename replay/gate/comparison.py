"""A claim beside the spans that it cites: what of it stands there, and where the two differ."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile

from replay.contracts import Finding
from replay.gate.alignment import Alignment, Edit, align
from replay.gate.places import Place, places
from replay.gate.reading import Atom, Reading, read
from replay.gate.spans import Span, head, level
from replay.gate.textcache import per_text

# Of a source with several sentences those are compared that share most with the sentence of the claim.
BEST_SENTENCES = 3
_LONGEST_OPENING = 80  # characters before the name in the opening clause
LONGEST_SENTENCE = 220

# What is written like a name or in quotes; what cannot be is passed over at once, for this is asked of every claim.
_STRICT = re.compile(
    r"""
    (?:[^A-Za-z_`"'#]|[A-Za-z][a-z]*+(?![\w./:@-]))*+
    (?:(?P<name>
      (?<!`)`++[^`\n]{1,120}`+
    | (?<!\w)"[^"\n]{1,120}"(?!\w)
    | (?<!\w)'[^'\n]{1,120}'(?!\w)
    | https?://[^\s<>"']{1,300}
    | [A-Za-z_]\w*(?:[./:@-]\w+)*             # judged below: is it written like a name?
    | \#\d+
    )|.|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)
_NAME = re.compile(r"[a-z]\w*[A-Z]|[A-Z]{2}[a-z]{2}|_|[A-Za-z]\d{2,}|[A-Z]{2,}-\d|\w[./@]\w|^https?:|^[#`\"']")
_AFTER_OPENING = re.compile(r"[`*\"'()]*\s*(?:[:,\u2013\u2014]|--?\s)")
_NO_NAME = re.compile(r"^(?:e\.g|i\.e|and/or|either/or|true/false|yes/no)\.?$", re.IGNORECASE)


_LONGEST_SENTENCE_BEFORE = 400  # characters
_JOINS = re.compile(r"[\w.]")
_GOES_ON = re.compile(r"[\w.]*\w")
_WHOLE_END = re.compile(r"[.!?:;][\"'`)\]*]*\s*$")
# A stop, an empty line, the beginning of a list item or of a field, quotes that open a text, a comment's sign.
_SENTENCE_START = re.compile(
    r"[.!?:;][\"'`)\]*]*\s+|\n\s*\n|\n\s*(?:[-*+#>]|\d+[.)]|:\w|@\w)\s*|\"{3}|'{3}|\)\s*:?\s*\n|^\s*#\s*|\n(?=[^\n]{0,60}(?:=|\())"
)


_Ranges = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Part:
    """One sentence of a claim and its alignment with the source."""

    claim: tuple[Atom, ...]
    source: tuple[Atom, ...]
    alignment: Alignment

    @cached_property
    def edits(self) -> tuple[Edit, ...]:
        """Where the two differ, as far as the source's sentences have anything to do with the claim's."""
        sentences = {self.source[there].sentence for there in self.alignment.at if there >= 0}
        return tuple(
            Edit(edit.said, tuple(atom for atom in edit.given if atom.sentence in sentences))
            for edit in self.alignment.edits
        )

    def keeps(self, atom: Atom) -> bool:
        """Does the claim hold some content of the clause in which the source says this?"""
        return atom.clause in self._clauses

    @cached_property
    def _clauses(self) -> frozenset[int]:
        return frozenset(
            self.source[there].clause
            for there in self.alignment.at
            if there >= 0 and self.source[there].kind != "function"
        )


@dataclass(frozen=True)
class Comparison:
    """A finding's claim beside what it cites.

    Attributes:
        finding: The finding.
        spans: What it cites, as far as it exists.
        claim: The claim, read.
        places: Paths and lines that the claim names.
        subject: Keys of the names that the cited records go by: title, path, head, enclosing definitions.
        asked: The text of the task.
    """

    finding: Finding
    spans: tuple[Span, ...]
    claim: Reading
    places: tuple[Place, ...]
    subject: frozenset[str]
    asked: str

    @cached_property
    def task(self) -> frozenset[str]:
        """The keys of the task."""
        return read(self.asked).said

    @cached_property
    def source(self) -> Reading:
        """The cited quotes, read one after the other."""
        return read("\n\n".join(span.quote for span in self.spans))

    @cached_property
    def quoted(self) -> frozenset[str]:
        """The keys of everything that is quoted, joining words included."""
        return self.source.said

    @cached_property
    def names(self) -> tuple[tuple[str, int, int], ...]:
        """What the claim writes as a name or in quotes, and where: such words have no synonyms."""
        return _names(self.claim.text)

    @cached_property
    def given_names(self) -> tuple[tuple[str, int, int], ...]:
        """The same of the source."""
        read_so_far = self.source.atoms[-1].end if self.source.atoms else 0
        return _names(self.source.text[:read_so_far])

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The sentences of the claim that say something of the source, each aligned with it."""
        sources = self.source.sentences
        pieces = list(_pieces(self.claim))
        saying = [piece for piece in pieces if not self._attributes(piece)]
        return tuple(self._part(piece, sources) for piece in saying or pieces)

    @cached_property
    def says_nothing(self) -> bool:
        """Does the claim only tell whose words would follow?"""
        return all(map(self._attributes, _pieces(self.claim)))

    def exempt(self, atom: Atom) -> bool:
        """Is the atom part of a place, which is judged on its own?"""
        return _covers(self._place_ranges, atom.start)

    def strict(self, atom: Atom) -> bool:
        """Is the atom part of a name or of a quoted text? Such words have no synonyms."""
        return _covers(self._name_ranges, atom.start)

    def strictly_given(self, atom: Atom) -> bool:
        """Is an atom of the source part of a name or of a quoted text?"""
        return _covers(self._given_ranges, atom.start)

    def kept(self, part: Part, edit: Edit) -> list[Atom]:
        """What the source says in an edit, without the clauses that the claim leaves out as a whole.

        Where the claim says something else instead, nothing is left out: it is replaced.
        """
        if any(atom.is_content and atom.key not in self.subject for atom in edit.said):
            return list(edit.given)
        return [atom for atom in edit.given if part.keeps(atom)]

    def backed(self, atom: Atom) -> bool:
        """Do the cited spans, or the names that their records go by, say this word?"""
        return atom.key in self.quoted or atom.key in self.subject

    @cached_property
    def _place_ranges(self) -> _Ranges:
        return [place.start for place in self.places], [place.end for place in self.places]

    @cached_property
    def _name_ranges(self) -> _Ranges:
        return [start for _, start, _ in self.names], [end for _, _, end in self.names]

    @cached_property
    def _given_ranges(self) -> _Ranges:
        return [start for _, start, _ in self.given_names], [end for _, _, end in self.given_names]

    def introduces(self, atom: Atom) -> bool:
        """Is the atom part of the name by which the claim begins (`json.loads: …`), and which its source leaves out?"""
        return atom.start < self._introduction and self.strict(atom)

    @cached_property
    def _introduction(self) -> int:
        """Where the opening clause of the claim ends, if it only names what the rest is about; else 0."""
        if not self.names or self.names[0][1] > _LONGEST_OPENING:
            return 0
        atoms = self.claim.atoms
        silent = sum(1 for _ in takewhile(self._names_a_source, atoms))
        if silent == len(atoms):
            return 0
        # The first words of what is said may be silent as well: the opening ends with a clause.
        ends = [at for at in range(1, silent + 1) if atoms[at - 1].clause != atoms[at].clause]
        source = self.source.text.lower()
        for at in reversed(ends):
            end = atoms[at - 1].end
            named = [
                name.lower() for name, start, _ in self.names if start < end and not _covers(self._place_ranges, start)
            ]
            if named and not any(name in source for name in named) and _AFTER_OPENING.match(self.claim.text, end):
                return end
        return 0

    def _names_a_source(self, atom: Atom) -> bool:
        """Is the atom part of the name or the place of what is cited, or a word that says nothing of its own?"""
        return self.exempt(atom) or ((atom.key in self.subject or not atom.is_content) and not atom.marker)

    def _attributes(self, piece: tuple[Atom, ...]) -> bool:
        """Does a sentence say no more than whose words the others are: `"…" is what json.loads documents.`?"""
        return any(_covers(self._own_ranges, atom.start) for atom in piece) and all(
            _is_empty(atom) or _covers(self._own_ranges, atom.start) or self.exempt(atom) for atom in piece
        )

    @cached_property
    def _own_ranges(self) -> _Ranges:
        own = _own_names(self.spans)
        named = [(start, end) for name, start, end in self.names if name.strip("`\"'").lower() in own]
        return [start for start, _ in named], [end for _, end in named]

    def _part(self, piece: tuple[Atom, ...], sources: Sequence[tuple[Atom, ...]]) -> Part:
        opening, places = self._introduction, self.places
        if opening or places:
            piece = tuple(
                atom
                for atom in piece
                if not (atom.start < opening and self.strict(atom)) and not (places and self.exempt(atom))
            )
        source = _chosen(piece, sources, frozenset(atom.key for atom in piece if self.strict(atom)))
        return Part(piece, source, align(piece, source))


def _covers(ranges: _Ranges, at: int) -> bool:
    """Does one of the ranges, which follow each other, hold this place?"""
    starts, ends = ranges
    number = bisect_right(starts, at) - 1
    return number >= 0 and at < ends[number]


def is_verbatim(finding: Finding, spans: Sequence[Span]) -> bool:
    """Is the claim its quotes, word by word, beside no more than the name of the cited record? Then all is backed."""
    if not spans:
        return False
    claim, *quotes = (_plain(text) for text in (finding.claim, *(span.quote for span in spans)))
    quote = " ".join(quotes).strip(".!? ")
    if not quote or quote not in claim or not all(map(_is_whole, spans) if len(spans) > 1 else ()):
        return False  # parts of sentences, put together, may say what none of them says
    before, _, after = claim.partition(quote)
    beside = f"{before} {after}"
    if not any(char.isalnum() for char in beside):
        return True
    own = sorted(_own_names(spans), key=len, reverse=True)
    if any(char.isalnum() for char in after) and not any(name in after for name in own):
        return False  # a sentence that was begun and breaks off
    for name in own:
        beside = _without(beside, name)
    return all(map(_is_empty, read(beside).atoms))


def _without(text: str, name: str) -> str:
    """A text without a name, where it is no part of a longer one; a pattern for each name would be dear to compile."""
    kept, taken, start = [], 0, text.find(name)
    while start >= 0:
        end = start + len(name)
        if not _JOINS.match(text[start - 1 : start]) and not _GOES_ON.match(text, end):
            kept.append(text[taken:start])
            taken = end
        start = text.find(name, max(end, start + 1))
    return " ".join([*kept, text[taken:]])


def _is_whole(span: Span) -> bool:
    """Does a quote begin and end where sentences of its record do?"""
    return _WHOLE_END.search(span.quote) is not None and not before_it(span).strip()


def before_it(span: Span) -> str:
    """What the sentence that a quote belongs to says before it; nothing where the quote begins like a sentence."""
    if not span.quote.lstrip()[:1].islower():
        return ""
    text = span.record.text
    start = text.find(span.quote)
    if start <= 0:
        return ""
    before = text[max(0, start - _LONGEST_SENTENCE_BEFORE) : start]
    return before[max((match.end() for match in _SENTENCE_START.finditer(before)), default=0) :]


def _plain(text: str) -> str:
    return level(text).replace("`", "")


def _is_empty(atom: Atom) -> bool:
    """Does a word say nothing of its own: no content, and nothing that turns, widens or narrows a statement?"""
    return atom.kind in ("function", "generic") and not atom.marker


def _own_names(spans: Sequence[Span]) -> frozenset[str]:
    """What the cited records are called, lower-cased."""
    return frozenset(name.lower() for span in spans for name in (span.record.title, head(span.record)) if name)


def compare(finding: Finding, spans: Sequence[Span], asked: str) -> Comparison:
    """Set a finding's claim beside its spans."""
    subject = frozenset().union(*(read(span.names).said for span in spans))
    return Comparison(finding, tuple(spans), read(finding.claim), tuple(places(finding.claim)), subject, asked)


@per_text(1 << 17)  # as `read`
def _names(text: str) -> tuple[tuple[str, int, int], ...]:
    return tuple(
        (name, *match.span("name"))
        for match in _STRICT.finditer(text)
        if (name := match["name"]) is not None and _NAME.search(name) and not _NO_NAME.search(name)
    )


def _pieces(claim: Reading) -> Iterator[tuple[Atom, ...]]:
    for sentence in claim.sentences:
        for start in range(0, len(sentence), LONGEST_SENTENCE):
            yield sentence[start : start + LONGEST_SENTENCE]


def _chosen(piece: tuple[Atom, ...], sources: Sequence[tuple[Atom, ...]], strict: frozenset[str]) -> tuple[Atom, ...]:
    """The sentences of the source that the piece is about, in their order; what is a name in the piece counts twice."""
    if len(sources) == 1 and len(sources[0]) <= LONGEST_SENTENCE:
        return sources[0]
    wanted = {atom.key for atom in piece if atom.kind != "function"}
    held = [{atom.key for atom in sentence} & wanted for sentence in sources]
    chosen: list[int] = []
    for _ in range(BEST_SENTENCES):
        best = max(
            range(len(sources)),
            key=lambda number: (len(held[number] & wanted) + len(held[number] & wanted & strict), -number),
            default=0,
        )
        gain = held[best] & wanted if held else set()
        if not gain or (chosen and len(gain) < 2):
            break
        chosen.append(best)
        wanted -= gain
    return tuple(atom for number in sorted(chosen) for atom in sources[number][:LONGEST_SENTENCE])
