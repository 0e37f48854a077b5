"""What an answer invents: it names a source that exists nowhere, or a value that does not stand in the source it names.

Judged generously, so that what is counted is invented beyond doubt. A source exists where it is a record of the bundle,
or where the corpus has a file or a definition of that name, wherever in a sentence the name stands and whatever line
it gives; a value stands in a source where it stands anywhere in it, in whatever spelling. An answer that names no
source that exists is counted once, for the source: there is nothing that its value could stand in. One that names no
source at all invents none.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from replay import values
from replay.contracts import Finding, Record, ReplayRun

Places = Mapping[str, Sequence[Record]]
"""The records of the corpus that a named source can mean, by the name as the answer has it."""

_LONGEST = 120
_NAME = re.compile(r"[\w/][\w./-]*")


def named_outside(run: ReplayRun) -> set[str]:
    """The sources that a run's answer names and its bundle does not hold."""
    inside = run.bundle.records()
    return {cite.record_id for finding in _findings(run) for cite in finding.cites if cite.record_id not in inside}


def locate(named: Iterable[str], records: Iterable[Record]) -> dict[str, list[Record]]:
    """Find what named sources can mean, in one pass over the records of a corpus.

    Args:
        named: As answers have them: a path with or without a line, a dotted name, or a sentence with one of these.
        records: Of the corpus.

    Returns:
        The records of each name that exists, by that name.
    """
    files: dict[str, list[tuple[str, str]]] = defaultdict(list)
    titles: dict[str, list[str]] = defaultdict(list)
    for source in named:
        for name in _names(source):
            titles[name].append(source)
            files[_last(name)].append((name, source))
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records if titles else ():
        path = (record.path or "").lower()
        sources = [source for name, source in files.get(_last(path), ()) if _is_path(name, path)]
        sources += [source for key in _titles(record) for source in titles.get(key, ())]
        for source in dict.fromkeys(sources):
            found[source].append(record)
    return dict(found)


def inventions(run: ReplayRun, corpus: Places) -> tuple[str, ...]:
    """What a run's answer invents, each as a phrase; empty where there is no answer.

    Args:
        run: Its evidence.
        corpus: From `locate`, over what `named_outside` gives for this run.
    """
    return tuple(phrase for finding in _findings(run) for phrase in _of(finding, run, corpus))


def _of(finding: Finding, run: ReplayRun, corpus: Places) -> Iterator[str]:
    inside = run.bundle.records()
    existing: list[Record] = []
    for source in dict.fromkeys(cite.record_id for cite in finding.cites):
        records = [inside[source]] if source in inside else corpus.get(source, ())
        existing += records
        if source.strip() and not records:
            yield f"source: {_short(source)}"
    found = (finding.found or "").strip()
    if existing and found and not any(_holds(record, found) for record in existing):
        yield f"value: {_short(found)}, which is not in {existing[0].path or existing[0].record_id}"


def _holds(record: Record, found: str) -> bool:
    return found in record.text or values.occurs(values.parse(found), f"{record.text}\n{record.title}")


def _findings(run: ReplayRun) -> tuple[Finding, ...]:
    attempt = run.attempt
    return attempt.answer.findings if attempt is not None and attempt.answer is not None else ()


def _names(source: str) -> Iterator[str]:
    """The parts of a named source that could be a file or a definition, lower-cased, without line numbers."""
    parts = [match.group().rstrip(".-/").lower() for match in _NAME.finditer(source.partition("#")[0])]
    alone = len(source.split()) == 1
    for part in parts:
        name = part.removeprefix("./").lstrip("/")
        if name and ("." in name or "/" in name or (alone and not name.isdigit())):
            yield name


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _is_path(name: str, path: str) -> bool:
    """Do a named path and one of the corpus, which starts at the root of its package, end alike as far as both go?"""
    return path == name or path.endswith(f"/{name}") or name.endswith(f"/{path}")


def _titles(record: Record) -> set[str]:
    """By what names a record goes: its id, its title, and the beginnings and ends of a dotted title."""
    parts = record.title.lower().split(".")
    names = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
    names |= {".".join(parts[start:]) for start in range(len(parts))}
    return (names | {record.record_id.lower()}) - {""}


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
