"""What all tests share: reproducible hypothesis runs and random numbers."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("sciad", deadline=None, derandomize=True, max_examples=40,
                          suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sciad")


@pytest.fixture
def rng():
    return np.random.default_rng(7)
