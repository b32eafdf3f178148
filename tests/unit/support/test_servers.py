"""What becomes of tests for want of a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.servers import Found, KafkaServer, RedisServer, needed, program

MISSING: Found[KafkaServer] = Found("no Apache Kafka: no jars", None)


def test_what_is_missing_is_a_reason_to_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said; also where other parts are required."""
    monkeypatch.setenv("TESTS_REQUIRE", "redis,embedded")
    with pytest.raises(pytest.skip.Exception, match="no Apache Kafka: no jars"):
        needed("kafka", MISSING)
    with pytest.raises(pytest.skip.Exception, match="no no-such-program on the path"):
        program("kafka", "no-such-program")


def test_what_is_required_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is to prove something does not pass by skipping it."""
    monkeypatch.setenv("TESTS_REQUIRE", "redis,kafka")
    with pytest.raises(pytest.fail.Exception, match="kafka is required here: no Apache Kafka: no jars"):
        needed("kafka", MISSING)
    with pytest.raises(pytest.fail.Exception, match="redis is required here: no no-such-program on the path"):
        program("redis", "no-such-program")


def test_what_is_there_is_given(tmp_path: Path) -> None:
    """Whether it is required or not."""
    assert program("redis", "sh").endswith("/sh")
    made: Found[RedisServer] = Found("Redis", RedisServer)
    assert isinstance(needed("redis", made)(tmp_path), RedisServer)
