"""Few examples in the quick suite, many where slow tests run too (`make test-all`)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

_RELAXED = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("quick", max_examples=25, derandomize=True, **_RELAXED)
settings.register_profile("thorough", max_examples=1500, **_RELAXED)


def pytest_configure(config: pytest.Config) -> None:
    quick = "not slow" in (config.option.markexpr or "")
    settings.load_profile("quick" if quick else "thorough")
