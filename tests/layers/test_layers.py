"""Every layer and network passes every check, whatever its shapes, strides, paddings and groups."""

import inspect
import pkgutil
from importlib import import_module

import pytest
from hypothesis import given

import layers
from cldl.verification.cases import LAYERS
from engine.gradcheck import check_layer
from engine.gradcheck.checks import CHECKS
from layers.layer import Layer
from tests import reference
from tests.strategies import layer_cases


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_passes_the_check(name, check):
    @given(case=layer_cases(name))
    def holds(case):
        report = check_layer(case.layer, case.shape, samples=case.samples, seed=case.seed, checks=[check])
        report.raise_if_failed()
        assert report.relative <= 1e-7

    holds()


def test_every_public_layer_is_checked():
    modules = [import_module(f"layers.{module.name}") for module in pkgutil.iter_modules(layers.__path__)]
    public = {
        name
        for module in modules
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Layer) and kind is not Layer and not name.startswith("_")
    }
    assert public <= set(LAYERS), "give them a case in cldl/verification/cases.py"


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (reference.Linear(), (3,)),
        (reference.ReLU(), (3, 3, 2)),
        (reference.Dropout(), (3, 3, 2)),
        (reference.MaxPool2d(), (6, 5, 2)),
        (reference.AvgPool2d(), (6, 5, 2)),
        (reference.Conv2d(groups=2), (6, 5, 2)),
        (reference.GlobalAvgPool(), (3, 3, 2)),
        (reference.Flatten(), (3, 3, 2)),
        (reference.Maxout(), (3, 3, 4)),
        (reference.LocalResponseNorm(), (2, 2, 5)),
        (reference.L2Normalize(), (2, 2, 4)),
        (reference.Concat(3), [(2, 3), (2, 1), (2, 2)]),
        (reference.Add(3), [(2, 3)] * 3),
        (reference.WeightedSum(), [(2, 3), (2, 3)]),
        (reference.Product(), [(4,), (4,)]),
        (reference.Larger(), [(2, 2, 3), (2, 2, 3)]),
        (reference.Skip(), [(2,), (3,)]),
    ],
    ids=str,
)
def test_the_layers_that_the_gallery_breaks_pass_the_check_before(layer, shape, check):
    check_layer(layer, shape, checks=[check]).raise_if_failed()
