"""Exceptions for questions that could not be answered. "Unknown" is never returned as `False`."""

from __future__ import annotations

from typing import Final

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    RedisClusterException,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError


class AccessUnknown(Exception):
    """Raised when access could not be determined; show nothing then. Its `__cause__` is redis-py's exception."""


class IndexUnavailable(AccessUnknown):
    """Raised when Redis is unreachable, too slow or loading; a retry may help."""


class IndexRefused(AccessUnknown):
    """Raised when Redis refuses to answer: a wrong password, a key without read permission, an unknown command."""


class IndexBehind(AccessUnknown):
    """Raised when the index has an older version than requested (V8), or none (`found` is None)."""

    def __init__(self, key: str, at_least: int, found: int | None) -> None:
        super().__init__(f"{key} is at version {found}, asked for {at_least} or later; ask again")
        self.at_least = at_least
        self.found = found


FAULTS: Final = (RedisError, RedisClusterException)
"""Base classes of redis-py's exceptions."""
_REFUSED = (AuthenticationError, AuthorizationError)
_UNAVAILABLE = (RedisConnectionError, RedisTimeoutError, ClusterDownError, TryAgainError, RedisClusterException)


def unknown(fault: Exception) -> AccessUnknown:
    """Translate an exception of redis-py."""
    if isinstance(fault, _UNAVAILABLE) and not isinstance(fault, _REFUSED):
        return IndexUnavailable(f"Redis could not be asked: {fault}")
    return IndexRefused(f"Redis refused the question: {fault}")
