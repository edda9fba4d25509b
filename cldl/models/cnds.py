"""Convolutional nets with deep supervision (Wang, Lee, Tu and Lazebnik, 2015): eight convolutions and a branch."""

from __future__ import annotations

from typing import Any

from cldl.models.branch import CNDS_BRANCH
from cldl.models.chain import ChainDefinition, Conv, Pool, chain_network
from engine.typing import Shape
from layers.network import Network

CNDS8 = ChainDefinition(  # lwwang/Places_CNDS_model, train_val.prototxt
    (
        *(Conv("conv1", 64, 7, stride=2, bias=0.5), Pool("pool1", 3)),
        *(Conv("conv2", 128, bias=0.1), Pool("pool2")),
        *(Conv("conv3_1", 256, bias=0.1), Conv("conv3_2", 256, bias=0.1), Pool("pool3")),
        *(Conv("conv4_1", 512, bias=0.1), Conv("conv4_2", 512, bias=0.1), Pool("pool4")),
        *(Conv("conv5_1", 512, bias=0.1), Conv("conv5_2", 512, bias=0.1), Pool("pool5")),
    ),
    taps=("conv3_2_relu", "conv5_1_relu"),
    branch=CNDS_BRANCH,
    hidden_bias=1.0,
)


def cnds8(image: Shape, classes: int, classifiers: int = 2, **options: Any) -> Network:
    """CNDS-8 for images (H, W, C) of K classes, 227 x 227 as published, with 1 to 3 classifiers; published with 2.

    Source: lwwang/Places_CNDS_model, train_val.prototxt: no normalisation; the branch stands behind conv3_2 and its ReLU (mean
    over windows of 5, 2 apart, a 1x1 convolution of 64 outputs without a ReLU, two hidden layers of 1024 units); weights
    N(0, 0.01^2), biases 0.5 in conv1, 0.1 in the other convolutions, 1 in hidden layers and 0 in classifiers; dropout 0.5 behind
    every hidden layer. The loss of the branch has weight 0.4, which decays in the paper (arXiv 1505.02496).

    Inferred: the third classifier, behind conv5_1. The paper puts branches behind convolutions 4, 7 and 10 of its deeper nets;
    conv3_2 is the fourth, conv5_1 the seventh.

    options -- of `cldl.models.chain.chain_network`: initialisation, dropout, width, lower_lr_mult
    """
    return chain_network(CNDS8, image, classes, classifiers, **options)
