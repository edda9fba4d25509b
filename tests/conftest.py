"""Hypothesis profiles: HYPOTHESIS_PROFILE=dev (default), ci (the same examples every time), nightly (many) or mutation."""

import os
import signal

import pytest
from hypothesis import HealthCheck, Phase, settings

COMMON = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}  # kernels compile

settings.register_profile("dev", max_examples=8, **COMMON)
settings.register_profile("ci", max_examples=8, derandomize=True, **COMMON)
settings.register_profile("nightly", max_examples=200, print_blob=True, **COMMON)
settings.register_profile(  # a bug need not be shrunk to be noticed, and that is what takes long
    "mutation",
    max_examples=8,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    phases=(Phase.explicit, Phase.generate),
    **COMMON,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


@pytest.fixture
def signals_of_a_terminal():
    """Signals as a program in a terminal meets them: where tests run in the background or under nohup, some are ignored."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
    before = {kind: signal.signal(kind, handler) for kind, handler in usual.items()}
    yield
    for kind, handler in before.items():
        signal.signal(kind, handler)
