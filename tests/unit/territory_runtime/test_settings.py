"""Settings: read once, unknown names refused, secrets never printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from territory_runtime.settings import Settings, SettingsRefused, read_settings


def test_defaults_are_those_of_the_contract() -> None:
    """An empty environment gives the contract's defaults."""
    settings = read_settings({})
    assert settings.org_id == "demo"
    assert settings.kafka_bootstrap_servers == "127.0.0.1:9092"
    assert settings.redis_url.get_secret_value() == "redis://127.0.0.1:6379/0"
    assert settings.redis_cluster is False


def test_environment_counts() -> None:
    """A variable with the prefix sets the setting of its name; others are not ours."""
    settings = read_settings({"TERRITORY_ORG_ID": "acme", "TERRITORY_METRICS_PORT": "0", "PATH": "/bin"})
    assert (settings.org_id, settings.metrics_port) == ("acme", 0)


def test_unknown_name_is_refused_with_the_one_it_may_have_meant() -> None:
    """An unknown TERRITORY_ name is refused, and the message says what may have been meant."""
    with pytest.raises(SettingsRefused, match=r"TERRITORY_REDIS_ULR; did you mean TERRITORY_REDIS_URL\?"):
        read_settings({"TERRITORY_REDIS_ULR": "redis://x"})


def test_every_fault_is_told_at_once_without_values() -> None:
    """All faults are named together; the values stay unsaid, one may be a secret."""
    given = {"TERRITORY_METRICS_PORT": "hunter2", "TERRITORY_KAFKA_PARTITIONS": "0", "TERRITORY_NO_SUCH": "hunter2"}
    with pytest.raises(SettingsRefused) as refused:
        read_settings(given)
    said = str(refused.value)
    for name in given:
        assert name in said
    assert "hunter2" not in said


def test_what_does_not_go_together_is_refused() -> None:
    """A protocol with credentials needs both; a file of authorities must be there."""
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
