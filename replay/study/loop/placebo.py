"""Records that look like admitted ones and are about something else: what mere growth of the corpus does.

Each is a worked example of the same form, true and proved by a line, but of a package that no task is about. The
passage that it names is not in the corpus, so its line is never shown: it can only be an example in a prompt, or take
the place of one, or change what is rare among the words of a bundle. Claims that are held out are left out: they are
written in the probe's sentences, which nothing that is admitted from the work could be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pydantic import BaseModel, ConfigDict

from replay import identity
from replay.contracts import Record, RecordKind, Ruling

ORIGIN = "placebo"


class Claim(BaseModel):
    """A proved claim; more may stand in its line of the file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    query_id: str
    text: str
    verdict: Ruling
    path: str
    pattern: str
    expected: str | None = None
    found: str | None = None
    family: str = ""
    held_out: bool = False


def records(claims: Iterable[Claim], about: frozenset[str], line_of: Callable[[Claim], int | None]) -> Iterator[Record]:
    """A record for each claim about other packages, in their order; those whose line is not found are left out.

    Args:
        claims: Proved ones.
        about: Packages that tasks are about: the first folders of paths.
        line_of: The number of a claim's line in its file.
    """
    for claim in claims:
        if claim.held_out or claim.path.split("/")[0] in about or claim.expected is None or claim.found is None:
            continue
        number = line_of(claim)
        if number is None:
            continue
        parts = (claim.text, claim.pattern, claim.expected, claim.found)
        text, line, expected, found = (" ".join(part.split()) for part in parts)
        name = identity.digest({"placebo": claim.query_id})[7:31]
        yield Record(
            record_id=f"pl_{name}",
            kind=RecordKind.EXEMPLAR,
            title=text,
            text="\n".join(
                [
                    f"Claim: {text}",
                    f"Evidence: {claim.path}:{number}: {line}",
                    f"Expected: {expected}",
                    f"Found: {found}",
                    f"Verdict: {claim.verdict}",
                    f"Source: src_placebo_{name}",
                ]
            ),
            tags=("basis:placebo", *((f"family:{claim.family}",) if claim.family else ())),
            origin=ORIGIN,
        )
