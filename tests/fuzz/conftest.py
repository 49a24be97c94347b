"""How hard to try: few examples, always the same, unless HYPOTHESIS_PROFILE says ``long``."""

from __future__ import annotations

import os
from datetime import timedelta

from hypothesis import HealthCheck, settings

ANY = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large)
settings.register_profile(
    "short",
    derandomize=True,
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=ANY,
)
settings.register_profile(
    "long", max_examples=5000, deadline=timedelta(seconds=20), suppress_health_check=ANY
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))
