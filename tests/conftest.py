"""How much properties are tried: HYPOTHESIS_PROFILE=thorough tries ten times as much."""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = 100

os.environ.pop("COLUMNS", None)  # the processes that share the tests among them have one: lines would be folded
SLOW_IS_FINE = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)

settings.register_profile("default", max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, database=None, print_blob=True)
settings.register_profile("quick", settings.get_profile("default"), max_examples=EXAMPLES // 10)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=10 * EXAMPLES)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))
