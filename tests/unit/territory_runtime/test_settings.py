"""Settings: read once, unknown names refused, secrets never printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from territory_runtime.settings import Settings, SettingsRefused, read_settings


def test_defaults_are_those_of_the_contract() -> None:
    """An empty environment gives the documented defaults."""
    settings = read_settings({})
    assert settings.org_id == "demo"
    assert settings.kafka_bootstrap_servers == "127.0.0.1:9092"
    assert settings.redis_url.get_secret_value() == "redis://127.0.0.1:6379/0"
    assert settings.redis_cluster is False


def test_variables_with_the_prefix_are_settings() -> None:
    """Each sets the setting of its name; variables without the prefix are ignored."""
    settings = read_settings({"TERRITORY_ORG_ID": "acme", "TERRITORY_METRICS_PORT": "0", "PATH": "/bin"})
    assert (settings.org_id, settings.metrics_port) == ("acme", 0)


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    """A misspelt setting must not be ignored: the message names the one that was probably meant."""
    with pytest.raises(SettingsRefused, match=r"TERRITORY_REDIS_ULR; did you mean TERRITORY_REDIS_URL\?"):
        read_settings({"TERRITORY_REDIS_ULR": "redis://x"})


def test_all_faults_are_named_at_once_without_values() -> None:
    """One restart is enough to correct them; values are left out, since one may be a secret."""
    given = {"TERRITORY_METRICS_PORT": "hunter2", "TERRITORY_KAFKA_PARTITIONS": "0", "TERRITORY_NO_SUCH": "hunter2"}
    with pytest.raises(SettingsRefused) as refused:
        read_settings(given)
    message = str(refused.value)
    for name in given:
        assert name in message
    assert "hunter2" not in message


def test_combinations_that_do_not_work_are_refused() -> None:
    """SASL needs a user name and a password; a file of authorities must exist."""
    given = {"TERRITORY_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "TERRITORY_KAFKA_SSL_CAFILE": "/no/such/file"}
    with pytest.raises(SettingsRefused) as refused:
        read_settings(given)
    for named in ("TERRITORY_KAFKA_SASL_USERNAME", "TERRITORY_KAFKA_SASL_PASSWORD", "/no/such/file"):
        assert named in str(refused.value)


def test_secrets_are_hidden_in_print() -> None:
    """Printing the settings shows neither the password nor the Redis address that holds one."""
    settings = read_settings(
        {"TERRITORY_REDIS_URL": "redis://:hunter2@h:1/0", "TERRITORY_KAFKA_SASL_PASSWORD": "hunter2"}
    )
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())


def test_settings_are_frozen() -> None:
    """Settings are read once and never change."""
    with pytest.raises(ValueError, match="frozen"):
        read_settings({}).org_id = "other"  # type: ignore[misc]  # that is the point


def test_names_and_defaults_of_batches_and_faults() -> None:
    """What operators may already have in a values file."""
    settings = read_settings({})
    assert (settings.batch_seconds_max, settings.batch_effects_max) == (0.1, 20_000)
    assert settings.on_processing_error == "dead_letter"
    assert settings.kafka_group_instance_id is None
    assert settings.point_queries is False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ON_PROCESSING_ERROR", "skip"),
        ("BATCH_SECONDS_MAX", "0"),
        ("BATCH_EFFECTS_MAX", "0"),
        ("KAFKA_GROUP_INSTANCE_ID", ""),
        ("KAFKA_GROUP_INSTANCE_ID", "a b"),
        ("ADVERTISED_ADDRESS", "http://host:80/"),
        ("ADVERTISED_ADDRESS", "host"),
    ],
)
def test_values_out_of_bounds_are_refused(name: str, value: str) -> None:
    """Before anything starts, by name."""
    with pytest.raises(SettingsRefused, match=f"TERRITORY_{name}"):
        read_settings({f"TERRITORY_{name}": value})


@pytest.mark.parametrize("address", ["worker-0.workers:9464", "10.0.0.7:80", "[fd00::1]:9464"])
def test_addresses_that_others_can_reach(address: str) -> None:
    """A name or an IP address, and a port."""
    assert read_settings({"TERRITORY_ADVERTISED_ADDRESS": address}).advertised_address == address


def default_shown(default: object) -> str:
    """Return a default as docs/configuration.md shows it, without the spaces between thousands."""
    match default:
        case SecretStr():
            return default.get_secret_value()
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case _:
            return str(default)


def test_every_setting_is_on_its_page() -> None:
    """docs/configuration.md has a table row for every setting, with its default."""
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| ([^|]+) \|", page, re.MULTILINE))
    for name, field in Settings.model_fields.items():
        assert name.upper() in documented, name
        if field.default is not None:
            assert documented[name.upper()].strip("` ").replace(" ", "") == default_shown(field.default), name


def test_deleted_records_are_kept_as_long_as_their_topic() -> None:
    """A retention below that of crm.records.v1 is refused with both numbers; one that is equal is taken (A4)."""
    with pytest.raises(SettingsRefused, match=r"TERRITORY_DELETED_RETENTION_DAYS: found 6, expected at least 7"):
        read_settings({"TERRITORY_DELETED_RETENTION_DAYS": "6"})
    with pytest.raises(SettingsRefused, match=r"TERRITORY_DELETED_RETENTION_DAYS: .*greater than or equal to 1"):
        read_settings({"TERRITORY_DELETED_RETENTION_DAYS": "0"})
    assert read_settings({"TERRITORY_DELETED_RETENTION_DAYS": "7"}).deleted_retention_days == 7
    assert read_settings({}).deleted_retention_days == 30
