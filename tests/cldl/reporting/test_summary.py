"""A run, a network and the costs of a step as text."""

import re

from cldl.models.nin import NIN_MNIST, nin
from cldl.recipes import find
from cldl.recipes.families.nin import MNIST_NIN
from cldl.reporting.explain import Cost
from cldl.reporting.summary import COSTS, costs, layers
from tests.cldl import tiny
from tests.cldl.reporting.displays import piped, text


def test_the_plan_names_what_is_not_the_default(trainer):
    changed = MNIST_NIN.changed(classifiers=1, weights=(1.0,), warmup=0.5, weight_decay=0.01, epochs=1, batch_size=1)
    trainer.schedule = changed.schedule
    display = piped()
    display.plan(trainer, tiny.opened("runs/one", changed, seed=0))
    assert "loss      softmax cross-entropy (M = 1)\n" in text(display)
    assert "warm-up of 0.5 epochs, weight decay 0.01; 1 epoch of 40 steps of 1 image\n" in text(display)


def test_the_plan_tells_of_an_augmentation(trainer):
    display = piped()
    display.plan(trainer, tiny.opened("runs/one", find("cifar100_nin_augmented")))
    assert re.search(r"^data .*; preprocessing [^,]+, augmented$", text(display), re.MULTILINE)


def test_the_table_has_shares_of_the_time_and_of_the_peak():
    rows = costs(
        [Cost("a", "Linear", (10,), "", 3_000_000_000, 2_000_000, 0.1, 0.2), Cost("b", "rest", forward=0.1)], 2e10
    )
    assert all(len(row) == len(COSTS) for row in rows)
    assert rows[0] == ("a", "Linear", "10", "", "3.00", "2.0", "100.0", "200.0", "75%", "10.0", "50%")
    assert rows[1] == ("b", "rest", "", "", "", "", "100.0", "", "25%", "", "")
    assert rows[2][6:] == ("200.0", "200.0", "100%", "7.5", "38%")


def test_the_last_row_of_the_costs_is_their_sum_and_a_size_is_read_as_a_product():
    sizes = {"flops": 1_000_000_000, "bytes": 2_000_000, "forward": 0.1, "backward": 0.1}
    rows = costs([Cost("a", "Conv2d 5x5", (28, 28, 48), "fft", **sizes), Cost("b", "Linear", (10,), **sizes)], 1e10)
    assert rows[0][:4] == ("a", "Conv2d 5x5", "28x28x48", "fft")
    assert rows[-1] == ("in all", "", "", "", "2.00", "4.0", "200.0", "200.0", "100%", "5.0", "50%")


def test_the_last_row_of_the_layers_is_their_sum():
    network = nin(NIN_MNIST, (28, 28, 1), 10)
    *rows, total = layers(network)
    assert total[:2] == ("in all", "")
    for column, whole in ((2, sum(p.value.size for p in network.parameters())), (3, network.multiply_adds())):
        numbers = [int(row[column].replace(",", "")) for row in rows]
        assert sum(numbers) == int(total[column].replace(",", "")) == whole
    name, size, parameters, multiply_adds = rows[0]
    assert (name.split(), size) == (["conv1", "Conv2d"], "28 x 28 x 96")
    assert (parameters, multiply_adds) == (f"{26 * 96:,}", f"{28 * 28 * 25 * 96:,}")
