"""Small data of MNIST's form, and the commands on it; run as a program it is `python -m cldl.train` on that data."""

import sys

import numpy as np

from cldl.commands import leave
from data import registry
from data.dataset import Dataset

TWO = ["mnist_nin", "--classifiers", "2", "--loss.weights", "1,1", "--threads", "1"]  # classifiers, one thread


def digits(train: int = 48, test: int = 20) -> Dataset:
    """Ten kinds of bright squares on a dark ground, in noise: easy to tell apart, the same every time."""
    rng = np.random.default_rng(7)

    def part(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(n) % 10
        images = rng.integers(0, 60, (n, 28, 28, 1))
        for image, label in zip(images, labels, strict=True):
            row, column = divmod(int(label), 4)
            image[2 + 8 * row : 9 + 8 * row, 1 + 7 * column : 7 + 7 * column] += 180
        return images.astype(np.uint8), labels.astype(np.int64)

    return Dataset.from_arrays("squares", *part(train), *part(test), tuple("0123456789"))


def command(*arguments: object) -> int:
    """`python -m cldl.train` with these arguments, on the synthetic digits; the exit status."""
    from cldl.train import main

    registry.LOADERS["mnist"] = lambda cache, data, say: digits()
    return main([str(argument) for argument in arguments])


if __name__ == "__main__":
    leave(lambda argv=None: command(*sys.argv[1:]))
