"""Settings, from `REPLAY_*` environment variables. Instances are made in composition roots only, never at import."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

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

    log_format: Literal["text", "json"] = Field(
        "text", description="Lines of the logs: `text` for people, `json` for programs. Both carry ids and no secret."
    )

    trace_endpoint: str | None = Field(
        None,
        description="OpenTelemetry collector that traces are sent to by OTLP over HTTP, e.g. "
        "http://localhost:4318; unset: no traces. Needs the extra `otel`.",
    )
    trace_share: float = Field(1.0, ge=0, le=1, description="Share of the runs that are traced.")

    # Broker
    broker_url: str | None = Field(None, description="redis://… of Redis or Valkey; unset: the embedded Valkey server.")
    broker_tls_ca: Path | None = Field(
        None, description="PEM file of the authority that signed the broker's certificate, for rediss:// URLs."
    )
    broker_tls_cert: Path | None = Field(
        None, description="PEM file of a client certificate, where the broker asks for one."
    )
    broker_tls_key: Path | None = Field(
        None, description="Its key, without a password; unset: in the certificate's own file."
    )
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
    submit_max_waiting: int = Field(
        200_000,
        ge=1000,
        description="Messages in a queue from which on a submit waits for workers, so that the broker's memory holds.",
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
    dashboard_viewer_token: SecretStr | None = Field(
        None, description="Who has it may look at the dashboard; unset: whoever is on this machine, where it is bound."
    )
    dashboard_operator_token: SecretStr | None = Field(
        None, description="Who has it may also act there: cancel, pause, requeue, review."
    )
    dashboard_session_key: SecretStr | None = Field(
        None, description="Signs the dashboard's sessions; unset: a random one, and they end with its process."
    )
    dashboard_hosts: str = Field(
        "",
        description="Names under which a proxy publishes the dashboard, with commas between; tokens are needed then.",
    )
    dashboard_trusted_proxies: str = Field(
        "", description="Addresses of proxies whose X-Forwarded-For and -Proto are believed, with commas between."
    )
    dashboard_loopback_only: bool = Field(
        False, description="On any address, take it for the loopback: only this machine reaches it, as in compose.yaml."
    )
    dashboard_loopback_operator: bool = Field(
        False, description="Without tokens, let whoever is on this machine act, not only look (`dashboard --operator`)."
    )
    local_slots: int = Field(
        2,
        ge=1,
        description="Requests that the embedded local model server works on at once; another server is sent as many "
        "where it does not say how many it takes.",
    )
    spare_tasks: int = Field(
        1, ge=0, description="Tasks of a local worker beyond its model server's slots, so that no slot waits for one."
    )
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

    result_cache: bool = Field(
        True,
        description="Use the answer that the same model gave to the very same question before, and say so in evidence.",
    )
    result_cache_entries: int = Field(65_536, ge=1, description="Answers that the broker keeps for that, at most.")
    result_cache_ttl_s: int = Field(7 * 24 * 3600, ge=1, description="How long it keeps one, in seconds.")

    # Limits over all workers and hosts
    escalation_limit: int | None = Field(
        None, ge=1, description="Escalated tasks in work at once, over all workers; unset: `escalation_slots`."
    )
    local_limit: int | None = Field(None, ge=1, description="The same for the local lane; unset: no limit.")
    local_requests_per_minute: int | None = Field(
        None, ge=1, description="Requests a minute to a model of the local lane, retries counted; unset: no limit."
    )
    local_tokens_per_minute: int | None = Field(None, ge=1, description="Tokens a minute, read and written.")
    escalation_requests_per_minute: int | None = Field(
        None, ge=1, description="Requests a minute to each model of the escalation lane; unset: no limit."
    )
    escalation_tokens_per_minute: int | None = Field(None, ge=1, description="Tokens a minute, read and written.")
    escalation_budget_calls: int | None = Field(
        None, ge=0, description="Requests of the large model in a period, retries counted; unset: no budget."
    )
    escalation_budget_tokens: int | None = Field(None, ge=0, description="Tokens of the large model in a period.")
    escalation_budget_money: float | None = Field(
        None, ge=0, description="Money for the large model in a period, in the currency of `escalation_prices`."
    )
    escalation_budget_period: Literal["day", "total"] = Field(
        "day", description="What a budget is for: a day of UTC, or `total`, until it is reset."
    )
    escalation_prices: str = Field(
        "",
        description="MODEL=PROMPT/COMPLETION with commas between, in money for a million tokens; a price without MODEL "
        "is that of all others.",
    )
    escalate_undecidable: bool = Field(
        False,
        description="Ask the large model also where no choice that its schema allows could pass the gate. Such a run "
        "ends rejected either way; it is of use where a large model's opinion is wanted in the evidence.",
    )
    hand_back_times: int = Field(
        100, ge=1, description="How often a task goes back to its queue for an endpoint that does not answer."
    )
    hand_back_alone: int = Field(
        3, ge=1, description="How often where the endpoint answers others meanwhile; then the task fails."
    )
    hand_back_s: float = Field(3600.0, ge=1, description="How long after its first hand-back such a task fails.")

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

    # Batch API
    api_port: int | None = Field(None, description="Loopback port of the Batch API; unset: `replay up` starts none.")
    api_tokens: SecretStr | None = Field(
        None, description="Bearer tokens of the Batch API, with commas between; each lets its holder see everything."
    )
    api_tokens_file: Path | None = Field(
        None, description="A file with further tokens, one in each line; `#` begins a comment."
    )
    api_max_file_bytes: int = Field(200_000_000, ge=1, description="Size of an uploaded file.")
    api_max_requests: int = Field(50_000, ge=1, description="Requests of one batch.")
    api_window_s: int = Field(
        86_400, ge=1, description="Seconds after which a batch expires; clients call this window `24h`."
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
    def schedules_dir(self) -> Path:
        """Recurring replays, and their tasks."""
        return self.data_dir / "schedules"

    @property
    def run_dir(self) -> Path:
        """Sockets, the broker's files and the supervisor's state."""
        return self.data_dir / "run"

    @property
    def logs_dir(self) -> Path:
        """One log file for each supervised process."""
        return self.data_dir / "logs"
