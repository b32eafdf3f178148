"""Whether a process makes progress and whether it may be relied upon, for /live and /ready."""

from __future__ import annotations

import time
from collections.abc import Callable

PROGRESS_SECONDS_MAX = 120.0


class Health:
    """What the parts of a process say of themselves."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beats: dict[str, float] = {}
        self._hindrances: dict[str, dict[str, str]] = {}

    def beat(self, part: str) -> None:
        """Note that a part went round once, whether or not there was something to do."""
        self._beats[part] = self._clock()

    def hinder(self, part: str, why: str, cause: str = "") -> None:
        """Note what keeps a part from its work; one thing a cause."""
        self._hindrances.setdefault(part, {})[cause] = why

    def clear(self, part: str, cause: str | None = None) -> None:
        """Note that a cause keeps a part from its work no more; None: nothing does."""
        left = {} if cause is None else self._hindrances.get(part, {})
        left.pop(cause or "", None)
        if not left:
            self._hindrances.pop(part, None)

    @property
    def hindrances(self) -> dict[str, str]:
        """By part, why it is not ready."""
        return {part: "; ".join(causes.values()) for part, causes in self._hindrances.items()}

    @property
    def ready(self) -> bool:
        """Whether every part has started and nothing hinders any."""
        return bool(self._beats) and not self._hindrances

    def stuck(self) -> list[str]:
        """Return the parts that have not gone round for two minutes."""
        now = self._clock()
        return sorted(part for part, beat in self._beats.items() if now - beat > PROGRESS_SECONDS_MAX)
