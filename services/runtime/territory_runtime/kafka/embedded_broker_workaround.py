"""Patience for a broker that has none: the embedded one answers an empty fetch at once.

Kafka keeps an empty fetch waiting until there is something, so clients ask again as soon as
they are answered. Asked like that, noida-db 0.2.3 answers 1 300 times a second and every
idle consumer uses half a core. Neither aiokafka nor Faust, which hosts aiokafka's consumer
too, has an option for it. So `territory up` sets TERRITORY_KAFKA_FETCH_PAUSE_SECONDS, and the one
place where aiokafka asks waits that long after an empty answer. With Kafka it stays 0 and
nothing is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiokafka.consumer.fetcher import Fetcher


def pause_after_empty_fetches(seconds: float) -> None:
    """Make every consumer of this process wait after an empty answer; 0 leaves them as they are."""
    if not seconds:
        return
    ask = Fetcher._proc_fetch_request  # noqa: SLF001 -- no public place, see above

    async def ask_patiently(self: Any, assignment: Any, node_id: Any, request: Any) -> bool:
        found: bool = await ask(self, assignment, node_id, request)
        if not found:
            with contextlib.suppress(asyncio.CancelledError):  # as aiokafka does around the fetch: it is closing
                await asyncio.sleep(seconds)
        return found

    Fetcher._proc_fetch_request = ask_patiently  # noqa: SLF001 -- as above
