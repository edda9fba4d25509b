"""The networks of the poster, as their authors published them."""

from cldl.models.dsn import dsn
from cldl.models.heads import INITIALISERS
from cldl.models.maxout import MAXOUT_CIFAR, MAXOUT_MNIST, maxout
from cldl.models.nin import LOWER, NIN_CIFAR, NIN_MNIST, nin

__all__ = [
    "INITIALISERS",
    "LOWER",
    "MAXOUT_CIFAR",
    "MAXOUT_MNIST",
    "NIN_CIFAR",
    "NIN_MNIST",
    "dsn",
    "maxout",
    "nin",
]
