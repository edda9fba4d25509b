"""VGG networks (Simonyan and Zisserman, ICLR 2015): 3x3 convolutions in five stages."""

from __future__ import annotations

from typing import Any

from cldl.models.branch import GOOGLENET_BRANCH
from cldl.models.chain import ChainDefinition, Conv, Pool, chain_network
from engine.errors import UserError
from engine.typing import Shape
from layers.network import Network

OUTPUTS = (64, 128, 256, 512, 512)  # of the convolutions of each stage
STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # how many there are


def _definition(depth: int) -> ChainDefinition:
    """The network of so many layers with weights; its convolutions are called conv3_1 and so on."""
    parts: list[Conv | Pool] = []
    for stage, (count, outputs) in enumerate(zip(STAGES[depth], OUTPUTS, strict=True), 1):
        parts += [Conv(f"conv{stage}_{i}", outputs) for i in range(1, count + 1)]
        parts.append(Pool(f"pool{stage}"))
    std = 0.01 if depth == 11 else None
    return ChainDefinition(
        tuple(parts), taps=("pool4", "pool3", "pool2", "pool1"), branch=GOOGLENET_BRANCH, std=std, hidden_std=std
    )


VGG = {depth: _definition(depth) for depth in STAGES}  # wanglimin/Places205-VGGNet, *_deploy.prototxt


def vgg(depth: int, image: Shape, classes: int, classifiers: int = 1, **options: Any) -> Network:
    """VGG-11, -13, -16 or -19 for images (H, W, C) of K classes, 224 x 224 as published, with 1 to 5 classifiers.

    Source: Simonyan and Zisserman, ICLR 2015, table 1 (A, B, D, E); for Places wanglimin/Places205-VGGNet; dropout 0.5 behind
    both hidden layers (section 3.1). The published weights are N(0, 0.01^2) with biases 0 for VGG-11. The deeper ones began with
    those of a trained VGG-11, or could be drawn as Glorot and Bengio do: here as Caffe's xavier does.

    CLDL's paper leaves the places and the form of the lower classifiers open. Inferred: the second and third stand behind pool4
    and pool3, the fourth and the fifth behind pool2 and pool1; each is a branch as GoogLeNet's (`cldl.models.branch`).

    options -- of `cldl.models.chain.chain_network`: initialisation, dropout, width, lower_lr_mult
    """
    if depth not in VGG:
        raise UserError(f"there is no VGG-{depth}; choose from {', '.join(map(str, VGG))}.")
    return chain_network(VGG[depth], image, classes, classifiers, **options)
