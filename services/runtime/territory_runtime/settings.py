"""Settings: environment variables with the prefix TERRITORY_, read once, unknown names refused."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from territory.wire.topics import RECORDS

PREFIX = "TERRITORY_"


class SettingsRefused(Exception):
    """Raised when the environment has unknown or unusable settings; names each of them."""


class Settings(BaseModel):
    """The settings of a deployment. Frozen; secrets are hidden when it is printed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    org_id: Annotated[str, Field(description="Organisation that the command line works on.")] = "demo"

    kafka_bootstrap_servers: Annotated[str, Field(description="Brokers, separated by commas.")] = "127.0.0.1:9092"
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: Annotated[str | None, Field(description="Authority to trust; none: the system's.")] = None
    kafka_partitions: Annotated[int, Field(ge=1, le=1024, description="Of topics that do not exist yet.")] = 8
    kafka_replication_factor: Annotated[int, Field(ge=1, le=9, description="Of topics that do not exist yet.")] = 1
    kafka_session_timeout_seconds: Annotated[
        float, Field(ge=1, le=1800, description="After how long a silent worker's partitions go to others.")
    ] = 30.0
    kafka_group_instance_id: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            pattern=r"^[A-Za-z0-9._-]+$",
            description="Makes this process a static member of its groups (KIP-345): a restart within the session "
            "timeout moves no partition. Unique to one process of a service, such as a StatefulSet's pod name; "
            "none: a dynamic member.",
        ),
    ] = None
    kafka_fetch_pause_seconds: Annotated[
        float, Field(ge=0, le=5, description="Pause after an empty fetch, for the embedded broker; 0 with Kafka.")
    ] = 0.0

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    redis_cluster: Annotated[bool, Field(description="Whether the address is of a node of a Redis Cluster.")] = False

    metrics_port: Annotated[
        int, Field(ge=0, le=65535, description="Of /metrics, /live, /ready and /records; 0: any free one.")
    ] = 9464
    metrics_host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    point_queries: Annotated[
        bool,
        Field(
            description="Whether /records/<org>/<object>/<id> shows records. It asks for no password: turn it on only "
            "where everybody who reaches the port may read every record."
        ),
    ] = False
    advertised_address: Annotated[
        str | None,
        Field(
            pattern=r"^[^\s/:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$",
            description="host:port by which other workers name this one to clients of point queries; none: "
            "METRICS_HOST and the port, unless that is every interface.",
        ),
    ] = None

    batch_records_max: Annotated[int, Field(ge=1, le=100_000, description="Messages in one batch.")] = 5_000
    batch_seconds_max: Annotated[
        float, Field(ge=0.001, le=10, description="Processing time after which a batch ends; the rest is in the next.")
    ] = 0.1
    batch_effects_max: Annotated[
        int, Field(ge=1, le=1_000_000, description="Output messages and index changes after which a batch ends.")
    ] = 20_000
    sweep_records_max: Annotated[int, Field(ge=1, le=100_000, description="Records in one chunk of a sweep.")] = 25
    on_processing_error: Annotated[
        Literal["dead_letter", "stop"],
        Field(
            description="What an unexpected exception while one message is processed does: the message becomes a dead "
            "letter with code processing_error and the stream goes on, or the worker stops before the commit."
        ),
    ] = "dead_letter"
    access_changes: Annotated[
        bool, Field(description="Whether the access indexer publishes territory.access-changes.v1.")
    ] = True
    day_check_seconds: Annotated[
        float, Field(gt=0, le=3600, description="How often to check whether a day has passed, for relative dates.")
    ] = 60.0
    partials_interval_seconds: Annotated[
        float, Field(ge=0, le=60, description="Minimum time between two batches of the forecast's stages.")
    ] = 0.5
    verify_records_per_second: Annotated[
        float,
        Field(
            ge=0,
            le=100_000,
            description="Records that an access indexer compares with Redis, and deals that a forecast aggregator "
            "compares with its sums; 0: none.",
        ),
    ] = 50.0
    assigner_engine: Annotated[
        Literal["index", "plain", "durable"], Field(description="What the assigner evaluates rules with.")
    ] = "index"
    deleted_retention_days: Annotated[
        int, Field(ge=1, le=3650, description="How long the assigner keeps the version of a deleted record.")
    ] = 30
    data_dir: Annotated[str | None, Field(description="Where Faust keeps its files; none: a temporary folder.")] = None


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of an environment, the process's own unless given.

    Raises: SettingsRefused naming each unknown or unusable variable.
    """
    given = os.environ if environment is None else environment
    names = {name[len(PREFIX) :].lower(): value for name, value in given.items() if name.upper().startswith(PREFIX)}
    faults = [_unknown(name) for name in sorted(names) if name not in Settings.model_fields]
    values: dict[str, Any] = {name: value for name, value in names.items() if name in Settings.model_fields}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as invalid:
        faults += [_fault(error) for error in invalid.errors(include_url=False, include_input=False)]
    if not faults:
        faults = list(_contradictions(settings))
    if faults:
        raise SettingsRefused("; ".join(faults))
    return settings


def _contradictions(settings: Settings) -> Iterator[str]:
    """Yield a fault for each combination of settings that does not work."""
    if settings.kafka_security_protocol.startswith("SASL"):
        for name in ("kafka_sasl_username", "kafka_sasl_password"):
            if getattr(settings, name) is None:
                yield f"{PREFIX}{name.upper()} is missing; {settings.kafka_security_protocol} needs it"
    if settings.deleted_retention_days < (RECORDS.retention_days or 0):
        yield (
            f"{PREFIX}DELETED_RETENTION_DAYS: found {settings.deleted_retention_days}, expected at least "
            f"{RECORDS.retention_days}: so long {RECORDS.name} keeps messages, and an old one that is read again "
            "must not bring a deleted record back"
        )
    cafile = settings.kafka_ssl_cafile
    if cafile is not None and not Path(cafile).is_file():
        yield f"{PREFIX}KAFKA_SSL_CAFILE: there is no file {cafile}; name one with the authority's certificate in PEM"


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, Settings.model_fields, n=1)
    hint = f"did you mean {PREFIX}{near[0].upper()}?" if near else "docs/configuration.md lists them all"
    return f"unknown setting {PREFIX}{name.upper()}; {hint}"


def _fault(error: Any) -> str:
    # Not the value: it may be a secret.
    return f"{PREFIX}{str(error['loc'][0]).upper()}: {error['msg']}"
