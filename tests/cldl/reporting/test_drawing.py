"""A network drawn from its nodes: blocks and the classifiers on them, each text inside its box."""

import pytest
from matplotlib.patches import FancyBboxPatch

from cldl.recipes import RECIPES
from cldl.reporting import drawing

NAMES = ("mnist_nin", "mnist_nin_softmax", "mnist_dsn", "imagenet_googlenet", "mit67_dag_cnn", "places205_cnds8")


def test_a_block_is_what_lies_between_two_classifiers():
    network = RECIPES["mnist_nin"].build_network()
    blocks, classifiers = drawing.parts(network)
    assert [block.rows[-1][0].name for block in blocks] == ["pool1", "pool2", "cccp6"]
    assert [part.rows[-1][0].name for part in classifiers] == list(network.exits)
    assert [block.output for block in blocks] == [(14, 14, 48), (7, 7, 48), (7, 7, 10)]
    assert blocks[0].layers.replace("\xa0", " ") == "convolutions 5x5, 1x1, 1x1, max pooling"


@pytest.mark.parametrize("name", NAMES)
def test_every_node_and_every_multiplication_is_in_one_part(name):
    network = RECIPES[name].build_network()
    parts = [part for column in drawing.parts(network) for part in column]
    assert sorted(row[0].name for part in parts for row in part.rows) == sorted(node.name for node in network.nodes)
    assert sum(part.multiply_adds for part in parts) == network.multiply_adds()


@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_larger_than_its_box(name):
    figure = drawing.draw(RECIPES[name].build_network())
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    assert len(boxes) == 2 * len(RECIPES[name].build_network().exits) + 1
    texts = [text for text in axes.texts if text.get_text()]
    for box, text in zip(boxes, texts, strict=True):
        outer, inner = box.get_window_extent(), text.get_window_extent()
        assert outer.x0 < inner.x0
        assert inner.x1 < outer.x1
        assert outer.y0 < inner.y0
        assert inner.y1 < outer.y1


def test_in_words_it_names_every_block_and_classifier():
    said = drawing.described(RECIPES["mnist_dsn"].build_network())
    for m in range(1, 5):
        assert f"block {m} (" in said
        assert f"classifier {m}" in said
