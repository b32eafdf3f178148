"""Faults of redis-py, and what the client makes of them."""

from __future__ import annotations

import pytest
from redis import exceptions

from territory_client import IndexRefused, IndexUnavailable
from territory_client.errors import FAULTS, unknown


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (exceptions.ConnectionError, IndexUnavailable),
        (exceptions.TimeoutError, IndexUnavailable),
        (exceptions.BusyLoadingError, IndexUnavailable),
        (exceptions.ClusterDownError, IndexUnavailable),
        (exceptions.RedisClusterException, IndexUnavailable),
        (exceptions.AuthenticationError, IndexRefused),
        (exceptions.AuthorizationError, IndexRefused),
        (exceptions.NoPermissionError, IndexRefused),
        (exceptions.ResponseError, IndexRefused),
    ],
)
def test_each_is_told_for_what_it_is(fault: type[Exception], expected: type[Exception]) -> None:
    """Whether trying again may help; and each is one of those that the clients catch."""
    assert type(unknown(fault("so it is"))) is expected
    assert issubclass(fault, FAULTS)
