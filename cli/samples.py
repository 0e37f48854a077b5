"""Where the sample input lies: in the checkout, beside the code."""

from __future__ import annotations

from pathlib import Path

_DATA = Path(__file__).resolve().parent.parent / "data"

QUICKSTART = _DATA / "tasks" / "quickstart.jsonl"
GOLD = _DATA / "gold" / "celery-audit.gold.jsonl"
PLAYBOOK = _DATA / "playbooks" / "celery-playbook.jsonl"
PACKAGES = ("package:celery", "package:kombu", "package:redis")
