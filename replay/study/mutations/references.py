"""References that do not exist, and paths, line ranges and identifiers that are others than the evidence's."""

from __future__ import annotations

import re
from random import Random

from replay.contracts import Answer, Bundle, Cite
from replay.study.mutations.editing import (
    Spot,
    cited_text,
    locations,
    overlap,
    shuffled,
    spots,
    with_cites,
    with_claim,
    with_sentence,
)

_IDENTIFIER = re.compile(
    r"(?<![\w.`])`*((?:[A-Za-z_]\w*\.)*(?:[a-z]+_\w+|_\w+|[A-Z][a-z]+[A-Z]\w*|[A-Z]{2,}[a-z]\w+|\w+\(\)|[a-z_]+\.[a-z_]+[a-z]))"
)
_TICKED = re.compile(r"`{1,2}([A-Za-z_][\w.]*)`{1,2}|\*(?!(?:not|all|must|only|any|and|or|no|same)\*)(\w{3,})\*")
_REFERENCES = (
    "issue #{n4}",
    "pull request #{n4}",
    "PR {n4}",
    "PEP {n4}",
    "RFC {n4}, section {n1}.{n1}",
    "CVE-20{n2}-{n5}",
    "https://github.com/{word}/{word2}/issues/{n4}",
    "https://docs.{word}.dev/en/{n1}.{n1}/{word2}.html",
    "docs/{word}/{word2}.md",
    "{word}_{word2}.py:{n3}",
    "error code E{n4}",
    "chapter {n2} of the {word} guide",
    "ticket {WORD}-{n4}",
    "the `{word}_{word2}` setting",
    "commit {hex}",
    "release note {n1}.{n2}.{n1}",
    "table {n2}, row {n1}",
    "a {n2}.{n1}% failure rate against a {n1}.0% threshold",
    "{word}.{word2}.{word}_{word2}()",
)
_LINKS = (
    "{claim} (see {ref})",
    "{claim}, as {ref} requires",
    "As {ref} explains, {claim}",
    "{claim} This follows {ref}.",
    "{claim} [{ref}]",
    "According to {ref}: {claim}",
    "{claim}, introduced with {ref}",
    "{claim} It was reported in {ref}.",
)
_SAYS_IT_TOO = 0.6
"""From this share of its words on, a sentence may hold for another record too."""
_WORDS = (
    "transport", "session", "adapter", "policy", "registry", "dispatch", "channel", "backend", "routing",
    "schema", "layout", "kernel", "quota",
)  # fmt: skip
_NEW_PARTS = ("_ex", "_async", "2", "_impl", "s", "_v2", "_sync", "Base", "_all", "_once")
_PREFIXES = ("get_", "set_", "_", "is_", "use_", "no_", "try_", "Async", "Base", "Lazy")


