"""Findings of values: what kind of line settles a claim, and what kind settles nothing."""

from __future__ import annotations

import pytest

from tests.pointing import rules, shown, source

POOL = "class Pool:\n    max_sockets = 8"
CLAIM = "Verify that the pool's max sockets default to 8 in net."


def test_a_class_constant_settles_its_claim() -> None:
    """The plain case passes, so that the refusals below are refusals of something."""
    assert rules(CLAIM, shown(source(POOL)), "L2", "8", "8") == set()


@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        pytest.param(
            'class Pool:\n    """Opens sockets.\n\n    Example:\n        pool.max_sockets = 8\n    """\n    ...',
            "L5",
            "binding.example",
            id="example of a docstring",
        ),
        pytest.param(
            'class Pool:\n    """Opens sockets.\n\n    pool.max_sockets = 8\n    """\n    ...',
            "L4",
            "binding.example",
            id="code inside a docstring",
        ),
        pytest.param(
            "class Pool:\n    def __init__(self):\n        if self.small:\n            self.max_sockets = 8",
            "L4",
            "binding.conditional",
            id="under a condition",
        ),
        pytest.param(
            "class Pool:\n    def copy(self):\n        return connect(\n            max_sockets=8,\n        )",
            "L4",
            "binding.argument",
            id="argument of a call",
        ),
    ],
)
def test_a_line_that_stands_for_something_else_settles_nothing(text: str, line: str, rule: str) -> None:
    """Examples, conditions and arguments hold the value of the claim and do not give it."""
    assert rule in rules(CLAIM, shown(source(text)), line, "8", "8")


def test_tests_and_samples_settle_nothing_and_are_no_rivals() -> None:
    """A fixture's value neither confirms nor stands against the real one."""
    fixture = source("class Pool:\n    max_sockets = 2", "net.testing.Pool")
    bundle = shown(source(POOL), fixture)
    assert rules(CLAIM, bundle, "L2", "8", "8") == set()
    assert "binding.test_code" in rules(CLAIM, bundle, "L4", "2", "8")


def test_a_named_package_is_not_answered_by_another() -> None:
    """redis-py's port is not kombu's DEFAULT_PORT, though both are 6379."""
    kombu = source("DEFAULT_PORT = 6379", "kombu.transport.redis", origin="kombu 5.7.0")
    redis = source("def connect(host, port):\n    ...", "redis.connection.connect", origin="redis 8.1.0")
    task = "Verify that the default port of redis-py is 6379."
    assert "binding.other_package" in rules(task, shown(kombu, redis), "L1", "6379", "6379")
    assert (
        rules(
            "Verify that the default port of kombu's redis transport is 6379.",
            shown(kombu, redis),
            "L1",
            "6379",
            "6379",
        )
        == set()
    )


def test_a_named_definition_is_not_answered_by_a_helper() -> None:
    """`auto_delete` of a helper class says nothing of the Queue that the task names."""
    helper = source("class Buffer:\n    auto_delete = True", "kombu.simple.Buffer")
    queue = source("class Queue:\n    auto_delete = False", "kombu.entity.Queue")
    task = "Verify that auto_delete is enabled by default on a kombu Queue."
    assert "binding.other_definition" in rules(task, shown(helper, queue), "L2", "True", "enabled")
    assert rules(task, shown(helper, queue), "L4", "False", "enabled") == set()


def test_a_value_is_not_refuted_while_another_line_states_it() -> None:
    """`initial=1` does not refute the 4 that stands as close to the subject."""
    table = source("worker = Namespace(\n    prefetch=Option(4),\n)", "net.worker.defaults")
    call = source("def __init__(self, worker, prefetch=1):\n    ...", "net.worker.Consumer.__init__")
    task = "Verify that the worker's prefetch defaults to 4."
    assert "binding.stated_elsewhere" in rules(task, shown(table, call), "L4", "1", "4")
    assert rules(task, shown(table, call), "L2", "4", "4") == set()


def test_a_none_in_a_foreign_signature_leaves_the_value_open() -> None:
    """`timeout=None` of some other function says that nothing was given; of the named one it is the default."""
    record = source("def setup(self, timeout=None, retries=3):\n    ...", "net.pool.Pool.setup")
    assert "binding.unset" in rules("Verify that the pool's timeout is 5.", shown(record), "L1", "None", "5")
    assert rules("Verify that the timeout of the pool's setup is 5.", shown(record), "L1", "None", "5") == set()


def test_what_a_class_derives_from_is_said_by_its_own_statement() -> None:
    """Neither another class, nor an import, nor a raise tells the bases of the named one."""
    errors = source(
        "class LockError(RedisError, ValueError):\n    ...\nclass LockLost(LockError):\n    ...\nraise RuntimeError()",
        "net.exceptions",
    )
    task = "Verify that LockError derives from RuntimeError."
    assert rules(task, shown(errors), "L1", "ValueError", "RuntimeError") == set()
    assert "binding.other_class" in rules(task, shown(errors), "L3", "LockLost", "RuntimeError")
    assert "binding.other_class" in rules(task, shown(errors), "L5", "RuntimeError", "RuntimeError")


def test_a_list_that_names_the_default_names_it_beside_the_value() -> None:
    """`json (default), pickle` says that json is the default, and nothing of the kind about pickle."""
    record = source("# The pool serializer is one of `json` (default), `pickle`, `yaml`", "net.pool")
    assert "binding.listed" in rules(
        "Verify that the pool serializer is pickle.", shown(record), "L1", "pickle", "pickle"
    )
    assert rules("Verify that the pool serializer is json.", shown(record), "L1", "json", "json") == set()
