"""Logging: JSON lines on stderr, the libraries' included, without what they repeat during an outage."""

from __future__ import annotations

import logging
import sys

import structlog

OUTAGE_LINES = ("Unable connect to ", "Unable to update metadata from ", "Group Coordinator Request failed: ")
"""How lines begin that each aiokafka client logs ten times a second while a broker is away."""


def configure_logs() -> None:
    """Send all logs to stderr as JSON lines.

    An outage is one line `waiting` and one `recovered` of each part (retry.py), so the libraries'
    own lines about it are dropped.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    # Our own lines go to the logger "territory". mode names a logger for each of our modules that has a Service.
    for library in ("aiokafka", "faust", "mode", "aiohttp", "asyncio", "territory_runtime"):
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.getLogger("mode.timers").setLevel(logging.ERROR)  # it warns of every timer that is late
    for repeating in ("kafka", "aiokafka.conn", "aiokafka.consumer.fetcher", "aiokafka.cluster"):
        logging.getLogger(repeating).setLevel(logging.CRITICAL)
    for name in ("aiokafka", "aiokafka.consumer.group_coordinator"):  # these log other faults as well
        logging.getLogger(name).addFilter(_is_not_of_an_outage)


def _is_not_of_an_outage(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(OUTAGE_LINES)
