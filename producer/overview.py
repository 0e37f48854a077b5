"""One batch in numbers out of the index, whatever its size; only the gate's reasons are read from the log itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from evidence.ledger import BatchLedger, Tokens
from evidence.reader import EvidenceReader
from producer import manifest, marks, repeats
from producer.estimate import cost_of
from producer.manifest import Header
from producer.summary import nearest_rank
from replay.contracts import State, Tier
from replay.settings import Settings

# Of larger batches the gate's reasons are counted over so many of the newest rejections.
REASONS_OF = 5000


@dataclass(frozen=True)
class Overview:
    """A batch in numbers.

    Attributes:
        header: What was accepted.
        cancelled: Was it cancelled?
        paused: Why it is paused; None where it is not.
        priority: Of what is enqueued from now on.
        states: Tasks in each state: `without_evidence` are those with none, `at_large_model` those whose local answer
            was rejected and that the large model has not ended yet; together they are all.
        escalated: Tasks whose local answer was rejected and handed on, whatever came of them.
        accepted_by_tier: How many of the accepted ones each tier answered.
        tokens: What the attempts took, by tier.
        cost: Of the large models' tokens, in the currency of the prices; None where one of them has no price.
        seconds_p50: Generation of an ended task over all its attempts, median; None before there is one.
        seconds_p95: The same, 95th percentile by nearest rank.
        reasons: How often each rule of the gate objected, the most frequent first.
        reasons_of: Over so many rejected attempts.
        rejections: So many there are.
        repeated: Runs in whose place others stand.
    """

    header: Header
    cancelled: bool
    paused: str | None
    priority: str
    states: dict[str, int]
    escalated: int
    accepted_by_tier: dict[str, int]
    tokens: dict[str, Tokens]
    cost: float | None
    seconds_p50: float | None
    seconds_p95: float | None
    reasons: dict[str, int]
    reasons_of: int
    rejections: int
    repeated: tuple[str, ...]


def overview(batch_id: str, settings: Settings, *, newest: int | None = REASONS_OF) -> Overview:
    """Look at a batch.

    Args:
        batch_id: Which one.
        settings: Where batches and evidence lie, and what tokens cost.
        newest: Read the reasons of so many of the newest rejections; None: of all.

    Raises:
        InputError: There is no such batch.
        EvidenceDamaged: The manifest or the log cannot be read.
        ConfigurationError: The prices cannot be read.
    """
    place = settings.batches_dir
    header = manifest.header(place, batch_id)
    repeated = repeats.superseded(manifest.folder(place, batch_id))
    reader = EvidenceReader(settings.evidence_log)
    ledger = BatchLedger(reader, batch_id, repeated)
    tally = ledger.tally()
    states = {"at_large_model": tally.escalated} | {
        state.value: tally.in_state(state) for state in State if state is not State.ESCALATED
    }
    seconds = ledger.seconds()
    reasons: Counter[str] = Counter()
    read = 0
    for row in ledger.rejections(newest):
        reasons.update(_rules(reader.read(row).record))
        read += 1
    return Overview(
        header=header,
        cancelled=manifest.is_cancelled(place, batch_id),
        paused=marks.why_paused(place, batch_id),
        priority=marks.priority_of(place, batch_id).value,
        states={"without_evidence": header.count - sum(states.values())} | states,
        escalated=tally.handed_on,
        accepted_by_tier={tier.value: tally.ended[State.ACCEPTED, tier] for tier in Tier},
        tokens={tier.value: tally.tokens.get(tier, Tokens()) for tier in Tier},
        cost=cost_of(ledger.by_model(Tier.ESCALATION), settings),
        seconds_p50=nearest_rank(seconds, 0.5),
        seconds_p95=nearest_rank(seconds, 0.95),
        reasons=dict(reasons.most_common()),
        reasons_of=read,
        rejections=read if newest is None or read < newest else ledger.rejected(),
        repeated=repeated,
    )


def _rules(record: dict[str, object]) -> list[str]:
    attempt = record.get("attempt")
    verdict = attempt.get("verdict") if isinstance(attempt, dict) else None
    found = verdict.get("reasons") if isinstance(verdict, dict) else None
    return [str(reason.get("rule")) for reason in found or () if isinstance(reason, dict)]
