"""What a service writes to stderr, as a process of its own: logging is configured once for all of it."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging, structlog
from territory_runtime.logs import configure_logs
configure_logs()
structlog.get_logger("territory").info("recovered", part="topics")
logging.getLogger("aiokafka").error("Unable connect to %s", "127.0.0.1:1")
logging.getLogger("aiokafka").error("a fault of another kind")
logging.getLogger("aiokafka.consumer.group_coordinator").error("Group Coordinator Request failed: %s", "away")
logging.getLogger("kafka.conn").error("connection refused")
logging.getLogger("mode.timers").warning("a timer is late")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("territory").exception("stage stopped")
"""


def test_lines_are_json_and_an_outage_is_not_repeated() -> None:
    """Our own lines and the libraries' faults are there, once; what they repeat while a broker is away is not."""
    done = subprocess.run((sys.executable, "-c", PROGRAM), capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["recovered", "a fault of another kind", "stage stopped"]
    assert (lines[0]["level"], lines[0]["logger"], lines[0]["part"]) == ("info", "territory", "topics")
    assert "ZeroDivisionError" in lines[-1]["exception"]
    assert done.stdout == ""
