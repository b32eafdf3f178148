"""Liveness and readiness of a process, from what its parts report."""

from __future__ import annotations

import time
from collections.abc import Callable

PROGRESS_SECONDS_MAX = 120.0
"""How long a part may take for one iteration before /live fails."""


class Health:
    """What the parts of a process report; each part has a name of its own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beats: dict[str, float] = {}
        self._hindrances: dict[str, dict[str, str]] = {}

    def beat(self, part: str) -> None:
        """Record that a part finished an iteration, whether or not there was work."""
        self._beats[part] = self._clock()

    def hinder(self, part: str, why: str, cause: str = "") -> None:
        """Record why a part is not ready; one reason per cause."""
        self._hindrances.setdefault(part, {})[cause] = why

    def clear(self, part: str, cause: str | None = None) -> None:
        """Remove a part's reason of one cause; None: all of its reasons."""
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
        """Whether some part has run and none reports a reason."""
        return bool(self._beats) and not self._hindrances

    def stuck(self) -> list[str]:
        """Return the parts whose last iteration ended more than PROGRESS_SECONDS_MAX ago."""
        now = self._clock()
        return sorted(part for part, beat in self._beats.items() if now - beat > PROGRESS_SECONDS_MAX)
