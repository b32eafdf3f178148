"""Runs the assigner."""

from __future__ import annotations

from assigner.app import build
from territory_runtime.app import main as run


def main() -> None:
    """Run until a signal ends it."""
    run("assigner", build, with_redis=False)


if __name__ == "__main__":
    main()
