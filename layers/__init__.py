"""One layer family a file, each with its forward, its backward and the mathematics of both."""

from layers.conv2d import Conv2d
from layers.dropout import Dropout
from layers.flatten import Flatten
from layers.layer import Layer
from layers.linear import Linear
from layers.maxout import Maxout
from layers.merge import Add, Concat
from layers.network import Network
from layers.node import Node, chain
from layers.normalise import L2Normalize, LocalResponseNorm
from layers.pooling import AvgPool2d, GlobalAvgPool, MaxPool2d
from layers.relu import ReLU
from layers.sequential import Sequential

__all__ = [
    "Add", "AvgPool2d", "Concat", "Conv2d", "Dropout", "Flatten", "GlobalAvgPool", "L2Normalize", "Layer", "Linear",
    "LocalResponseNorm", "MaxPool2d", "Maxout", "Network", "Node", "ReLU", "Sequential", "chain",
]  # fmt: skip
