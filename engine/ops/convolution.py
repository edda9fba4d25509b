"""Three algorithms for the same convolutions, and the choice between them; engine.ops.chain says what they compute."""

from __future__ import annotations

import math
from functools import lru_cache

from engine.codegen.winograd import WINDOW
from engine.ops.chain import ConvAlgorithm
from engine.ops.fft_convolution import FFTConvolution
from engine.ops.fused_linear import Window
from engine.ops.patches import Patches
from engine.ops.transformed import FFT, Winograd

ALGORITHMS = ("auto", "patches", "fft", "winograd")

# Multiply-adds of a product that take as long as a point's share of an FFT pass; measured with transforms that went through
# memory. They stay in registers now and are cheaper, so the choice leans towards patches.
TRANSFORM_COST = 35


def choose(
    window: Window, groups: int, image: tuple[int, ...], output: tuple[int, ...], algorithm: str = "auto"
) -> ConvAlgorithm:
    """The algorithm named, or the cheaper one for images (H, W, C) and outputs (Ho, Wo, D), in multiply-adds a sample.

    patches: k^2 Ho Wo C D / G;  fft: 3 F C D for the products and 35 L^2 log2(L) (C + D) for the transforms.
    """
    (H, W, C), (Ho, Wo, D) = image, output
    if window.stride != 1 or groups != 1 or algorithm == "patches":
        return Patches(window, groups)
    if algorithm == "winograd":
        return Winograd(window.padding) if window.kernel == WINDOW else Patches(window, groups)
    plan = _plan(H, W, window.kernel, window.padding)
    L = plan.size
    fft_cost = plan.products(2, C, D) / 2 + TRANSFORM_COST * L**2 * math.log2(L) * (C + D)
    if algorithm == "fft" or fft_cost < window.kernel**2 * Ho * Wo * C * D:
        return FFT(plan)
    return Patches(window, groups)


@lru_cache(maxsize=64)
def _plan(height: int, width: int, kernel: int, padding: int) -> FFTConvolution:
    return FFTConvolution(height, width, kernel, padding)
