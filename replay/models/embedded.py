"""The embedded model server: llama.cpp's own HTTP server, in this process, in the foreground."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import httpx

from replay.errors import ConfigurationError, ModelFileError, ModelUnavailable

CONTEXT_PER_SLOT = 4096
# Of prompts that no slot holds any more: about 70 of the default length for the small model, 25 for the large one.
PROMPT_CACHE_MIB = 512
_ERRORS_ONLY = 1


def serve(
    model_path: Path,
    alias: str,
    host: str,
    port: int,
    *,
    slots: int,
    context: int = CONTEXT_PER_SLOT,
    cache_mib: int = PROMPT_CACHE_MIB,
) -> NoReturn:
    """Serve one model until SIGTERM or SIGINT, then end this process with status 0.

    Requests share the batch: up to `slots` of them are worked on at once, the others wait. A slot keeps the prompt of
    its last request, so the next one with the same beginning costs only what differs. A request goes to the free slot
    whose prompt it shares most with; where that is less than half of it, the prompt moves to a cache in memory, and the
    best one from there takes its place. So no request names a slot: it would wait for that one while another is free.

    Args:
        model_path: A GGUF file.
        alias: The name that `/v1/models` shows.
        host: Address to listen on.
        port: Port to listen on.
        slots: Requests at once.
        context: Tokens of prompt and answer together, for each slot.
        cache_mib: Memory for prompts that no slot holds any more.

    Raises:
        ConfigurationError: The port is taken, or the server is not installed.
        ModelFileError: The file cannot be loaded.
    """
    # llama.cpp's threads meet at a barrier for each operation, and by default spin there. Where other work wants the
    # cores too (the workers, the other tier's server), a spinning thread keeps the one that it waits for from running:
    # seen on two busy cores, 1 to 12 tokens/s with spinning and 6 to 11 without. Read when the library is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import xllamacpp  # noqa: PLC0415  an optional part of the installation, and 100 MB of native code
    except ImportError as error:
        raise ConfigurationError(
            "The embedded model server is not installed.",
            hint="Install it with `pip install 'replay-audit[embedded]'`, or set REPLAY_BASE_URL to an endpoint.",
        ) from error
    if not model_path.is_file():
        raise ModelFileError(f"There is no model file {model_path}.", hint="Fetch it with `replay models pull`.")
    _check_port(host, port)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    threads = os.cpu_count() or 1
    params = xllamacpp.CommonParams()
    params.model.path = str(model_path)
    params.model_alias = {alias}
    params.hostnames = [host]
    params.port = port
    params.n_parallel = slots
    params.n_ctx = slots * context
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.cache_prompt = True
    params.cache_ram_mib = cache_mib
    params.fit_params = False  # it would shrink the context on a small machine without a word
    params.ui = False
    params.endpoint_slots = False  # shows the prompts of other requests
    params.cors_origins = f"http://{host}:{port}"  # by default any web page in a browser here may ask
    params.verbosity = _ERRORS_ONLY
    try:
        _running = xllamacpp.Server(params)  # it serves from threads of its own, as long as this name lives
    except RuntimeError as error:
        _check_port(host, port)  # another program may have taken it while the model was loaded
        raise ModelFileError(
            f"The model server cannot load {model_path}: {error}",
            hint="Verify the file with `replay models pull --verify`; the lines above say what llama.cpp objects to.",
        ) from error
    stop.wait()
    sys.stdout.flush()
    sys.stderr.flush()
    # The server's destructor would wait, holding the interpreter, until every running generation has ended.
    os._exit(0)


def wait_ready(base_url: str, timeout: float, alive: Callable[[], bool] = lambda: True) -> None:
    """Wait until a model server has loaded its model.

    Args:
        base_url: Of the endpoint, with or without `/v1`.
        timeout: Seconds.
        alive: False once the server's process has ended, which ends the wait.

    Raises:
        ModelUnavailable: It was not ready in time, or it ended.
    """
    root = base_url.rstrip("/").removesuffix("/v1")
    deadline = time.monotonic() + timeout
    said = "no answer"
    with httpx.Client(timeout=2.0, trust_env=False) as client:
        while time.monotonic() < deadline:
            if not alive():
                raise ModelUnavailable(f"The model server at {root} ended while it started.", hint="See its log.")
            try:
                status = client.get(f"{root}/health").status_code
            except httpx.RequestError as error:
                said = str(error) or type(error).__name__
            else:
                if status == httpx.codes.OK:
                    return
                said = f"status {status}"
            time.sleep(0.1)
    raise ModelUnavailable(
        f"The model server at {root} was not ready within {timeout:g} s: {said}.",
        hint="See its log; a large model on a slow disk may need longer.",
    )


def _check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"The model server cannot listen on {host}:{port}: {error.strerror or error}.",
                hint="End what listens there, or set REPLAY_LOCAL_PORT (of the large model: REPLAY_ESCALATION_PORT) "
                "to a free port.",
            ) from error
