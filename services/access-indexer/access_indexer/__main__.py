"""Runs the access indexer."""

from __future__ import annotations

from access_indexer.app import build
from territory_runtime.app import main as run


def main() -> None:
    """Run until a signal ends it."""
    run("access-indexer", build, with_redis=True)


if __name__ == "__main__":
    main()
