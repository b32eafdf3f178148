"""Entry point of the forecast aggregator."""

from __future__ import annotations

from forecast_aggregator.app import build
from territory_runtime.app import main as run


def main() -> None:
    """Run the service until SIGTERM or SIGINT."""
    run("forecast-aggregator", build, with_redis=True)


if __name__ == "__main__":
    main()
