"""A pause after each empty fetch, for the embedded broker alone.

Kafka answers an empty fetch only after `fetch.max.wait.ms`. noida-db 0.2.3 answers at once, so that
an idle consumer asks 1 300 times a second and takes half a core. aiokafka has no option for that.
`territory up` sets TERRITORY_KAFKA_FETCH_PAUSE_SECONDS; with Kafka it is 0 and nothing is patched.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from territory_runtime.kafka.aiokafka_internals import FetchRequest, wrap_fetches


def pause_after_empty_fetches(seconds: float) -> None:
    """Make every consumer of this process pause after an empty fetch; 0 changes nothing."""
    if not seconds:
        return

    def pausing(fetch: FetchRequest) -> FetchRequest:
        async def fetch_then_pause(self: Any, assignment: Any, node_id: Any, request: Any) -> bool:
            found = await fetch(self, assignment, node_id, request)
            if not found:
                with contextlib.suppress(asyncio.CancelledError):  # as aiokafka does around a fetch when it closes
                    await asyncio.sleep(seconds)
            return found

        return fetch_then_pause

    wrap_fetches(pausing)
