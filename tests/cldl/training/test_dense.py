"""Networks on whole images: linear layers as convolutions, and each classifier's map of scores averaged."""

from dataclasses import replace

import numpy as np
import pytest

from cldl.inference import softmax
from cldl.models import build
from cldl.models.features import linear_on_features
from cldl.objective import Objective
from cldl.training.dense import dense_logits, dense_network
from cldl.training.evaluation import Evaluation
from cldl.training.trained import TrainedModel
from data.transforms.preprocessing import Scale
from engine.context import Context
from engine.errors import UserError
from engine.gradcheck import grid
from engine.random import Key
from engine.runtime.cpu import CpuBackend
from layers import Conv2d, Flatten, L2Normalize, Linear, Network, ReLU, chain
from tests.cldl.training.conftest import VIEW


def logits_of(network, x):
    ctx = Context()
    ctx.needs_backward = False
    return network.forward(x, ctx)[0]


def drawn(network, seed=1):
    """All weights, biases too, from one key."""
    for i, p in enumerate(network.parameters()):
        p.value = (0.2 * grid(p.shape, Key(seed).fold(i), 1.0)).astype(np.float32)
    return network


def unpadded(side=6):
    """Two classifiers whose convolutions look beyond no border: one on the map, one behind a hidden layer."""
    trunk = chain("x", [("conv", Conv2d(3, 4, 3)), ("conv_relu", ReLU()), ("map", Flatten())])
    low = chain("map", [("low", Linear((side - 2) ** 2 * 4, 5))])
    top = chain("map", [("fc", Linear((side - 2) ** 2 * 4, 8)), ("fc_relu", ReLU()), ("top", Linear(8, 5))])
    return drawn(Network([*trunk, *low, *top], ["low", "top"], (side, side, 3)))


def test_on_a_larger_image_the_scores_are_the_mean_of_those_on_every_crop():
    network, x = unpadded(), grid((2, 8, 7, 3), Key(0), 1.0).astype(np.float32)
    crops = [logits_of(network, np.ascontiguousarray(x[:, i : i + 6, j : j + 6])) for i in range(3) for j in range(2)]
    for m, z in enumerate(logits_of(dense_network(network, (8, 7, 3)), x)):
        np.testing.assert_allclose(z, np.mean([crop[m] for crop in crops], axis=0), rtol=1e-4, atol=1e-5)


def test_the_weights_are_shared():
    network = unpadded()
    dense = dense_network(network, (9, 9, 3))
    for a, b in zip(network.parameters(), dense.parameters(), strict=True):
        assert a.name == b.name
        assert np.shares_memory(a.value, b.value)


NETWORKS = {
    "vgg11": lambda: build("vgg11", (32, 32, 3), 4, 3, width=1 / 16),
    "alexnet": lambda: build("alexnet", (67, 67, 3), 4, 3, width=1 / 16),
    "googlenet": lambda: build("googlenet", (32, 32, 3), 4, 3, width=1 / 16),
    "cnds8": lambda: build("cnds8", (40, 40, 3), 4, 2, width=1 / 16),
    "nin": lambda: build("nin_cifar", (32, 32, 3), 4, 3, width=1 / 16),
    "a DAG-CNN": lambda: build("dag_alexnet", (67, 67, 3), 4, width=1 / 16),
    "features": lambda: linear_on_features(build("vgg11", (32, 32, 3), 4, width=1 / 16), "fc6_relu", 5),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=list(NETWORKS))
def test_every_network_of_the_poster_takes_whole_images_and_crops_as_before(make):
    network = drawn(make())
    side, _, _ = network.input_shape
    x = grid((2, side, side, 3), Key(4), 1.0).astype(np.float32)
    for a, b in zip(logits_of(network, x), logits_of(dense_network(network, x.shape[1:]), x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(a).max())
    larger = (side + 40, side + 9, 3)
    for z in logits_of(dense_network(network, larger), grid((1, *larger), Key(5), 1.0).astype(np.float32)):
        assert z.shape == (1, network.classes)
        assert np.isfinite(z).all()


def test_what_cannot_be_seen_whole_is_refused_in_a_sentence():
    with pytest.raises(UserError) as refused:
        dense_network(unpadded(), (5, 9, 3))
    assert str(refused.value) == (
        "whole images of 5 x 9 pixels are smaller than the crops of 6 x 6 that the network was trained on: give larger scales."
    )
    unit = chain("x", [("conv", Conv2d(3, 4, 3)), ("map", Flatten()), ("unit", L2Normalize()), ("fc", Linear(64, 2))])
    with pytest.raises(
        UserError, match=r"the network's unit, L2Normalize\(\), takes vectors: evaluate on crops instead\."
    ):
        dense_network(Network(unit, ["fc"], (6, 6, 3)), (8, 8, 3))
    with pytest.raises(UserError, match=r"takes vectors: evaluate on crops instead\."):
        dense_network(build("maxout_cifar", (32, 32, 3), 4), (40, 40, 3))


def whole(split, mirrored=False):
    """The whole images, one after another."""
    for i in range(len(split)):
        image = split.whole(i)
        yield image[None, :, ::-1] if mirrored else image[None]


def model(loss="cldl"):
    network = unpadded(12)
    return TrainedModel(
        network, Objective((1.0, 1.0), loss=loss), Scale(), CpuBackend(network.parameters(), threads=2), ()
    )


def alone(m, split, mirrored):
    """The logits of each image by itself."""
    found = []
    for image in whole(split, mirrored):
        network = dense_network(m.network, image.shape[1:])
        found.append(logits_of(network, m.preprocessing(np.ascontiguousarray(image), Context())))
    return [np.concatenate(z) for z in zip(*found, strict=True)]


@pytest.mark.parametrize("mirrored", [False, True])
def test_images_of_all_sizes_have_the_logits_that_each_has_by_itself(photos, mirrored):
    m, split = model(), photos.dataset(VIEW).test
    assert len({tuple(size) for size in split.whole_sizes().tolist()}) == 2
    found = dense_logits(m.network, split, mirrored, m.preprocessing, m.backend)
    for a, b in zip(found, alone(m, split, mirrored), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scales", [(), (13, 20)])
def test_a_whole_image_and_its_reflection_are_averaged_over_the_scales(photos, scales):
    m, split = model(), photos.dataset(VIEW).test
    views = [photos.dataset(replace(VIEW, test_scale=scale)).test for scale in scales] or [split]
    each = [[softmax(z) for z in alone(m, view, mirrored)] for view in views for mirrored in (False, True)]
    expected = Evaluation.of([np.log(np.mean(P, axis=0)) for P in zip(*each, strict=True)], split.labels, m.objective)
    found = m.evaluate(split, scales=scales, dense=True)
    np.testing.assert_allclose(found.on_target, expected.on_target, rtol=1e-4)
    assert found.errors == expected.errors
