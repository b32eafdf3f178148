"""A service with a bug, to be run as a process: its fold breaks at every message of crm.records.v1."""

from __future__ import annotations

from collections.abc import Iterator

from territory.model.compiled import Model
from territory.stage import Effects, InputMessage, Models, WithoutFanOut
from territory.wire.codec import decode
from territory.wire.topics import RECORDS
from territory_runtime.app import ServiceApp, main
from territory_runtime.kafka.topic_admin import Provisioned
from territory_runtime.loop.stage import Stage
from territory_runtime.settings import Settings

GROUP = "broken"


class Broken(WithoutFanOut):
    """A fold that holds nothing and does nothing right."""

    def __len__(self) -> int:
        return 0

    def restore(self, message: InputMessage) -> None:
        """Keep nothing."""

    def restored(self, models: Models, unknown: frozenset[str]) -> None:
        """Know nothing."""

    def apply(self, message: InputMessage, models: Models, effects: Effects) -> None:
        """Break."""
        raise ZeroDivisionError("a bug")

    def flush(self, models: Models, effects: Effects) -> None:
        """Say nothing."""

    def sweep(self, model: Model, limit: int) -> Iterator[Effects]:
        """Have nothing to sweep."""
        return iter(())


def build(settings: Settings, provisioned: Provisioned) -> ServiceApp:
    """Return the service, ready to run."""
    host = ServiceApp(GROUP, settings, provisioned)
    host.add_stage(
        Stage(name=GROUP, inputs={RECORDS: decode}, state=(RECORDS, decode), make=lambda *_: Broken())
    )  # fmt: skip
    return host


if __name__ == "__main__":
    main(GROUP, build, with_redis=False)
