"""Statements over several lines, claims about errors, claims that quote a source's own "not": right answers pass."""

from __future__ import annotations

import pytest

from replay import assertion, values
from replay.gate.spans import Span
from replay.statements import stated
from tests.pointing import rules, shown, source

RAISING = (
    "def check(port):\n"
    "    if port > 9:\n"
    "        raise ValueError(\n"
    '            "the port of a pool cannot be above 9, give a TypeError of your own"\n'
    "        )\n"
    "    return port"
)
WARNING = (
    "def open(pool):\n"
    "    warnings.warn(\n"
    "        \"'pool' is deprecated, use 'pools'\",\n"
    "        DeprecationWarning,\n"
    "    )\n"
    "    return pool"
)
OPTION = '@click.option(\n    "--size",\n    default=8,\n    help="Sockets of the pool.",\n)\ndef main(size):\n    ...'


def span(text: str, line: int) -> Span:
    """The place of a line, counted from 1."""
    return Span(source(text), text.split("\n")[line - 1].strip(), line - 1)


def test_what_is_raised_over_several_lines_is_one_statement() -> None:
    """The text below a raise belongs to it; what stands behind its bracket does not."""
    assert "cannot be above 9" in span(RAISING, 3).statement
    assert "return port" not in span(RAISING, 3).statement
    assert span(RAISING, 6).statement == "return port"


def test_a_category_has_the_text_of_its_warning() -> None:
    """The line that names the category speaks of what the warning says."""
    assert "use 'pools'" in span(WARNING, 4).statement


def test_the_text_of_an_error_is_no_rival_of_the_line_that_raises_it() -> None:
    """The message has more of the claim's words than the `raise` above it, and names another class besides."""
    task = "Verify that check in net raises ValueError: the port of a pool cannot be above 9."
    bundle = shown(source(RAISING, "net.ports.check"))
    assert rules(task, bundle, "L3", "ValueError", "ValueError") == set()


def test_a_wrong_error_is_refused_and_refutes() -> None:
    """The same line does not back another class, and refutes the claim of one."""
    task = "Verify that check in net raises KeyError: the port of a pool cannot be above 9."
    bundle = shown(source(RAISING, "net.ports.check"))
    assert rules(task, bundle, "L3", "ValueError", "KeyError") == set()
    assert rules(task, bundle, "L3", "KeyError", "KeyError") != set()


def test_the_lines_of_a_signature_stay_rivals_of_each_other() -> None:
    """Only a raise, a warning and an option are one statement: parameters are several."""
    text = "def open(\n    size=8,\n    pool_size=9,\n):\n    ..."
    assert span(text, 2).statement == "size=8,"


@pytest.mark.parametrize(
    ("claim", "line", "objects"),
    [
        ("Verify that the size of Pool in net is not 8.", "size = 8", True),
        ("Verify that the size of Pool in net is at least 8.", "size = 8", True),
        ("Verify that the size of Pool in net is at least 8.", "size = 8  # no more than at least needed", True),
        ("Verify that the size of Pool in net must be at least 8 sockets.", '"size must be at least 8 sockets"', False),
        ("Verify that the size of Pool in net is not above 8 sockets.", '"size, not above 8 sockets" ', False),
    ],
)
def test_a_relation_counts_unless_the_source_says_it_of_the_same(claim: str, line: str, objects: bool) -> None:
    """A claim may quote a source's own "not" or "at least"; beside a bare value it asks for more than equality."""
    found = rules(claim, shown(source(f"class Pool:\n    {line}")), "L2", "8", "8")
    assert ("verdict.relation" in found) is objects


def test_a_setting_goes_by_the_name_of_its_table_and_its_own() -> None:
    """`worker=Namespace(pool=…)` gives a value to `worker_pool`, and to no `beat_pool`."""
    bundle = shown(
        source("NAMESPACES = dict(\n    worker=Namespace(\n        pool=Option('solo'),\n    ),\n)", "net.defaults")
    )
    assert rules("Verify that net's worker_pool is `solo` by default.", bundle, "L3", "solo", "solo") == set()
    refused = rules("Verify that net's beat_pool is `solo` by default.", bundle, "L3", "solo", "solo")
    assert "verdict.pass_without_literal" in refused


def test_an_option_of_a_command_line_is_named_above_its_default() -> None:
    """The flag stands on a line of its own, and no line says "command line"."""
    bundle = shown(source(OPTION, "net.cli.main"))
    assert rules("Verify that the size option of net's command line is 8 by default.", bundle, "L3", "8", "8") == set()


