"""How exceptions of redis-py are translated."""

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
def test_each_exception_is_translated(fault: type[Exception], expected: type[Exception]) -> None:
    """Retryable ones become IndexUnavailable, others IndexRefused; the clients catch all of them."""
    assert type(unknown(fault("the reason"))) is expected
    assert issubclass(fault, FAULTS)
