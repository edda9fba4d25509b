"""Models that are exported: of each layer by itself, of each family of networks, of each preprocessing."""

import numpy as np

from cldl.models import build
from cldl.objective import Objective
from cldl.training.trained import TrainedModel
from data.transforms.preprocessing import Contrast, Scale, Whitening
from engine.random import Key
from engine.runtime.cpu import CpuBackend
from layers import (
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    L2Normalize,
    Linear,
    LocalResponseNorm,
    Maxout,
    MaxPool2d,
    Network,
    Node,
    ReLU,
    Sequential,
    chain,
)

RNG = np.random.default_rng(0)


def trained(network, preprocessing=None, objective=None):
    """A model of this network, its weights drawn, its biases and zero weights too."""
    network.initialise(Key(1))
    for i, parameter in enumerate(network.parameters()):
        if not parameter.value.any():
            fan_in = max(1, int(np.prod(parameter.shape[:-1])))
            parameter.value[...] = Key(2).fold(i).normal(parameter.shape) / np.sqrt(fan_in)
    objective = objective or Objective((1.0,) * len(network.exits))
    backend = CpuBackend(network.parameters(), threads=1)
    return TrainedModel(network, objective, preprocessing or Scale(), backend, tuple(map(str, range(network.classes))))


def pixels(shape, count=7):
    return RNG.integers(0, 256, (count, *shape), dtype=np.uint8)


LAYERS = {
    "convolution": [Conv2d(4, 6, 3, stride=2, padding=1)],
    "convolution in groups": [Conv2d(4, 6, 3, padding=2, groups=2)],
    "relu": [ReLU()],
    "maximum": [MaxPool2d(3, 2)],
    "maximum, padded": [MaxPool2d(3, 2, 1)],
    "maximum, ceil": [MaxPool2d(3, 2, ceil=True)],
    "maximum, ceil, padded": [MaxPool2d(4, 3, 1, ceil=True)],
    "maximum, ceil, larger than the image": [MaxPool2d(10, 4, ceil=True)],
    "maximum, windows apart": [MaxPool2d(2, 5, ceil=True)],
    "mean": [AvgPool2d(3, 2)],
    "mean, padded": [AvgPool2d(3, 1, 1)],
    "mean, ceil": [AvgPool2d(3, 2, ceil=True)],
    "mean, ceil, padded": [AvgPool2d(4, 3, 2, ceil=True)],
    "response": [LocalResponseNorm(5, alpha=1.0, beta=0.75, k=2.0)],
    "length": [L2Normalize()],
    "length of zeros": [ReLU(), Conv2d(4, 3, 1, bias=lambda key, shape: np.full(shape, -1e3)), ReLU(), L2Normalize()],
    "maxout": [Maxout(2)],
    "maxout of vectors": [Flatten(), Linear(320, 6), Maxout(3)],
    "maxout of what was flattened": [Flatten(), Maxout(4)],
    "linear of what was flattened": [Flatten(), ReLU(), L2Normalize(), Linear(320, 6)],
    "dropout": [Dropout(0.5)],
    "sequential": [Sequential(Conv2d(4, 3, 1), Sequential(ReLU(), Dropout(0.1)))],
    "vectors": [GlobalAvgPool(), L2Normalize(), LocalResponseNorm(3, alpha=1.0), ReLU()],
}


def of_layers(name):
    """A model of these layers with a classifier on them, for images (10, 8, 4)."""
    image = shape = (10, 8, 4)
    nodes = chain("x", [(f"part{i}", layer) for i, layer in enumerate(LAYERS[name])])
    for layer in LAYERS[name]:
        shape = layer.output_shape(shape)
    top = chain(nodes[-1].name, [("flat", Flatten()), ("top", Linear(int(np.prod(shape)), 3))])
    return trained(Network([*nodes, *top], ["top"], image))


def of_merged():
    """A model of layers with several inputs, and a Sequential that is read by others."""
    nodes = [
        Node("a", Conv2d(2, 3, 1), ("x",)),
        Node("b", Conv2d(2, 3, 3, padding=1), ("x",)),
        Node("sum", Add(3), ("a", "b", "a")),
        Node("both", Concat(3), ("a", "sum", "b")),
        Node("low", Sequential(GlobalAvgPool(), Linear(3, 4)), ("a",)),
        Node("top", Sequential(Flatten(), Linear(9 * 20, 4)), ("both",)),
        Node("last", Add(2), ("top", "low")),
    ]
    return trained(Network(nodes, ["low", "last"], (5, 4, 2)))


NETWORKS = {
    "nin_mnist": (28, 1, {"width": 0.1}),
    "dsn_cifar": (32, 3, {}),
    "maxout_mnist": (28, 1, {}),
    "alexnet": (67, 3, {"width": 0.05}),
    "googlenet": (64, 3, {"width": 0.1}),
    "dag_vgg19": (32, 3, {"width": 0.05}),
}
"""One of each family whose layers differ; CNDS and VGG have those of the others."""


def of_family(name):
    """A small network of this name, of 5 classes."""
    size, channels, options = NETWORKS[name]
    classifiers = {"dsn_cifar": 4, "maxout_mnist": 1, "dag_vgg19": 1}.get(name, 3)
    return trained(build(name, (size, size, channels), 5, classifiers, **options))


def linear_model(shape, preprocessing, classes=4):
    nodes = chain("x", [("flat", Flatten()), ("top", Linear(int(np.prod(shape)), classes))])
    return trained(Network(nodes, ["top"], shape), preprocessing)


SHAPE = (6, 5, 3)
MATRIX = RNG.normal(size=(90, 90)).astype(np.float32) / 10
PREPROCESSINGS = {
    "scale": Scale(),
    "standard": Scale(np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.3, 0.01])),
    "gcn": Contrast(),
    "gcn_zca": Whitening(RNG.normal(size=90).astype(np.float32), MATRIX),
}


def flat_images():
    """Images of SHAPE, of which two are of one value and have no contrast."""
    images = pixels(SHAPE)
    images[1], images[2] = 0, 77
    return images