def test_a_line_says_by_its_form_what_it_is() -> None:
    """`os.environ` speaks of an environment variable; an assignment of the same text does not."""
    task = "Verify that quiet of net is read from the environment variable NET_QUIET."
    reads = shown(source("quiet = os.environ.get('NET_QUIET')", "net.log"))
    assert rules(task, reads, "L1", "NET_QUIET", "NET_QUIET") == set()
    holds = shown(source("silent = 'NET_QUIET'", "net.log"))
    assert "binding.other_subject" in rules(task, holds, "L1", "NET_QUIET", "NET_QUIET")


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("Verify that Pool raises ValueError: HTTP 404 is not allowed.", "ValueError"),
        ("Confirm that KeyError is raised by Pool if XML has 3 parts.", "KeyError"),
        ("Check that whoever catches OSError also catches PoolError.", "OSError"),
        ("Verify that PoolError has 3 retries.", "3"),
        ("Verify that the pool ends in a TypeError (3 sockets are too many).", "TypeError"),
    ],
)
def test_what_is_raised_is_what_is_claimed(claim: str, value: str) -> None:
    """Numbers and names of a message are no values of the claim; without an error they are."""
    assert [said.text for said in assertion.claimed(claim)] == [value]


def test_a_line_that_says_both_states_neither() -> None:
    """A docstring that explains what True and False mean gives no default."""
    like = values.word("True")
    assert stated("bool: True if it is open, False otherwise", like) == ()
    assert [value.text for value in stated("is_open = True", like)] == ["True"]


def test_an_index_is_no_value() -> None:
    """`range(9)[1]` states no 1."""
    assert stated("day = month_range(year)[1]", values.parse("1")) == ()


def test_a_text_that_is_assigned_refutes_a_text_of_any_shape() -> None:
    """`LABEL = 'pool'` says that the label is no `POOL_CMD`, though one is written in capitals and one is not."""
    bundle = shown(source("class Pool:\n    label = 'sockets'", "net.pool.Pool"))
    assert rules("Verify that the label of Pool in net is `POOL_CMD`.", bundle, "L2", "sockets", "POOL_CMD") == set()


def test_no_value_is_claimed_in_several_ways() -> None:
    """`not set` is a value like None, and no denial."""
    bundle = shown(source("class Pool:\n    label = None", "net.pool.Pool"))
    assert rules("Verify that the label of Pool in net is not set.", bundle, "L2", "None", "not set") == set()


def test_a_default_is_not_what_a_method_sets_later() -> None:
    """`self.x = True` in `close` says what holds then; in `__init__` it says what holds first."""
    task = "Verify that `closed` of Pool in net is True by default."
    for method, objects in (("close", True), ("__init__", False)):
        text = f"class Pool:\n    def {method}(self):\n        self.closed = True"
        found = rules(task, shown(source(text, "net.pool.Pool")), "L3", "True", "True")
        assert ("binding.conditional" in found) is objects, method


def test_a_line_about_another_name_settles_nothing() -> None:
    """A line that gives its value to a name of which the claim says no word is not about the claim."""
    bundle = shown(source("class Pool:\n    retries = 8\n    sockets = 9", "net.pool.Pool"))
    assert "binding.other_name" in rules("Verify that the sockets of Pool in net are 8.", bundle, "L2", "8", "8")


def test_a_class_is_not_found_to_be_itself() -> None:
    """The name in a class's own header is no base of it."""
    bundle = shown(source("class PoolError(OSError):\n    ...", "net.errors.PoolError"))
    task = "Verify that net's PoolError is a PoolError."
    assert "binding.other_class" in rules(task, bundle, "L1", "PoolError", "PoolError")


def test_a_count_is_not_decided_by_a_time() -> None:
    """`retry_delay = 180` neither confirms nor refutes a number of retries; it does decide a delay."""
    bundle = shown(source("class Pool:\n    retry_delay = 180", "net.pool.Pool"))
    counted = rules("Verify that Pool in net gives up after 5 retries by default.", bundle, "L2", "180", "5")
    assert "verdict.unit_unknown" in counted
    delayed = rules(
        "Verify that the retry delay of Pool in net is 5 seconds by default.", bundle, "L2", "180", "5 seconds"
    )
    assert "verdict.unit_unknown" not in delayed


def test_a_text_refutes_though_the_claim_says_the_word() -> None:
    """`LABEL = "pool"` gives that text, whatever the pool is called, where the claim quotes what it should be."""
    bundle = shown(source("class Pool:\n    label = 'pool'", "net.pool.Pool"))
    assert (
        rules("Verify that the label of the pool in net is 'event loop'.", bundle, "L2", "pool", "event loop") == set()
    )
    bundle = shown(source("class SpinnerColumn:\n    label = 'dots'", "net.pool.SpinnerColumn"))
    unquoted = "Ensure that dots is what the label of SpinnerColumn in net starts with."
    assert "verdict.fail_by_own_word" in rules(unquoted, bundle, "L2", "dots", "SpinnerColumn")


def test_nothing_is_said_not_to_derive_from_what_everything_derives_from() -> None:
    """`class A(B)` does not refute that A derives from Exception; that its parent is Exception, it does."""
    bundle = shown(source("class PoolError(NetError):\n    ...", "net.errors.PoolError"))
    derived = rules("Verify that net's PoolError derives from Exception.", bundle, "L1", "NetError", "Exception")
    assert "binding.other_class" in derived
    assert rules("The parent of net's PoolError is Exception.", bundle, "L1", "NetError", "Exception") == set()


