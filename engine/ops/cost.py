"""What a training step costs by each algorithm of a convolution: the model by which `engine.ops.convolution.choose` chooses.

The unit is a multiply-add in a matrix product of engine.codegen.gemm. A step has three products: forward, of dW, of dx. Whatever
else is done to a number, memory included, is counted as so many multiply-adds:

    algorithm   products, and what is done to images                                          once a step, to weights
    patches     (3 D / G + WINDOW) k^2 C a window                                             PRODUCT_WEIGHT k^2 C D / G
    fft         9 F C D / G (3 real products for a complex one) + FFT L^2 log2(L) (C + D) an image  SPECTRUM F C D / G
    winograd    36 (3 C D / G + TILE (C + D)) a tile                                          TILE_WEIGHT 36 C D / G

The last column has the transform of the weights, its adjoint, and the memory that both go through; for patches, W^T. It decides
for few images, and for wide layers by FFT. The factors were measured on one thread of a Zen 5 core (see docs/speed.md); other
processors have memory in proportion to their arithmetic, and the choice is rarely close.
"""

import math

from engine.codegen.simd import LANES, LINE
from engine.ops.fft_convolution import FFTConvolution
from engine.ops.fused_linear import Window
from engine.ops.winograd import TILE_POINTS, tile_count
from engine.typing import Shape

WINDOW = 25  # to lay out a number of a window twice, and to add its gradient to the image's
PRODUCT_WEIGHT = 350
FFT = 35
SPECTRUM = 500
TILE = 110
TILE_WEIGHT = 180


def patches(window: Window, groups: int, images: Shape, outputs: int) -> float:
    """Of images (N, H, W, C)."""
    N, H, W, C = images
    k, stride, padding = window
    windows = N * math.prod((side + 2 * padding - k) // stride + 1 for side in (H, W))
    layout = WINDOW if k > 1 else 0  # a window of one pixel lies in the image
    return k**2 * C * (windows * (3 * outputs / groups + layout) + PRODUCT_WEIGHT * outputs / groups)


def fft(plan: FFTConvolution, groups: int, images: Shape, outputs: int) -> float:
    """Of images (N, H, W, C)."""
    N, _, _, C = images
    lines = sum(LINE * -(-channels // LINE) for channels in (C, outputs))  # that are transformed
    C, D = (-(-channels // LANES) * LANES for channels in (C, outputs))
    transforms = FFT * N * plan.size**2 * math.log2(plan.size) * lines
    return 3 * plan.products(N, C // groups, D) + transforms + SPECTRUM * plan.frequencies * C // groups * D


def winograd(padding: int, groups: int, images: Shape, outputs: int) -> float:
    """Of images (N, H, W, C), for windows of 3 x 3."""
    N, H, W, C = images
    tiles, weights = tile_count(N, H + 2 * padding - 2, W + 2 * padding - 2), C * outputs / groups
    return TILE_POINTS * (tiles * (3 * weights + TILE * (C + outputs)) + TILE_WEIGHT * weights)
