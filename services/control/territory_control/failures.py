"""Expected failures of a command: the exit code and the sentence for each class of exception.

Classes are named, not imported. A library that a command did not import can't have raised
anything, and importing all of them costs two seconds.
"""

from __future__ import annotations

import sys

EXIT_REFUSED = 1
EXIT_WRONG_USAGE = 2
EXIT_INTERRUPTED = 130

_KAFKA = (
    "Kafka at TERRITORY_KAFKA_BOOTSTRAP_SERVERS failed: {failure}; "
    "check that the broker is running and that the address and credentials are right"
)
_REDIS = (
    "Redis at TERRITORY_REDIS_URL failed: {failure}; "
    "check that it is running, that the address and password are right, and that TERRITORY_REDIS_CLUSTER says "
    "whether it is a cluster"
)

FAILURES: dict[tuple[str, str], tuple[int, str]] = {
    ("territory_runtime.settings", "SettingsRefused"): (EXIT_WRONG_USAGE, "{text}"),
    ("territory_admin.errors", "CommandFailed"): (EXIT_REFUSED, "{text}"),
    ("territory.errors", "ModelRefused"): (EXIT_REFUSED, "{text}"),
    ("territory.errors", "BadMessage"): (EXIT_REFUSED, "{text}"),
    ("territory_runtime.kafka.topic_admin", "TopicsUnfit"): (EXIT_REFUSED, "{text}"),
    ("aiokafka.errors", "KafkaError"): (EXIT_REFUSED, _KAFKA),
    ("kafka.errors", "KafkaError"): (EXIT_REFUSED, _KAFKA),
    ("redis.exceptions", "RedisError"): (EXIT_REFUSED, _REDIS),
    ("redis.exceptions", "RedisClusterException"): (EXIT_REFUSED, _REDIS),
    ("builtins", "KeyboardInterrupt"): (EXIT_INTERRUPTED, "interrupted"),
}
"""By module and class. Any other exception is a defect and keeps its traceback."""


def loaded_failures() -> tuple[type[BaseException], ...]:
    """Return the classes of expected failures whose modules were imported."""
    return tuple(_loaded())


def exit_code_of(failure: BaseException) -> int:
    """Return the exit code of an expected failure."""
    return _outcome_of(failure)[0]


def sentence_of(failure: BaseException) -> str:
    """Return what a person reads about an expected failure."""
    return _outcome_of(failure)[1].format(text=failure, failure=_with_class_name(failure))


def _loaded() -> dict[type[BaseException], tuple[int, str]]:
    return {
        getattr(sys.modules[module], name): outcome
        for (module, name), outcome in FAILURES.items()
        if module in sys.modules
    }


def _outcome_of(failure: BaseException) -> tuple[int, str]:
    return next(outcome for kind, outcome in _loaded().items() if isinstance(failure, kind))


def _with_class_name(failure: BaseException) -> str:
    """Return a library's error text with its class name, which some texts contain already."""
    name = type(failure).__name__
    return str(failure) if name in str(failure) else f"{name}: {failure}"
