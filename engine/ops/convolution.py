"""Three algorithms for the same convolutions, and the choice between them; engine.ops.chain says what they compute."""

from __future__ import annotations

from functools import lru_cache

from engine.codegen.winograd import WINDOW
from engine.ops import cost
from engine.ops.chain import ConvAlgorithm
from engine.ops.cost import STEP, Factors
from engine.ops.fft_convolution import FFTConvolution
from engine.ops.fused_linear import Window
from engine.ops.patches import Patches
from engine.ops.transformed import FFT, Winograd
from engine.ops.winograd import can_group
from engine.typing import Shape

ALGORITHMS = ("auto", "patches", "fft", "winograd")


@lru_cache(maxsize=1024)
def choose(
    window: Window, groups: int, images: Shape, outputs: int, algorithm: str = "auto", factors: Factors = STEP
) -> ConvAlgorithm:
    """The algorithm named, where it can be used, or else the cheapest: of images (N, H, W, C) to D outputs."""
    costs = candidates(window, groups, images, outputs, factors)
    for candidate in costs:
        if candidate.name == algorithm:
            return candidate
    return min(costs, key=costs.__getitem__)


def candidates(
    window: Window, groups: int, images: Shape, outputs: int, factors: Factors = STEP
) -> dict[ConvAlgorithm, float]:
    """What each algorithm that can be used costs; see engine.ops.cost."""
    _, H, W, C = images
    costs: dict[ConvAlgorithm, float] = {
        Patches(window, groups): cost.patches(factors, window, groups, images, outputs)
    }
    if window.stride == 1 and can_group(groups, C, outputs):
        plan = _plan(H, W, window.kernel, window.padding)
        costs[FFT(plan, groups)] = cost.fft(factors, plan, groups, images, outputs)
    if window.stride == 1 and window.kernel == WINDOW and can_group(groups, C, outputs):
        costs[Winograd(window.padding, groups)] = cost.winograd(factors, window.padding, groups, images, outputs)
    return costs


@lru_cache(maxsize=64)
def _plan(height: int, width: int, kernel: int, padding: int) -> FFTConvolution:
    return FFTConvolution(height, width, kernel, padding)
