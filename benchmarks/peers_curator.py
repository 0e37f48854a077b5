"""bespokelabs-curator over a file of requests: a script for the environment that has Curator, not for ours.

`PYTHON benchmarks/peers_curator.py REQUESTS BASE_URL AT_ONCE FOLDER` prints seconds, CPU seconds and answers as JSON.
It imports nothing of Replay: Curator brings many packages, and bounds of its own for some that Replay has.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

_WARMING = 16


def _offline() -> None:
    """Fetch nothing and send nothing: the token table that Curator counts with lies in a package that it brings."""
    spec = importlib.util.find_spec("litellm")
    assert spec is not None
    assert spec.origin is not None
    os.environ |= {
        "TIKTOKEN_CACHE_DIR": str(Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "HF_HUB_OFFLINE": "1",
        "TELEMETRY_ENABLED": "false",
        "CURATOR_DISABLE_RICH_DISPLAY": "1",
    }


def main() -> None:
    """Ask all requests, as many at once as told, by Curator's own client for OpenAI's protocol."""
    requests, base_url, at_once, folder = sys.argv[1:]
    _offline()
    from bespokelabs import curator  # type: ignore[import-not-found]  # noqa: PLC0415  after the environment is set

    class Ask(curator.LLM):  # type: ignore[misc]  # not installed where types are checked
        def prompt(self, row: dict[str, Any]) -> Any:
            return json.loads(row["messages"])

        def parse(self, row: dict[str, Any], response: Any) -> dict[str, Any]:
            return {"number": row["number"], "response": response}

    client = Ask(
        model_name="scripted",
        backend="openai",
        backend_params={
            "base_url": base_url,
            "api_key": "none",
            "max_concurrent_requests": int(at_once),
            # Its own limits are for a provider; here the server is the limit.
            "max_requests_per_minute": 10**9,
            "max_tokens_per_minute": 10**12,
        },
    )
    rows = [
        {
            "number": number,
            # As text: a table of rows would give each the fields of all others.
            "messages": json.dumps(body["messages"]),
            "generation_params": json.dumps({key: body[key] for key in body if key not in {"messages", "model"}}),
        }
        for number, body in enumerate(map(json.loads, Path(requests).read_text(encoding="utf-8").splitlines()))
    ]
    client(rows[:_WARMING], working_dir=f"{folder}/warming")
    began, used = time.perf_counter(), time.process_time()
    answered = client(rows[_WARMING:], working_dir=f"{folder}/timed").dataset
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - used
    assert all(row["response"] for row in answered)
    print(json.dumps({"seconds": seconds, "cpu_s": cpu_s, "answered": len(set(answered["number"]))}))


if __name__ == "__main__":
    main()
