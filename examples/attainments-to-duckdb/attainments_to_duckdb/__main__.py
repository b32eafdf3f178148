"""Follows territory.attainments.v1 until interrupted, or once to its end.

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
    """Follow the topic."""
    parser = argparse.ArgumentParser("python -m attainments_to_duckdb", description=__doc__.splitlines()[0])
    parser.add_argument("database", type=Path, help="a DuckDB file; it is made if there is none")
    parser.add_argument("--kafka", default="127.0.0.1:9092", help="where the brokers are")
    parser.add_argument("--once", action="store_true", help="stop where the topic ends now")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt), Attainments(given.database) as attainments:
        asyncio.run(tail(attainments, given.kafka, once=given.once))


if __name__ == "__main__":
    main()
