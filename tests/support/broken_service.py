"""A service with a bug, to be run as a process: its fold breaks at every message of crm.records.v1."""

from __future__ import annotations

from collections.abc import Iterator

from territory.codec import decode
from territory.fold import Effects, Incoming, Models
from territory.model import Model
from territory.topics import RECORDS
from territory_runtime.host import Host, main
from territory_runtime.provision import Provisioned
from territory_runtime.settings import Settings
from territory_runtime.stage import Stage

GROUP = "broken"


class Broken:
    """A fold that holds nothing and does nothing right."""

    def __len__(self) -> int:
        return 0

    def restore(self, message: Incoming) -> None:
        """Keep nothing."""

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Know nothing."""

    def apply(self, message: Incoming, models: Models, effects: Effects) -> None:
        """Break."""
        raise ZeroDivisionError("a bug")

    def flush(self, models: Models, effects: Effects) -> None:
        """Say nothing."""

    def sweep(self, model: Model, limit: int) -> Iterator[Effects]:
        """Have nothing to sweep."""
        return iter(())


def build(settings: Settings, provisioned: Provisioned) -> Host:
    """Return the service, ready to run."""
    host = Host(GROUP, settings, provisioned)
    host.add_stage(
        Stage(name=GROUP, inputs={RECORDS: decode}, state=(RECORDS, decode), make=lambda *_: Broken())
    )  # fmt: skip
    return host


if __name__ == "__main__":
    main(GROUP, build, with_redis=False)
