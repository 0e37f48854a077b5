"""Near-duplicates among playbook records: against comparing everything with everything."""

from __future__ import annotations

import random
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.contracts import Record, RecordKind
from replay.corpus import neighbours, snapshot
from replay.corpus.duplicates import Conflict, Merged, merge_near_duplicates
from replay.corpus.entry import part_id
from replay.corpus.held import Held
from replay.corpus.index import hash_tokens
from replay.corpus.index.encoding import Encoded, Encoder
from replay.corpus.neighbours import Neighbours
from replay.corpus.store import searched_text
from replay.corpus.tokens import tokens
from replay.errors import InputError

LEAST = Fraction(9, 10)
KINDS = (RecordKind.EXEMPLAR, RecordKind.WARNING, RecordKind.NOTE)
LONG = [f"word{chr(ord('a') + number)}" for number in range(20)]


def record(record_id: str, text: Iterable[str], kind: RecordKind = RecordKind.EXEMPLAR, origin: str = "a") -> Record:
    """A record of these words."""
    return Record(record_id=record_id, kind=kind, text=" ".join(text), origin=origin)


def similarity(one: Collection[str], other: Collection[str]) -> Fraction:
    """The Jaccard similarity of two token sets; of two empty ones, none."""
    union = len({*one, *other})
    return Fraction(len(one) + len(other) - union, union) if union else Fraction(0)


def words_of(one: Record) -> frozenset[str]:
    """What a record is compared by."""
    return tokens(searched_text(one))


def encoded(sets: Iterable[Iterable[str]]) -> Encoded:
    """These sets as finding takes them; in these tests, a word is its own token."""
    encoder = Encoder()
    for words in sets:
        encoder.add(" ".join(words))
    return encoder.finish()


class Listed:
    """The playbook records of a corpus as a list, which is looked through from end to end."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = {one.record_id: one for one in records}

    def find(self, record_ids: Sequence[str]) -> Iterator[Record]:
        """Those with one of these ids."""
        return (self.records[record_id] for record_id in record_ids if record_id in self.records)

    def crediting(self, record_ids: Container[str]) -> Iterator[Record]:
        """Those that are credited with one of these ids."""
        return (one for one in self.records.values() if any(name.partition("/")[2] in record_ids for name in one.also))

    def near(self, sets: Encoded, but: Container[str]) -> Iterator[tuple[int, Record, float]]:
        """Those that are near."""
        held = [(one, set(hash_tokens(words_of(one)).tolist())) for one in self.records.values()]
        ends = np.cumsum(sets.lengths)
        for number, (end, length) in enumerate(zip(ends.tolist(), sets.lengths.tolist(), strict=True)):
            own = sets.vocabulary[sets.flat[end - length : end]].tolist()
            for one, words in held:
                if one.record_id not in but and similarity(own, words) >= LEAST:
                    yield number, one, float(similarity(own, words))

    def after(self, merged: Merged) -> Listed:
        """What the corpus holds once that was published."""
        kept = {key: value for key, value in self.records.items() if key not in merged.dropped}
        return Listed([*kept.values(), *merged.records])


def by_brute_force(incoming: list[Record], held: list[Record]) -> tuple[dict[str, str], set[str], set[str]]:
    """What is merged into what, which new records are kept, and which records of the corpus go; by the plain rule."""
    there = {one.record_id for one in held}
    ids = {one.record_id for one in incoming}
    others = [one for one in held if one.record_id not in ids]

    def near(one: Record, among: list[Record]) -> list[tuple[Fraction, str]]:
        found = ((similarity(words_of(one), words_of(other)), other) for other in among)
        return [(-score, other.record_id) for score, other in found if other.kind is one.kind and score >= LEAST]

    kept: list[Record] = []
    for one in sorted(incoming, key=lambda one: (one.record_id not in there, one.record_id)):
        if not near(one, [*others, *kept]):
            kept.append(one)
    merged = {one.record_id: min(near(one, [*others, *kept]))[1] for one in incoming if one not in kept}
    return merged, {one.record_id for one in kept}, merged.keys() & there


@st.composite
def token_sets(draw: st.DrawFn) -> list[frozenset[str]]:
    """Sets of which many are near: some are drawn anew, most are others with a few words more or less."""
    words = [
        f"w{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(draw(st.sampled_from([6, 30, 300])))
    ]
    pick = random.Random(draw(st.integers(0, 2**32)))  # noqa: S311  a test's choice
    sets: list[frozenset[str]] = []
    for _ in range(draw(st.integers(0, 24))):
        if sets and pick.random() < 0.7:
            changed = set(pick.choice(sets)) ^ set(pick.sample(words, pick.randint(0, 4)))
        else:
            changed = set(pick.sample(words, min(len(words), pick.randint(0, 60))))
        sets.append(frozenset(changed))
    return sets


@st.composite
def imports(draw: st.DrawFn) -> tuple[list[Record], list[Record]]:
    """New records and a corpus, which have some ids in common."""
    records: list[list[Record]] = []
    for origin in ("new.jsonl", "old.jsonl"):
        sets = draw(token_sets())
        ids = draw(st.lists(st.integers(0, 40), min_size=len(sets), max_size=len(sets), unique=True))
        kinds = draw(st.lists(st.sampled_from(KINDS), min_size=len(sets), max_size=len(sets)))
        rows = zip(ids, sets, kinds, strict=True)
        records.append([record(f"r{number:02}", sorted(words), kind, origin) for number, words, kind in rows])
    # The second half takes over words from the first, so that there is something to be merged across.
    new, old = records
    pick = random.Random(draw(st.integers(0, 2**32)))  # noqa: S311  a test's choice
    if new:
        old = [one.model_copy(update={"text": pick.choice(new).text}) if pick.random() < 0.5 else one for one in old]
    return new, old


# --- finding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("few", [0, 48])
@settings(deadline=None)
@given(sets=token_sets(), admitted=st.lists(st.booleans(), min_size=24, max_size=24))
def test_neighbours_are_those_of_comparing_everything(
    few: int, sets: list[frozenset[str]], admitted: list[bool]
) -> None:
    """Those admitted, and of them all that are near, with their exact similarity; by either way of sorting out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_FEW", few)
        found = Neighbours(encoded(sets))
        known: list[int] = []
        for number, own in enumerate(sets):
            near = {other: similarity(own, sets[other]) for other in known}
            expected = {other: float(score) for other, score in near.items() if score >= LEAST}
            assert dict(found.near(number)) == expected
            if admitted[number]:
                found.admit(number)
                known.append(number)


