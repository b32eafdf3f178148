"""Copies territory.attainments.v1 to DuckDB until interrupted, or once up to its end.

python -m attainments_to_duckdb attainments.duckdb --kafka 127.0.0.1:9092 --once
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress
from pathlib import Path

from attainments_to_duckdb.attainments import Attainments
from attainments_to_duckdb.tail import tail


def main() -> None:
    """Parse the command line and consume the topic."""
    parser = argparse.ArgumentParser("python -m attainments_to_duckdb", description=__doc__.splitlines()[0])
    parser.add_argument("database", type=Path, help="a DuckDB file; created if missing")
    parser.add_argument("--kafka", default="127.0.0.1:9092", help="bootstrap servers")
    parser.add_argument("--once", action="store_true", help="stop at the current end of the topic")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt), Attainments(given.database) as attainments:
        asyncio.run(tail(attainments, given.kafka, once=given.once))


if __name__ == "__main__":
    main()
