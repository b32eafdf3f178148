"""The client in an app that has installed only redis-py."""

from __future__ import annotations

import subprocess
import sys

ALLOWED = {"territory", "territory.wire", "territory.wire.keys", "territory_client"}
BLOCKED = ("faust", "mode", "aiokafka", "kafka", "pydantic", "pydantic_core", "msgspec", "yaml", "structlog")
PROGRAM = """
import sys
sys.modules.update(dict.fromkeys({blocked!r}))  # importing any of them fails
import territory_client
print(*(name for name in sys.modules if name.startswith(("territory", "assigner", "access_indexer"))))
"""


def test_it_needs_redis_py_alone() -> None:
    """Importing it needs neither Kafka, Faust nor pydantic, and loads only the key module of the language."""
    done = subprocess.run(
        (sys.executable, "-c", PROGRAM.format(blocked=BLOCKED)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {name for name in done.stdout.split() if not name.startswith("territory_client.")} == ALLOWED
