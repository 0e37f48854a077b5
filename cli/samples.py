"""Where the sample input lies: in the checkout, beside the code."""

from __future__ import annotations

from pathlib import Path

_DATA = Path(__file__).resolve().parent.parent / "data"

QUICKSTART = _DATA / "tasks" / "quickstart.jsonl"
GOLD = _DATA / "gold" / "celery-audit.gold.jsonl"
PLAYBOOK = _DATA / "playbooks" / "celery-playbook.jsonl"
PACKAGES = ("package:celery", "package:kombu", "package:redis")

RETRIEVAL = _DATA / "retrieval"
RETRIEVAL_PACKAGES = tuple(
    """
    celery kombu redis vine billiard amqp httpx httpcore h11 pydantic-settings pydantic starlette uvicorn click typer
    anyio jinja2 rich stamina tenacity filelock platformdirs supervisor tomlkit pluggy packaging prompt-toolkit
    markdown-it-py pathspec python-dateutil python-dotenv tqdm
    """.split()  # noqa: SIM905  a list of thirty quoted words is harder to read and to keep in order
)
"""What its queries are about: pinned in requirements.lock, and the same files on every platform."""
