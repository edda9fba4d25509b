"""The roofline stands on what was measured: a point a layer, at its operations a byte and a second."""

import numpy as np
import pytest

from benchmarks import roofline
from cldl.reporting.explain import Cost

COSTS = [
    Cost("conv1", "Conv2d", algorithm="patches", flops=8 * 10**9, bytes=10**8, forward=0.05, backward=0.05),
    Cost("block2.1", "Conv2d", algorithm="fft", flops=30 * 10**9, bytes=10**9, forward=0.1, backward=0.0),
]


def test_every_layer_is_a_point_at_its_intensity_and_rate():
    (axes,) = roofline.draw(COSTS, peak=1e11, copied=2e10).axes
    points = [tuple(np.asarray(dots.get_offsets())[0]) for dots in axes.collections]
    assert points == [pytest.approx((30, 300)), pytest.approx((80, 80))]


def test_the_roof_is_the_lower_of_bandwidth_and_peak():
    (axes,) = roofline.draw(COSTS, peak=1e11, copied=2e10).axes
    intensity, roof = axes.lines[0].get_data()
    assert roof == pytest.approx(np.minimum(100, 20 * np.asarray(intensity)))


def test_a_copy_moves_bytes(monkeypatch):
    monkeypatch.setattr(roofline, "COPIED", 2**20)
    assert 1e8 < roofline.bandwidth() < 1e13
