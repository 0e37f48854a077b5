"""Settings, from `REPLAY_*` environment variables. Instances are made in composition roots only, never at import."""

from __future__ import annotations

from pathlib import Path

import platformdirs
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

EMBEDDED_LOCAL = "qwen2.5-coder-0.5b-instruct-q4_k_m"
EMBEDDED_ESCALATION = "qwen2.5-coder-1.5b-instruct-q4_k_m"


class Settings(BaseSettings):
    """Everything that can be configured. Each field is the environment variable `REPLAY_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="REPLAY_", frozen=True, extra="ignore")

    data_dir: Path = Field(Path("data"), description="Evidence, corpus, batches, logs and sockets live under it.")
    cache_dir: Path = Field(
        default_factory=lambda: platformdirs.user_cache_path("replay"),
        description="Downloaded model files, shared by every checkout.",
    )

    # Broker
    broker_url: str | None = Field(None, description="redis://… of Redis or Valkey; unset: the embedded Valkey server.")
    visibility_timeout_s: int = Field(
        60, ge=5, description="A crashed worker's task is given to another after this many seconds."
    )
    max_starts: int = Field(
        3, ge=1, description="A task that was started this often without an end is poison and goes to the dead queue."
    )
    task_time_limit_s: int = Field(900, ge=10, description="Hard limit of one task in a worker, in seconds.")
    max_outstanding: int = Field(
        4096, ge=1, description="Records on the evidence stream from which on workers wait for the writer."
    )
    message_key: SecretStr | None = Field(
        None,
        description="Key of the HMAC that every message carries; a message without it never runs. Unset: unsigned.",
    )
    reconcile_interval_s: float = Field(
        30.0, ge=1, description="How often the scheduler looks for runs that are owed and lie nowhere."
    )
    atomic_claim: bool = Field(
        True, description="Off: Celery's own Redis transport, which loses messages when a worker is killed."
    )
    remote_control: bool = Field(
        False, description="Turn on Celery's remote control and events, for `celery inspect` and Flower."
    )

    # Models
    base_url: str | None = Field(
        None, description="OpenAI-compatible endpoint of plain model names, e.g. http://localhost:11434/v1."
    )
    escalation_base_url: str | None = Field(
        None, description="Endpoint of the escalation model where it is not `base_url`."
    )
    openrouter_base_url: str = Field("https://openrouter.ai/api/v1", description="Endpoint of namespaced model names.")
    api_key: SecretStr | None = Field(None, description="Bearer key of `base_url`, if it wants one.")
    escalation_api_key: SecretStr | None = Field(None, description="Bearer key of `escalation_base_url`.")
    openrouter_api_key: SecretStr | None = Field(None, description="Bearer key of OpenRouter.")
    local_model: str | None = Field(
        None, description="Unset: qwen3.5:latest, or the embedded small model without endpoint."
    )
    escalation_model: str | None = Field(
        None, description="Unset: deepseek-v3.1:671b, or the embedded larger model without endpoint."
    )
    local_port: int = Field(8411, description="Loopback port of the embedded local model server.")
    escalation_port: int = Field(8412, description="Loopback port of the embedded large-model server.")
    dashboard_port: int = Field(8410, description="Loopback port of the dashboard.")
    local_slots: int = Field(2, ge=1, description="Requests that the embedded local model server works on at once.")
    escalation_slots: int = Field(1, ge=1, description="The same for the large model: this lane is narrow on purpose.")
    connect_timeout_s: float = Field(5.0, description="Time to connect to a model endpoint.")
    read_timeout_s: float = Field(300.0, description="Time without a byte from a model endpoint.")
    escalation_fallbacks: str = Field(
        "", description="Large models to ask in turn where the first one's breaker is open, with commas between."
    )
    breaker_failures: int = Field(
        5, ge=1, description="Transport failures in a row after which an endpoint's lane stops taking messages."
    )
    breaker_pause_s: float = Field(30.0, ge=0.1, description="How long it stops before one request tries again.")
    transport_tries: int = Field(8, ge=1, description="HTTP requests for one generation before it counts as failed.")
    temperature: float = Field(0.0, ge=0, description="Sampling temperature of both tiers.")
    max_tokens: int = Field(320, ge=16, description="Upper bound of one answer.")
    seed: int = Field(7, description="Sampling seed, where the server takes one.")

    # Retrieval
    top_k: int = Field(
        8, ge=1, description="Records that retrieval takes from the playbooks, and passages from the sources."
    )
    max_exemplars: int = Field(3, ge=0, description="Accepted exemplars among them that a bundle names.")
    max_warnings: int = Field(2, ge=0, description="Warnings among them that a bundle names.")
    lines_shown: int = Field(8, ge=1, description="Evidence lines that the prompt shows.")
    exemplars_shown: int = Field(
        2, ge=0, description="Exemplars that the prompt shows: on a CPU the prompt is most of the cost."
    )

    embeddings: str = Field(
        "",
        description="Hybrid retrieval: `local` (the model of the `hybrid` extra), or the address of an "
        "OpenAI-compatible endpoint; empty: off.",
    )
    embedding_model: str | None = Field(None, description="Embedding model of that endpoint.")
    embedding_api_key: SecretStr | None = Field(None, description="Bearer key of that endpoint, if it wants one.")

    # Gate
    gate_rules_off: str = Field(
        "", description="Codes of gate rules to leave out, with commas between; every verdict's gate version says so."
    )

    # Evidence
    writer_batch: int = Field(256, ge=1, description="Records that one fsync of the writer covers at most.")
    writer_linger_ms: int = Field(50, ge=0, description="How long the writer waits for a fuller batch.")

    writer_lease_s: float = Field(
        10.0,
        ge=1,
        description="A writer that has not renewed its lease for this long is replaced by the one that waits.",
    )
    evidence_segment_bytes: int = Field(
        256 * 1024 * 1024, ge=4096, description="Size from which on the log begins a new segment."
    )
    checkpoint_records: int = Field(1000, ge=1, description="Records after which the log's state is signed.")
    checkpoint_interval_s: float = Field(10.0, ge=0.1, description="Or seconds, where there is something new to sign.")
    checkpoint_dir: Path | None = Field(
        None, description="Another place for a second copy of the checkpoints, best on another disk or host."
    )
    evidence_key: Path | None = Field(
        None, description="Ed25519 private key (PEM) that signs checkpoints: `replay evidence keygen`. Unset: unsigned."
    )

    @property
    def evidence_log(self) -> Path:
        """The append-only log of `replay_run.v1` records."""
        return self.data_dir / "_kb" / "replay_runs.jsonl"

    @property
    def corpus_dir(self) -> Path:
        """Corpus snapshots and the pointer to the current one."""
        return self.data_dir / "corpus"

    @property
    def batches_dir(self) -> Path:
        """Batch manifests."""
        return self.data_dir / "batches"

    @property
    def run_dir(self) -> Path:
        """Sockets, the broker's files and the supervisor's state."""
        return self.data_dir / "run"

    @property
    def logs_dir(self) -> Path:
        """One log file for each supervised process."""
        return self.data_dir / "logs"