def fabricated_reference(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """A reference that exists nowhere: in the claim, or a citation of a record with an invented id."""
    if not answer.findings:
        return None
    place = rng.randrange(len(answer.findings))
    finding = answer.findings[place]
    if rng.random() < 0.2:
        known = [hit.record.record_id for hit in bundle.playbook]
        made = f"{known[0].split('_')[0]}_{rng.getrandbits(48):012x}"
        return with_cites(answer, place, (*finding.cites, Cite(record_id=made, quote=finding.cites[0].quote)))
    reference = _filled(rng.choice(_REFERENCES), rng)
    if reference.lower() in cited_text(finding, bundle).lower():
        return None
    link = rng.choice(_LINKS)
    claim = finding.claim.rstrip(".") if "{claim}," in link or "{claim} (" in link else finding.claim
    return with_claim(answer, place, link.format(claim=claim, ref=reference))


def _filled(pattern: str, rng: Random) -> str:
    word, word2 = rng.sample(_WORDS, 2)
    numbers = {f"n{size}": str(rng.randint(10 ** (size - 1), 10**size - 1)) for size in range(1, 6)}
    return pattern.format(word=word, word2=word2, WORD=word.upper(), hex=f"{rng.getrandbits(28):07x}", **numbers)


def wrong_path(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """Another file than the one that the cited record lies in: renamed, moved, or one of its neighbours."""
    for place in shuffled(range(len(answer.findings)), rng):
        finding = answer.findings[place]
        for match in locations(finding.claim):
            path = re.match(r"[\w./-]+\.\w+", match[0])
            if path is None:
                continue
            paths = {hit.record.path for hit in bundle.playbook} - {path[0]}
            others = shuffled(sorted(one for one in paths if one and "." in one.rpartition("/")[2]), rng)
            new = rng.choice([*_moved(path[0], rng), *others[:2]])
            if new in cited_text(finding, bundle) or path[0] in new:
                continue
            return with_claim(answer, place, finding.claim.replace(path[0], new, 1))
    return None


def _moved(path: str, rng: Random) -> list[str]:
    folder, _, name = path.rpartition("/")
    stem, _, extension = name.rpartition(".")
    word = rng.choice(_WORDS)
    slash = f"{folder}/" if folder else ""
    return [
        f"{slash}{stem}s.{extension}",
        f"{slash}{word}.{extension}",
        f"{slash}{stem}_{word}.{extension}",
        f"{slash}{word}/{name}",
        f"{word}/{name}",
        f"{slash}{stem}.{'pyi' if extension == 'py' else 'txt'}",
        f"{slash}{stem[:-1] or word}.{extension}",
        f"{slash}_{stem}.{extension}" if not stem.startswith("_") else f"{slash}{stem[1:]}.{extension}",
    ]


def wrong_lines(answer: Answer, _bundle: Bundle, rng: Random) -> Answer | None:
    """Another range of lines, near or far, that shares no line with the record's."""
    for place in shuffled(range(len(answer.findings)), rng):
        claim = answer.findings[place].claim
        for match in locations(claim):
            numbers = re.search(r"(\d+)-(\d+)$", match[0])
            if numbers is None:
                continue
            first, last = int(numbers[1]), int(numbers[2])
            size = last - first + 1
            near = [(last + 1, last + size), (last + rng.randint(2, 20), 0), (max(first - size, 1), first - 1)]
            far = [(first * 10, last * 10), (first + 1000, last + 1000), (int(f"{last}{first % 10}"), 0)]
            start, end = rng.choice([*near, *far])
            end = end or start + size - 1
            if end < start or not (end < first or start > last):
                continue
            new = match[0][: numbers.start()] + f"{start}-{end}"
            return with_claim(answer, place, claim.replace(match[0], new, 1))
    return None


def wrong_identifier(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """Another name in the sentence or of its subject: invented beside the right one, or a real one of the library."""
    for spot in shuffled(spots(answer, bundle), rng):
        whole = f"{spot.before}\0{spot.sentence}\0{spot.after}"
        found = [(match, 1) for match in _IDENTIFIER.finditer(whole)]
        found += [(match, 1 if match[1] else 2) for match in _TICKED.finditer(whole)]
        for match, group in shuffled(found, rng):
            old = match[group]
            new = _renamed(old, spot, bundle, rng)
            if new is None or "/" in whole[max(match.start(group) - 1, 0) : match.end(group) + 1]:
                continue
            if re.match(r"\.\w+(?::| lines|, lines)", whole[match.end(group) :]) or old.endswith((".py", ".md")):
                continue
            claim = (whole[: match.start(group)] + new + whole[match.end(group) :]).split("\0")
            edited = with_sentence(answer, spot, claim[1])
            return with_claim(edited, spot.place, "".join(claim))
    return None


def _renamed(old: str, spot: Spot, bundle: Bundle, rng: Random) -> str | None:
    owner, dot, last = old.rpartition(".")
    called = "()" if last.endswith("()") else ""
    last = last.removesuffix("()")
    if not last or last in ("e", "g", "True", "False", "None"):
        return None
    real = {
        match[1].removesuffix("()")
        for hit in bundle.playbook
        if overlap(spot.sentence, hit.record.text) < _SAYS_IT_TOO
        for match in _IDENTIFIER.finditer(hit.record.text)
        if ("." in match[1]) == bool(dot)
    }
    choices = [owner + dot + last + part for part in _NEW_PARTS]
    choices += [owner + dot + part + last for part in _PREFIXES if part[0].isupper() == last[0].isupper()]
    parts = last.split("_")
    if len(parts) > 1:
        choices += [owner + dot + "_".join(reversed(parts)), owner + dot + "_".join((*parts[:-1], rng.choice(_WORDS)))]
    choices = [rng.choice(choices), rng.choice(choices), *rng.sample(sorted(real), min(2, len(real)))]
    evidence = spot.cited.lower()
    fit = [
        new
        for new in choices
        if new.lower() not in evidence
        and new.rpartition(".")[2].lower() not in re.findall(r"\w+", evidence)
        and new.lower() != old.lower()
    ]
    return rng.choice(fit) + called if fit else None


def has_name(sentence: str) -> bool:
    """Does a sentence have an identifier?"""
    return bool(_IDENTIFIER.search(sentence) or _TICKED.search(sentence))
