"""Entry point of the access indexer."""

from __future__ import annotations

from access_indexer.app import build
from territory_runtime.app import main as run


def main() -> None:
    """Run the service until a signal stops it."""
    run("access-indexer", build, with_redis=True)


if __name__ == "__main__":
    main()
