"""AlexNet (Krizhevsky, Sutskever and Hinton, NIPS 2012), and its form for Places (Zhou et al., NIPS 2014)."""

from __future__ import annotations

from typing import Any

from cldl.models.branch import GOOGLENET_BRANCH
from cldl.models.chain import ChainDefinition, Conv, Norm, Pool, chain_network
from engine.typing import Shape
from layers.network import Network

ALEXNET = ChainDefinition(  # BVLC/caffe, models/bvlc_alexnet/train_val.prototxt
    (
        *(Conv("conv1", 96, 11, stride=4, padding=0), Norm("norm1"), Pool("pool1", 3)),
        *(Conv("conv2", 256, 5, padding=2, groups=2, bias=0.1), Norm("norm2"), Pool("pool2", 3)),
        Conv("conv3", 384),
        Conv("conv4", 384, groups=2, bias=0.1),
        *(Conv("conv5", 256, groups=2, bias=0.1), Pool("pool5", 3)),
    ),
    taps=("conv4_relu", "pool2", "conv3_relu", "pool1"),
    branch=GOOGLENET_BRANCH,
    hidden_std=0.005,
    hidden_bias=0.1,
)

PLACES_ALEXNET = ChainDefinition(  # natanielruiz/net-archive, places205-alexnet; weights as in CaffeNet
    (
        *(Conv("conv1", 96, 11, stride=4, padding=0), Pool("pool1", 3), Norm("norm1")),
        *(Conv("conv2", 256, 5, padding=2, groups=2, bias=1.0), Pool("pool2", 3), Norm("norm2")),
        Conv("conv3", 384),
        Conv("conv4", 384, groups=2, bias=1.0),
        *(Conv("conv5", 256, groups=2, bias=1.0), Pool("pool5", 3)),
    ),
    taps=("conv4_relu", "norm2", "conv3_relu", "norm1"),
    branch=GOOGLENET_BRANCH,
    hidden_std=0.005,
    hidden_bias=1.0,
)


def alexnet(image: Shape, classes: int, classifiers: int = 1, **options: Any) -> Network:
    """AlexNet for images (H, W, C) of K classes, 227 x 227 as published, with 1 to 5 classifiers.

    Source: BVLC/caffe, bvlc_alexnet: local response normalisation before each of the first two poolings; two groups in conv2,
    conv4 and conv5; dropout 0.5 behind both hidden layers; weights N(0, 0.01^2), of the hidden layers N(0, 0.005^2); biases 0.1
    in conv2, conv4, conv5 and the hidden layers, 0 elsewhere.

    Inferred: where lower classifiers are attached, and their form. The second one stands behind conv4, the third at the end of
    stage 2, the fourth behind conv3, the fifth at the end of stage 1; each is a branch as GoogLeNet's (`cldl.models.branch`).

    options -- of `cldl.models.chain.chain_network`: initialisation, dropout, width, lower_lr_mult
    """
    return chain_network(ALEXNET, image, classes, classifiers, **options)


def places_alexnet(image: Shape, classes: int, classifiers: int = 1, **options: Any) -> Network:
    """AlexNet as it was trained on Places: each pooling before its normalisation, and biases of 1 where AlexNet has 0.1.

    Source: natanielruiz/net-archive, places205-alexnet, in which only the layers are; the biases are those of CaffeNet, on which
    it rests. Otherwise as `alexnet`, the lower classifiers too.
    """
    return chain_network(PLACES_ALEXNET, image, classes, classifiers, **options)
