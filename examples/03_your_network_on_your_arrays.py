"""Train a network of your own, with two classifiers, on arrays of your own.

python examples/03_your_network_on_your_arrays.py

The images are 8 x 8 pixels of noise with a bright bar in them; the class is where the bar is, and which way it lies.
"""

import numpy as np

from cldl.objective import Objective
from cldl.training.trainer import Trainer
from data.dataset import Dataset
from engine.optim import AdamW, Cosine
from engine.random import Key
from layers import Conv2d, Flatten, Linear, MaxPool2d, Network, Node, ReLU, Sequential


def bars(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 8, 8, 1) uint8 and labels (count,): 0 to 7 for a bright row, 8 to 15 for a bright column."""
    labels = rng.integers(0, 16, count)
    images = rng.integers(0, 160, (count, 8, 8, 1))
    for image, label in zip(images, labels, strict=True):
        line = image[label] if label < 8 else image[:, label - 8]
        line += 90
    return images.astype(np.uint8), labels


def make_network() -> Network:
    """Two blocks, each a convolution, a ReLU and a pooling; a linear classifier on each."""
    nodes = [
        Node("conv1", Conv2d(1, 16, 3, padding=1), ("x",)),
        Node("relu1", ReLU(), ("conv1",)),
        Node("low", Sequential(Flatten(), Linear(8 * 8 * 16, 16)), ("relu1",)),
        Node("conv2", Conv2d(16, 32, 8, padding=7), ("relu1",)),
        Node("relu2", ReLU(), ("conv2",)),
        Node("pool2", MaxPool2d(3), ("relu2",)),
        Node("top", Sequential(Flatten(), Linear(5 * 5 * 32, 16)), ("pool2",)),
    ]
    return Network(nodes, exits=("low", "top"), input_shape=(8, 8, 1))


def main(epochs: int = 6) -> dict[str, float]:
    """Train, printing a line an epoch, then predict; returns the test errors in %, of each classifier and of both together."""
    rng = np.random.default_rng(0)
    data = Dataset.from_arrays("bars", *bars(2000, rng), *bars(500, rng))
    network = make_network()
    network.initialise(Key(0))
    schedule = Cosine(learning_rate=0.003, epochs=epochs, batch_size=50)
    trainer = Trainer(network, Objective(weights=(1.0, 1.0)), AdamW(network.parameters()), data, schedule)
    line: dict = {}
    for _ in range(epochs):
        for _ in trainer.steps():
            pass
        line, _ = trainer.end_epoch()
        print(f"epoch {line['epoch']}: test errors in % {line['test_error']}")
    images, labels = bars(5, rng)
    print(f"five new images: labels {labels.tolist()}, predictions {trainer.model().predict(images).tolist()}")
    return line["test_error"]


if __name__ == "__main__":
    main()
