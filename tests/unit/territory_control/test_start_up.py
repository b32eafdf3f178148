"""The command line starts fast because a command imports only what it needs (P18)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

LIST_MODULES = """
import json, sys
from territory_control.__main__ import main
try:
    main(sys.argv[1:])
except SystemExit:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
WORKERS = {"faust", "mode", "prometheus_client", "structlog", "aiohttp", "territory_runtime.loop.task_loop"}
"""What only a service, or a command that writes, needs."""
RARELY_NEEDED = {"kafka", "matplotlib", "duckdb", "numpy", "durable", "pydantic_settings", "rich.progress", "rich.live"}
LIBRARIES = {"aiokafka", "redis", "pydantic", "msgspec", "yaml", "rich", "asyncio"}


def modules_of(*arguments: str, **settings: str) -> set[str]:
    """Return the modules that a fresh process has imported when the command ends."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TERRITORY_")}
    done = subprocess.run(
        (sys.executable, "-c", LIST_MODULES, *arguments),
        capture_output=True,
        check=True,
        env=environment | settings,
        text=True,
    )
    modules: list[str] = json.loads(done.stderr.splitlines()[-1])
    return set(modules)


@pytest.mark.parametrize("arguments", [("--help",), ()])
def test_the_list_of_commands_imports_no_library(arguments: tuple[str, ...]) -> None:
    """The help needs the table of commands alone (P18)."""
    assert modules_of(*arguments) & (WORKERS | RARELY_NEEDED | LIBRARIES | {"territory_admin", "territory"}) == set()


def test_show_imports_neither_a_service_nor_what_it_does_not_use() -> None:
    """`show` reads Redis and Kafka; it hosts no service, creates no topic, and draws no progress bar (P18)."""
    with socket.socket() as unused:  # bound, and nobody listens
        unused.bind(("127.0.0.1", 0))
        redis_url = f"redis://127.0.0.1:{unused.getsockname()[1]}/0"
        modules = modules_of("show", "account/A-1", TERRITORY_REDIS_URL=redis_url)
    assert {"aiokafka", "redis", "territory_admin.queries.show"} <= modules
    assert modules & (WORKERS | RARELY_NEEDED) == set()