@settings(deadline=None, max_examples=15)
@given(sets=token_sets(), asked=token_sets())
def test_a_corpus_finds_what_comparing_everything_finds(
    tmp_path_factory: pytest.TempPathFactory, sets: list[frozenset[str]], asked: list[frozenset[str]]
) -> None:
    """Over two segments, common and rare words, known and unknown ones: near records and their exact similarity."""
    records = [record(f"r{number}", sorted(words)) for number, words in enumerate(sets)]
    where = tmp_path_factory.mktemp("corpus")
    snapshot.write([*records[: len(records) // 2], record("one", ["alone"])], where)
    opened = snapshot.add([*records, record("two", ["single"])], where)
    held = Held(opened.playbook)
    found = sorted((number, one.record_id, score) for number, one, score in held.near(encoded([*sets, *asked]), ["r1"]))
    expected = Listed(records).near(encoded([*sets, *asked]), ["r1"])
    assert found == sorted((number, one.record_id, score) for number, one, score in expected)
    there = {one.record_id for one in records}
    assert {one.record_id for one in held.find(["r0", "one", "none"])} == {"one"} | {"r0"} & there


def test_most_sets_are_never_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four thousand sets over few words, each is counted against a handful, not against the others."""
    pick = random.Random(7)  # noqa: S311  a test's choice
    sets = [frozenset(pick.sample([f"w{number}" for number in range(600)], 20)) for _ in range(4_000)]
    counted = 0
    plain = neighbours.is_near

    def counting(shared: int, size: int, other: int) -> bool:
        nonlocal counted
        counted += 1
        return plain(shared, size, other)

    monkeypatch.setattr(neighbours, "is_near", counting)
    found = Neighbours(encoded(sets))
    for number in range(len(sets)):
        found.near(number)
        found.admit(number)
    assert counted < 20 * len(sets)


# --- merging ---------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(given_=imports(), seed=st.integers(0, 2**32))
def test_merging_is_the_plain_rule_in_any_order(given_: tuple[list[Record], list[Record]], seed: int) -> None:
    """As by comparing everything with everything, and the same whatever the order of the input."""
    new, old = given_
    merged = merge_near_duplicates(new, Listed(old))
    pairs, kept, gone = by_brute_force(new, old)
    assert {pair.record_id: pair.kept_id for pair in merged.merged} == pairs
    assert kept <= {one.record_id for one in merged.records}
    assert {one.record_id for one in merged.records} - kept <= set(pairs.values())
    assert set(merged.dropped) == gone
    random.Random(seed).shuffle(new)  # noqa: S311  a test's choice
    random.Random(seed).shuffle(old)  # noqa: S311  a test's choice
    assert merge_near_duplicates(new, Listed(old)) == merged


@settings(deadline=None, max_examples=60)
@given(given_=imports())
def test_importing_again_changes_nothing(given_: tuple[list[Record], list[Record]]) -> None:
    """The second import of the same records leaves the corpus as the first one left it."""
    new, old = given_
    once = Listed(old).after(merge_near_duplicates(new, Listed(old)))
    twice = once.after(merge_near_duplicates(new, once))
    assert twice.records == once.records


@settings(deadline=None, max_examples=60)
@given(given_=imports(), later=imports())
def test_nobody_is_credited_with_a_record_that_is_there(
    given_: tuple[list[Record], list[Record]], later: tuple[list[Record], list[Record]]
) -> None:
    """Whatever is imported in whatever order, a record stands for itself or is merged into another, never both."""
    held = Listed(given_[1])
    for batch in (given_[0], *later):
        held = held.after(merge_near_duplicates(batch, held))
    for one in held.records.values():
        assert {name.partition("/")[2] for name in one.also}.isdisjoint(held.records.keys() - {one.record_id})


def test_the_record_of_the_corpus_is_kept() -> None:
    """Also where a new one has a smaller id and is nearer to the text."""
    held = Listed([record("z", LONG)])
    merged = merge_near_duplicates([record("a", LONG), record("b", [*LONG[:-1], "other"])], held)
    assert [(pair.record_id, pair.kept_id) for pair in merged.merged] == [("a", "z"), ("b", "z")]
    assert merged.merged[1].score == 19 / 21
    assert merged.dropped == ()


def test_a_record_is_merged_only_into_one_that_it_nearly_equals() -> None:
    """A chain, each near to the next, is not drawn together: the third is far from the first, and stays."""
    chain = [
        record(name, [*LONG[: 20 - number], *(f"new{letter}" for letter in "abc"[:number])])
        for number, name in enumerate("abc")
    ]
    merged = merge_near_duplicates(chain)
    assert [(pair.record_id, pair.kept_id) for pair in merged.merged] == [("b", "a")]
    assert [one.record_id for one in merged.records] == ["a", "c"]


def test_a_record_that_comes_again_with_another_text_replaces_its_own_and_is_no_duplicate_of_it() -> None:
    """A new form of a record is near to the old one as a rule."""
    merged = merge_near_duplicates([record("a", [*LONG, "more"])], Listed([record("a", LONG)]))
    assert [one.text for one in merged.records] == [" ".join([*LONG, "more"])]
    assert (merged.merged, merged.dropped) == ((), ())


def test_a_record_that_becomes_a_near_duplicate_leaves_the_corpus() -> None:
    """Its new form is merged into another, so its old form goes."""
    held = Listed([record("a", LONG), record("b", ["quite", "another", "text"])])
    merged = merge_near_duplicates([record("b", LONG)], held)
    assert [(pair.record_id, pair.kept_id) for pair in merged.merged] == [("b", "a")]
    assert merged.dropped == ("b",)


def test_an_exemplar_and_a_warning_that_say_the_same_are_a_conflict() -> None:
    """Both are kept, and each new record names the worst case, be it in the corpus or beside it."""
    held = Listed([record("old", LONG)])
    new = [record("w1", LONG, RecordKind.WARNING), record("x", ["far", "away"]), record("n", LONG, RecordKind.NOTE)]
    merged = merge_near_duplicates(new, held)
    assert merged.conflicts == (Conflict("old", "w1", 1.0),)
    assert [one.record_id for one in merged.records] == ["n", "w1", "x"]
    assert merged.merged == ()


def test_sources_parts_and_records_without_a_token_are_not_compared() -> None:
    """They come back as they are, also where they are equal."""
    source = Record(record_id="s1", kind=RecordKind.SOURCE, text=" ".join(LONG), path="a.py")
    alike = [
        source,
        source.model_copy(update={"record_id": "s2", "path": "b.py"}),
        record(part_id("p", 1), LONG),
        record(part_id("q", 1), LONG),
        record("e1", ["!!!"]),
        record("e2", ["!!!"]),
        record("r", LONG),
    ]
    merged = merge_near_duplicates(alike, Listed([record(part_id("o", 1), LONG)]))
    assert list(merged.records) == sorted(alike, key=lambda one: one.record_id)
    assert (merged.merged, merged.dropped) == ((), ())


def test_a_text_that_is_cut_in_another_way_takes_its_old_parts_with_it() -> None:
    """What was in parts and is whole, or the other way round, or in fewer parts: nothing old stays."""
    held = Listed(
        [record(part_id("a", n), [f"text{n}"]) for n in (1, 2, 3)] + [record("b", LONG), record("a#9", ["x"])]
    )
    whole = merge_near_duplicates([record("a", ["short"])], held)
    assert whole.dropped == ("a#part-1", "a#part-2", "a#part-3")
    fewer = merge_near_duplicates([record(part_id("a", n), [f"text{n}"]) for n in (1, 2)], held)
    assert fewer.dropped == ("a#part-3",)
    parts = merge_near_duplicates([record(part_id("b", n), [f"text{n}"]) for n in (1, 2)], held)
    assert parts.dropped == ("b",)


def test_two_new_records_of_one_id_that_differ_are_refused() -> None:
    """Which of them should replace the other, nobody knows; the same one twice is no matter."""
    one = record("a", LONG, origin="one.jsonl")
    assert merge_near_duplicates([one, one]).records == (one,)
    with pytest.raises(InputError, match=r"the id 'a', one from one.jsonl, one from two.jsonl") as caught:
        merge_near_duplicates([one, record("a", ["different"], origin="two.jsonl")])
    assert caught.value.hint


def test_the_same_record_from_two_files_is_one() -> None:
    """It is a near-duplicate of itself."""
    both = [record("a", LONG, origin="two.jsonl"), record("a", LONG, origin="one.jsonl")]
    merged = merge_near_duplicates(both)
    assert [one.origin for one in merged.records] == ["one.jsonl"]
    assert [(pair.record_id, pair.origin) for pair in merged.merged] == [("a", "two.jsonl")]


def test_what_is_kept_is_credited_with_what_was_merged_into_it() -> None:
    """By origin and id, in order, also for what its own near-duplicates were credited with before."""
    held = Listed([record("z", LONG, origin="old")])
    first = held.after(merge_near_duplicates([record("b", LONG), record("a", LONG)], held))
    assert first.records["z"].also == ("a/a", "a/b")
    again = first.after(merge_near_duplicates([record("z", LONG, origin="old")], first))
    assert again.records["z"].also == ("a/a", "a/b")


def test_credits_are_bounded_and_do_not_depend_on_when_they_came() -> None:
    """A record that a thousand others repeat stays small, and the same names are kept in every order."""
    names = [record(f"r{number:03}", LONG) for number in range(100)]
    held = Listed([record("kept", LONG)])
    at_once = held.after(merge_near_duplicates(names, held))
    in_two = held.after(merge_near_duplicates(names[50:], held))
    in_two = in_two.after(merge_near_duplicates(names[:50], in_two))
    assert at_once.records["kept"].also == tuple(f"a/r{number:03}" for number in range(32))
    assert in_two.records == at_once.records


def test_a_record_that_says_something_else_now_stands_for_nothing_that_it_stood_for() -> None:
    """Its credits were for its former text; whose text is nowhere any more is told."""
    held = Listed([record("k", LONG)]).after(merge_near_duplicates([record("x", LONG)], Listed([record("k", LONG)])))
    assert held.records["k"].also == ("a/x",)
    nearly = merge_near_duplicates([record("k", [*LONG, "more"])], held)
    assert (held.after(nearly).records["k"].also, nearly.forgotten) == (("a/x",), ())
    for other in (record("k", ["wholly", "other", "words"]), record("k", LONG, RecordKind.WARNING)):
        merged = merge_near_duplicates([other], held)
        assert (held.after(merged).records["k"].also, merged.forgotten) == ((), ("a/x",))


def test_what_is_kept_itself_is_credited_to_nobody() -> None:
    """A record that comes again with another text, whole or cut, is no longer merged into the one it was like."""
    first = merge_near_duplicates([record("x", LONG), record("y", LONG)], Listed([record("k", LONG)]))
    held = Listed([record("k", LONG)]).after(first)
    assert held.records["k"].also == ("a/x", "a/y")
    for again in (record("x", ["quite", "another"], origin="b"), record(part_id("x", 1), ["quite", "another"])):
        after = held.after(merge_near_duplicates([again], held))
        assert after.records["k"].also == ("a/y",)
        assert after.after(merge_near_duplicates([again], after)).records == after.records


def test_credits_are_found_in_the_files_of_a_corpus(tmp_path: Path) -> None:
    """As in a list: whichever segment holds the record, and wherever it lies in it."""
    texts = {name: [f"{name}{number}" for number in range(20)] for name in "abc"}
    snapshot.write([record(name, texts[name]) for name in "abc"], tmp_path)
    for name in "abc":
        snapshot.import_playbook([record(f"{name}-twin", texts[name], origin="one")], tmp_path)
    playbook = Held(snapshot.load(tmp_path).playbook)
    assert {one.record_id for one in playbook.crediting({"a-twin", "c-twin"})} == {"a", "c"}
    made, _ = snapshot.import_playbook([record("a-twin", ["new"], origin="two")], tmp_path)
    credits_now = {one.record_id: one.also for one in made.records() if one.also}
    assert credits_now == {"b": ("one/b-twin",), "c": ("one/c-twin",)}
