"""What is right is accepted: layers of other libraries pass every check, at whatever inputs and in batches of any size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.gradcheck import check_layer
from engine.gradcheck.checks import CHECKS
from tests.broken.layers import sisters
from tests.correct import kinked, normalisation, products, rearranged, smooth
from tests.correct.gallery import GALLERY
from tests.strategies import seeds

MODULES = smooth, kinked, normalisation, products, rearranged


@pytest.mark.parametrize("correct", GALLERY, ids=lambda c: type(c.make()).__name__)
def test_the_correct_layer_passes_every_check(correct):
    @given(samples=st.integers(1, 4), seed=seeds)
    def holds(samples, seed):
        layer = correct.make()
        report = check_layer(layer, correct.shape, samples=samples, seed=seed, domain=correct.domain)
        report.raise_if_failed()
        assert report.ran == len(CHECKS) - len(layer.not_promised)

    holds()


def test_the_gallery_is_large_and_only_batch_norm_leaves_a_check_out():
    names = {name for module in MODULES for name in vars(module)}
    made = [correct.make() for correct in GALLERY]
    assert len({type(layer).__name__ for layer in made} & names) == len(GALLERY) == 57  # as docs/testing.md says
    assert [type(layer) for layer in made if layer.not_promised] == [normalisation.BatchNorm]


def test_every_module_has_a_broken_sister():
    parents = {kind.__mro__[1].__module__ for kind in vars(sisters).values() if isinstance(kind, type)}
    assert {module.__name__ for module in MODULES} <= parents
