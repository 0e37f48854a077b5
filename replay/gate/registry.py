"""The gate as a value: which rules, which thresholds, and the version that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from replay import identity
from replay.contracts import Reason
from replay.errors import ConfigurationError
from replay.gate import (
    algebra,
    binding,
    citations,
    coverage,
    derivation,
    echo,
    form,
    literals,
    names,
    numbers,
    polarity,
    relations,
    subject,
    support,
)
from replay.gate.case import Case
from replay.gate.thresholds import Thresholds

GATE_VERSION = "gate.v4"


@dataclass(frozen=True)
class Rule:
    """One check and the codes of the reasons that it can give."""

    check: Callable[[Case], list[Reason]]
    codes: tuple[str, ...]


TRANSPORT = ("transport.empty", "transport.truncated", "transport.finish", "transport.leaked_reasoning")
FORMAT = ("form.not_the_format",)
FAMILIES: tuple[tuple[Rule, ...], ...] = (
    (Rule(form.is_bounded, ("form.too_long", "form.long_value")),),
    (
        Rule(form.is_visible, ("form.unseen_characters",)),
        Rule(form.has_findings, ("form.no_findings",)),
        Rule(form.has_values, ("form.empty_claim", "form.empty_value")),
        Rule(form.has_no_hedge, ("form.hedge",)),
        Rule(form.is_said_once, ("form.repetition",)),
    ),
    (
        Rule(citations.point_into_bundle, ("citations.missing", "citations.unknown_record")),
        Rule(citations.quote_verbatim, ("citations.altered_quote", "citations.empty_quote")),
    ),
    (
        Rule(algebra.is_decided, ("verdict.unsure",)),
        Rule(form.is_whole, ("form.truncated",)),
        Rule(names.names_are_cited, ("literals.unknown", "literals.not_cited", "binding.other_record")),
        Rule(names.names_are_bound, ("binding.name",)),
        Rule(names.places_are_cited, ("literals.path", "literals.lines")),
        Rule(numbers.numbers_are_cited, ("literals.number", "literals.unit", "binding.number")),
        Rule(numbers.counted_is_kept, ("literals.unit",)),
        Rule(numbers.units_are_kept, ("literals.unit",)),
        Rule(numbers.numbers_are_bound, ("binding.number",)),
        Rule(numbers.values_are_current, ("binding.stale",)),
        Rule(literals.found_is_cited, ("literals.found_not_cited",)),
        Rule(literals.expected_is_asked, ("literals.expected_not_asked",)),
        Rule(echo.is_about_the_task, ("echo.other_subject",)),
        Rule(subject.covers_subject, ("binding.other_subject",)),
        Rule(binding.is_in_the_package, ("binding.other_package",)),
        Rule(binding.names_the_named, ("binding.other_name",)),
        Rule(binding.gives_to_the_asked, ("binding.other_name",)),
        Rule(binding.has_no_rival, ("binding.rival_line",)),
        Rule(binding.is_not_stated_elsewhere, ("binding.stated_elsewhere",)),
        Rule(
            binding.stands_for_itself,
            (
                "binding.example",
                "binding.test_code",
                "binding.other_definition",
                "binding.argument",
                "binding.conditional",
                "binding.unset",
            ),
        ),
        Rule(derivation.class_is_the_named, ("binding.other_class",)),
        Rule(derivation.derivation_is_read, ("binding.other_class",)),
        Rule(binding.switch_is_not_turned_round, ("binding.negated_name",)),
        Rule(binding.asserts_value, ("binding.listed", "binding.mentioned")),
        Rule(polarity.negation_is_kept, ("polarity.negation",)),
        Rule(polarity.sentence_is_not_denied, ("polarity.negation",)),
        Rule(polarity.opposite_is_not_said, ("polarity.opposite",)),
        Rule(polarity.strength_is_kept, ("polarity.strength",)),
        Rule(
            algebra.pass_is_shown,
            ("verdict.contradicts_findings", "verdict.pass_without_literal", "verdict.pass_over_failed_check"),
        ),
        Rule(algebra.pass_is_over_nothing, ("verdict.pass_over_negative",)),
        Rule(algebra.pass_does_not_deny, ("verdict.pass_against_claim",)),
        Rule(
            algebra.fail_is_shown,
            (
                "verdict.contradicts_findings",
                "verdict.fail_leaves_literal",
                "verdict.fail_by_own_word",
                "verdict.fail_of_another_kind",
                "verdict.fail_but_literal_present",
            ),
        ),
        Rule(algebra.fail_has_ground, ("verdict.fail_without_ground",)),
        Rule(algebra.absence_is_not_pointed_at, ("verdict.fail_of_existence",)),
        Rule(relations.relation_is_equality, ("verdict.relation",)),
        Rule(relations.unit_is_known, ("verdict.unit_unknown",)),
        Rule(relations.count_is_no_duration, ("verdict.unit_unknown",)),
        Rule(support.nothing_is_added, ("support.unsupported",)),
        Rule(support.more_than_the_task, ("support.restated",)),
        Rule(coverage.answers_checklist, ("coverage.unanswered",)),
        Rule(coverage.answers_steps, ("coverage.unanswered_step",)),
        Rule(coverage.answers_every_subject, ("coverage.subject",)),
    ),
)
CODES = frozenset([*TRANSPORT, *FORMAT, *(code for family in FAMILIES for rule in family for code in rule.codes)])


@dataclass(frozen=True)
class Gate:
    """One set of rules. `version` names it in every verdict; a set that departs from the default says so in its name.

    Attributes:
        off: Codes of the rules that do not object.
        thresholds: Where the rules draw their lines.
        version: Derived from the two, unless it is given.
    """

    off: frozenset[str] = frozenset()
    thresholds: Thresholds = field(default_factory=Thresholds)
    version: str = ""

    def __post_init__(self) -> None:
        """Name the gate after what it leaves out.

        Raises:
            ConfigurationError: A code that no rule has.
        """
        if unknown := sorted(self.off - CODES):
            raise ConfigurationError(
                f"the gate has no rule {unknown[0]!r}", hint=f"rules are: {', '.join(sorted(CODES))}"
            )
        if not self.version:
            object.__setattr__(self, "version", self._named())

    def _named(self) -> str:
        changed = self.thresholds != Thresholds()
        if not self.off and not changed:
            return GATE_VERSION
        if len(self.off) == 1 and not changed:
            return f"{GATE_VERSION}-{next(iter(self.off))}"
        return f"{GATE_VERSION}-{identity.digest({'off': sorted(self.off), 'thresholds': vars(self.thresholds)})[7:15]}"

    def without(self, codes: Iterable[str]) -> Gate:
        """This gate with more rules switched off."""
        return replace(self, off=self.off | frozenset(codes), version="")


DEFAULT_GATE = Gate()
_STRUCTURAL = ("transport.", "form.", "citations.", "verdict.unsure", "coverage.")
# What a study can judge history by. The structural gate is what the rules of content are measured against.
GATES: dict[str, Gate] = {
    DEFAULT_GATE.version: DEFAULT_GATE,
    f"{GATE_VERSION}-structural": Gate(
        off=frozenset(code for code in CODES if not code.startswith(_STRUCTURAL)),
        version=f"{GATE_VERSION}-structural",
    ),
}


def gate_without(codes: str) -> Gate:
    """The gate of a setting: codes of rules to switch off, separated by commas or blanks.

    Raises:
        ConfigurationError: A code that no rule has.
    """
    return DEFAULT_GATE.without(codes.replace(",", " ").split())
