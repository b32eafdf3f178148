"""Messages of one partition that were fetched and are not processed yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from territory_runtime.loop.ports import ConsumedMessage


class InputQueue:
    """One partition's fetched messages, by input topic; topics take turns.

    A batch may end before the queue is empty. The next one takes the rest, and the topic is not polled until then.
    """

    def __init__(self, offsets: Mapping[str, int]) -> None:
        """Begin to process each input topic at an offset."""
        self._queues: dict[str, deque[ConsumedMessage]] = {topic: deque() for topic in offsets}
        self._fetched_to = dict(offsets)

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    @property
    def topics(self) -> list[str]:
        """The input topics, the first of the stage first."""
        return list(self._fetched_to)

    def is_empty(self, topic: str) -> bool:
        """Whether a topic has to be polled before anything more of it can be processed."""
        return not self._queues[topic]

    def add(self, topic: str, messages: Sequence[ConsumedMessage], position: int) -> None:
        """Append what a poll brought; `position` is the next offset to fetch."""
        self._queues[topic].extend(messages)
        self._fetched_to[topic] = position

    def pop(self) -> ConsumedMessage | None:
        """Return the next message to process; None: there is none."""
        for topic, queue in self._queues.items():
            if queue:
                if len(self._queues) > 1:
                    self._queues[topic] = self._queues.pop(topic)  # at the end: another topic is next
                return queue.popleft()
        return None

    def next_offset(self, topic: str) -> int:
        """Return the offset of the next message to process, past transaction markers where that is known."""
        queue = self._queues[topic]
        return queue[0].offset if queue else self._fetched_to[topic]

    def rewind(self) -> dict[str, int]:
        """Drop what is not processed; return by topic the offset to fetch from."""
        for topic, queue in self._queues.items():
            self._fetched_to[topic] = self.next_offset(topic)
            queue.clear()
        return dict(self._fetched_to)
