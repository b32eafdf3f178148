from __future__ import annotations

from importlib import import_module

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from territory_admin.errors import NotFound
from territory_control.failures import FAILURES, exit_code_of, loaded_failures, sentence_of


@pytest.mark.parametrize(("module", "name"), FAILURES)
def test_every_expected_failure_exists(module: str, name: str) -> None:
    """The table names classes as text; each is an exception of that module."""
    assert issubclass(getattr(import_module(module), name), BaseException)


def test_a_failure_has_its_exit_code_and_sentence() -> None:
    """Our own errors are printed as they are; a library's error gets its class name and what to check."""
    missing = NotFound("account/A is not known")
    assert isinstance(missing, loaded_failures())
    assert (exit_code_of(missing), sentence_of(missing)) == (1, "account/A is not known")
    away = RedisConnectionError("refused")
    assert exit_code_of(away) == 1
    assert sentence_of(away).startswith("Redis at TERRITORY_REDIS_URL failed: ConnectionError: refused; check that")
    assert (exit_code_of(KeyboardInterrupt()), sentence_of(KeyboardInterrupt())) == (130, "interrupted")


def test_a_defect_is_no_expected_failure() -> None:
    """An exception that nobody expected keeps its traceback."""
    assert not isinstance(ValueError("a defect"), loaded_failures())