def test_a_class_of_which_the_claim_does_not_speak_settles_no_derivation() -> None:
    """That LockNotOwnedError is a LockError says nothing of the http error."""
    bundle = shown(source("class LockNotOwnedError(LockError):\n    ...", "net.errors.LockNotOwnedError"))
    task = "The http error of net inherits from LockError."
    assert "binding.other_class" in rules(task, bundle, "L1", "LockError", "LockError")


def test_a_not_within_the_name_of_a_class_denies_nothing() -> None:
    """The words of `MasterNotFoundError` are said as "the master not found error"."""
    bundle = shown(source("class MasterNotFoundError(ConnectionError):\n    ...", "net.errors.MasterNotFoundError"))
    task = "The parent of the master not found error of net is ConnectionError."
    assert rules(task, bundle, "L1", "ConnectionError", "ConnectionError") == set()


def test_a_duration_says_itself_what_it_counts() -> None:
    """Neither "5 seconds is" nor "0.5 unless" counts anything."""
    bundle = shown(source("class Pool:\n    join_timeout = 5", "net.pool.Pool"))
    assert (
        rules("Verify that 5 seconds is the value of the join_timeout of Pool in net.", bundle, "L2", "5", "5 seconds")
        == set()
    )


def test_a_setting_over_several_lines_is_called_by_its_whole_name() -> None:
    """`worker_keep_results` is `keep_results` in the table `worker`, also where its value stands on the next line."""
    option = "keep_results=Option(\n            False, type='bool'\n        ),"
    table = f"NAMES = dict(\n    worker=Namespace(\n        {option}\n    ),\n)"
    bundle = shown(source(table, "net.app.defaults"))
    task = "Check that net's `worker_keep_results` is False unless it is configured."
    assert rules(task, bundle, "L4", "False", "False") == set()


@pytest.mark.parametrize("caught", ["OSError", "Exception"])
def test_an_except_clause_may_take_in_more_than_the_statement_names(caught: str) -> None:
    """`class PoolError(TimeoutError)` does not refute that a clause for OSError takes it in."""
    bundle = shown(source("class PoolError(TimeoutError):\n    ...", "net.errors.PoolError"))
    task = f"An except clause for {caught} takes in net's PoolError."
    assert "verdict.fail_of_existence" in rules(task, bundle, "L1", "TimeoutError", caught)
    other = "An except clause for KeyError takes in net's PoolError."
    assert rules(other, bundle, "L1", "TimeoutError", "KeyError") == set()


def test_what_python_itself_derives_is_not_refuted() -> None:
    """Whose parent is KeyError derives from LookupError too; its parent is not LookupError all the same."""
    bundle = shown(source("class PoolError(KeyError):\n    ...", "net.errors.PoolError"))
    task = "PoolError of net inherits from LookupError."
    assert "binding.other_class" in rules(task, bundle, "L1", "KeyError", "LookupError")
    assert rules("PoolError of net inherits from OSError.", bundle, "L1", "KeyError", "OSError") == set()


def test_the_variable_that_is_read_refutes_no_default() -> None:
    """That LOG_LEVEL is read says nothing of what stands for it where it is not set."""
    bundle = shown(source("class Pool:\n    log_level = os.environ.get('LOG_LEVEL', level())", "net.pool.Pool"))
    task = "The LOG_LEVEL of Pool in net defaults to DEBUG."
    assert "verdict.fail_by_own_word" in rules(task, bundle, "L2", "LOG_LEVEL", "DEBUG")
    reads = "The LOG_LEVEL of Pool in net is read from the environment variable POOL_LEVEL."
    assert "verdict.fail_by_own_word" not in rules(reads, bundle, "L2", "LOG_LEVEL", "POOL_LEVEL")


def test_a_not_within_the_name_of_a_setting_does_not_confirm_a_denial() -> None:
    """`do_not_retry = 5` does not say that something is "not retried 5 times"."""
    bundle = shown(source("class Pool:\n    do_not_retry = 5", "net.pool.Pool"))
    assert "verdict.relation" in rules("Pool in net does not retry 5 times.", bundle, "L2", "5", "5")


@pytest.mark.parametrize("expected", ["pool", "net"])
def test_a_word_of_the_subject_is_not_what_the_claim_asserts(expected: str) -> None:
    """A model that no schema holds cannot refute a true claim by naming a word of it as the value that was claimed."""
    bundle = shown(source("class Pool:\n    label = 'event loop'", "net.pool.Pool"))
    task = "Verify that the label of the pool in net is 'event loop'."
    assert "literals.expected_not_asked" in rules(task, bundle, "L2", "event loop", expected)
    assert rules(task, bundle, "L2", "event loop", "event loop") == set()
