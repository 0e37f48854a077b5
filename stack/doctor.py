"""`replay doctor`: what is configured, reachable and missing, and how to mend it. Every check runs, whatever fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from replay.errors import ReplayError
from replay.settings import Settings
from stack import abilities, broker_health, evidence_health, machine, services
from stack.finding import Finding, fail

Check = Callable[[Settings], Iterator[Finding]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("python", machine.python),
    ("embedded parts", machine.embedded_parts),
    ("disk", machine.disk),
    ("corpus", machine.corpus),
    ("evidence", machine.evidence),
    ("index", evidence_health.index),
    ("ports", machine.own_ports),
    ("settings", machine.variables),
    ("keys", machine.keys),
    ("broker", services.broker),
    ("broker settings", broker_health.looking("broker settings", broker_health.setup)),
    ("clocks", broker_health.looking("clocks", broker_health.clocks)),
    ("leases", broker_health.looking("leases", broker_health.held)),
    ("models", services.models),
    ("abilities", abilities.abilities),
)


def examine(settings: Settings, checks: tuple[tuple[str, Check], ...] = CHECKS) -> Iterator[Finding]:
    """Run every check; a check that raises a foreseen error is a finding itself, told once."""
    told: set[str] = set()
    for name, check in checks:
        try:
            yield from check(settings)
        except ReplayError as error:
            if error.message not in told:
                told.add(error.message)
                yield fail(name, error.message, error.hint)
        except OSError as error:
            yield fail(name, f"{type(error).__name__}: {error}", "Look at that file or device, then try again.")
