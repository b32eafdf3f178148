"""Why a question could not be answered: never a yes, and no `False` that means "I don't know"."""

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
    """Raised when it can't be said who sees what; an app shows nothing then. Its cause is the fault of redis-py."""


class IndexUnavailable(AccessUnknown):
    """Raised when Redis can't be reached, does not answer in time or is loading; trying again may help."""


class IndexRefused(AccessUnknown):
    """Raised when Redis refuses to answer: wrong password, a key that this user may not read, no such command."""


class IndexBehind(AccessUnknown):
    """Raised when the index is older than was asked for (V8); `found` is the version that it has, None for none."""

    def __init__(self, key: str, at_least: int, found: int | None) -> None:
        super().__init__(f"{key} is at version {found}, asked for {at_least} or later; ask again")
        self.at_least = at_least
        self.found = found


FAULTS: Final = (RedisError, RedisClusterException)
"""All that redis-py raises."""
_REFUSED = (AuthenticationError, AuthorizationError)
_UNAVAILABLE = (RedisConnectionError, RedisTimeoutError, ClusterDownError, TryAgainError, RedisClusterException)


def unknown(fault: Exception) -> AccessUnknown:
    """Return what to raise for a fault of redis-py."""
    if isinstance(fault, _UNAVAILABLE) and not isinstance(fault, _REFUSED):
        return IndexUnavailable(f"Redis could not be asked: {fault}")
    return IndexRefused(f"Redis refused the question: {fault}")
