"""What a pass costs by each algorithm of a convolution: the model by which `engine.ops.convolution.choose` chooses.

The unit is a multiply-add in a matrix product of engine.codegen.gemm. A training step has three products: forward, of dW, of
dx; in inference there is the first alone. Whatever else is done to a number, memory included, is counted as so many
multiply-adds (`Factors`):

    algorithm   products, and what is done to images                                        once a step, to weights
    patches     (n D / G + window) k^2 C a window                                           product_weight k^2 C D / G
    fft         3 n F C D / G (3 real products make a complex one)
                + fft L^2 log2(L) (C + D) an image                                          spectrum F C D / G
    winograd    36 (n C D / G + tile (C + D)) a tile                                        tile_weight 36 C D / G

The last column has the transform of the weights, its adjoint, and the memory that both go through; for patches, W^T. It decides
for few images, and for wide layers by FFT. In inference the weights do not change from batch to batch: they are only
read. The factors were measured on one thread of a Zen 4 core (see docs/speed.md); other processors have memory in proportion to
their arithmetic, and the choice is rarely close.
"""

import math
from typing import NamedTuple

from engine.codegen.simd import LINE
from engine.ops.fft_convolution import FFTConvolution
from engine.ops.fused_linear import Window
from engine.ops.winograd import TILE_POINTS, tile_count
from engine.typing import Shape


class Factors(NamedTuple):
    """Of one kind of pass: the number n of its products, and what is done besides, in multiply-adds.

    window         -- to lay out a number of a window, and to add its gradient to the image's
    product_weight -- to a weight, by patches
    fft            -- to a number of an image, in a butterfly
    spectrum       -- to a number of the weights' spectrum
    tile           -- to a number of a tile
    tile_weight    -- to a number of the transformed weights
    """

    products: int
    window: float
    product_weight: float
    fft: float
    spectrum: float
    tile: float
    tile_weight: float


STEP = Factors(products=3, window=25, product_weight=350, fft=35, spectrum=500, tile=90, tile_weight=150)
INFERENCE = Factors(products=1, window=16, product_weight=13, fft=10, spectrum=60, tile=35, tile_weight=8)


def patches(factors: Factors, window: Window, groups: int, images: Shape, outputs: int) -> float:
    """Of images (N, H, W, C)."""
    N, H, W, C = images
    k, stride, padding = window
    windows = N * math.prod((side + 2 * padding - k) // stride + 1 for side in (H, W))
    layout = factors.window if k > 1 else 0  # a window of one pixel lies in the image
    each = factors.products * outputs / groups + layout
    return k**2 * C * (windows * each + factors.product_weight * outputs / groups)


def fft(factors: Factors, plan: FFTConvolution, groups: int, images: Shape, outputs: int) -> float:
    """Of images (N, H, W, C)."""
    N, _, _, C = images
    lines = sum(LINE * -(-channels // LINE) for channels in (C, outputs))  # that are transformed
    transforms = factors.fft * N * plan.size**2 * math.log2(plan.size) * lines
    spectrum = factors.spectrum * plan.frequencies * C // groups * outputs
    return factors.products * plan.products(N, C // groups, outputs) + transforms + spectrum


def winograd(factors: Factors, padding: int, groups: int, images: Shape, outputs: int) -> float:
    """Of images (N, H, W, C), for windows of 3 x 3."""
    N, H, W, C = images
    tiles, weights = tile_count(N, H + 2 * padding - 2, W + 2 * padding - 2), C * outputs / groups
    each = factors.products * weights + factors.tile * (C + outputs)
    return TILE_POINTS * (tiles * each + factors.tile_weight * weights)
