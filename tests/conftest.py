"""What all tests share: how much properties are tried, plain log lines, and the end of the houses in memory.

HYPOTHESIS_PROFILE=thorough tries ten times as much.
"""

import gc
import os
import sys
import traceback
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

EXAMPLES = 100

os.environ.pop("COLUMNS", None)  # the processes that share the tests among them have one: lines would be folded
# Without compiled modules a service takes three times the processor time to start, and tests start hundreds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
SLOW_IS_FINE = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)

settings.register_profile("default", max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, database=None, print_blob=True)
settings.register_profile("quick", settings.get_profile("default"), max_examples=EXAMPLES // 10)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=10 * EXAMPLES)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))


def plain_line(logger: object, method: str, event: structlog.typing.EventDict) -> str:
    """Render a log line. Those of structlog itself, in colours, took a tenth of the time of the tests in memory."""
    exception = event.pop("exc_info", None)
    if exception:
        event["exception"] = "".join(traceback.format_exception(sys.exc_info()[1]))
    return f"[{method}] {event}"


structlog.configure(processors=[plain_line])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Collect no garbage while a failure is reported: pytest parses the source of each function on the way to it.

    If a finalizer that runs amid that formats a traceback, it parses as well, and CPython 3.11 mixes the two up
    (`AST constructor recursion depth mismatch`): pytest would end the run instead of reporting the failure.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return (yield)
    finally:
        if was_enabled:
            gc.enable()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the workers of the houses in memory, if a test of this process has any."""
    memory = sys.modules.get("tests.support.memory")
    if memory is not None:
        memory.close_houses()
