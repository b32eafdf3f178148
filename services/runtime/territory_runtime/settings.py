"""Settings: environment variables with the prefix TERRITORY_, read once, unknown names refused."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

PREFIX = "TERRITORY_"


class SettingsRefused(Exception):
    """Raised when the environment says something that can't be used; names every culprit."""


class Settings(BaseModel):
    """What a deployment decides. Frozen; secrets are hidden when it is printed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    org_id: Annotated[str, Field(description="Organisation that the command line speaks of.")] = "demo"

    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: str | None = None
    kafka_partitions: Annotated[int, Field(ge=1, le=1024, description="Of topics that do not exist yet.")] = 8
    kafka_replication_factor: Annotated[int, Field(ge=1, le=9, description="Of topics that do not exist yet.")] = 1
    kafka_session_timeout_seconds: Annotated[float, Field(ge=1, le=1800)] = 30.0

    kafka_fetch_pause_seconds: Annotated[
        float, Field(ge=0, le=5, description="For brokers that do not keep an empty fetch waiting; 0 with Kafka.")
    ] = 0.0

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    redis_cluster: Annotated[bool, Field(description="Whether the address is of any node of a Redis Cluster.")] = False

    metrics_port: Annotated[int, Field(ge=0, le=65535, description="Of /metrics, /live and /ready.")] = 9464
    metrics_host: str = "127.0.0.1"

    batch_records_max: Annotated[int, Field(ge=1, le=100_000, description="Messages in one turn.")] = 5_000
    sweep_records_max: Annotated[int, Field(ge=1, le=100_000, description="Records in one slice of a sweep.")] = 25
    access_changes: Annotated[
        bool, Field(description="Whether the access indexer says on territory.access-changes.v1 what changes.")
    ] = True
    day_check_seconds: Annotated[
        float, Field(gt=0, le=3600, description="How often to see whether a day has passed, for relative dates.")
    ] = 60.0
    partials_interval_seconds: Annotated[
        float, Field(ge=0, le=60, description="Least time between two turns of the forecast's steps.")
    ] = 0.5
    verify_records_per_second: Annotated[
        float,
        Field(
            ge=0,
            le=100_000,
            description="Records that the indexer compares with Redis, deals that the aggregator looks at; 0: none.",
        ),
    ] = 50.0
    assigner_engine: Annotated[
        Literal["index", "plain", "durable"], Field(description="What the assigner evaluates rules with.")
    ] = "index"
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
    """Yield what settings, each of which can be used, do not go together with."""
    if settings.kafka_security_protocol.startswith("SASL"):
        for name in ("kafka_sasl_username", "kafka_sasl_password"):
            if getattr(settings, name) is None:
                yield f"{PREFIX}{name.upper()} is missing; {settings.kafka_security_protocol} needs it"
    cafile = settings.kafka_ssl_cafile
    if cafile is not None and not Path(cafile).is_file():
        yield f"{PREFIX}KAFKA_SSL_CAFILE: there is no file {cafile}; name one with the authority's certificate in PEM"


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, Settings.model_fields, n=1)
    hint = f"did you mean {PREFIX}{near[0].upper()}?" if near else "see the README's table of settings"
    return f"unknown setting {PREFIX}{name.upper()}; {hint}"


def _fault(error: Any) -> str:
    # Without the value that was found: it may be a secret.
    return f"{PREFIX}{str(error['loc'][0]).upper()}: {error['msg']}"
