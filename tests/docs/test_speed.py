"""docs/speed.md: the operations of VGG-16's step follow from its layers."""

import re
from pathlib import Path

from cldl.models import build
from layers.conv2d import Conv2d

PAGE = (Path(__file__).parents[2] / "docs" / "speed.md").read_text(encoding="utf-8")
IMAGES, TILE, POINTS = 16, 4, 36


def operations():
    """By layer, in GFLOP: those of direct products, forward, dW and dx, and those that Winograd's tiles leave."""
    found = {}
    for node, x, y in build("vgg16", image_shape=(224, 224, 3), classes=1000, classifiers=3).rows():
        layer, passes = node.layer, 2 if node.name == "conv1_1" else 3  # the image has no gradient
        executed = direct = 2e-9 * passes * IMAGES * layer.multiply_adds(x)
        if isinstance(layer, Conv2d) and layer.window.kernel == 3 and node.name != "conv1_1":
            tiles = IMAGES * -(-y[0] // TILE) * -(-y[1] // TILE)
            executed = 2e-9 * passes * POINTS * tiles * x[2] * y[2]
        if direct:
            found[node.name] = direct, executed
    return found


def test_the_roofline_of_vgg_16_counts_each_layer():
    found = operations()
    rows = re.findall(r"^\| (conv[1-5]|fc6).*? \| (\d+) \| (\d+) \| \d+ \|$", PAGE, re.MULTILINE)
    assert len(rows) == 7
    first, *others = rows
    assert [float(n) for n in first[1:]] == [round(n) for n in found.pop("conv1_1")]
    for stage, *numbers in others:
        is_top = stage == "fc6"
        names = [n for n in found if (n.startswith(("fc", "head")) if is_top else n.startswith(stage))]
        assert [float(n) for n in numbers] == [round(sum(found[name][i] for name in names)) for i in (0, 1)]


def test_the_whole_step_is_their_sum():
    direct, executed = (sum(numbers) for numbers in zip(*operations().values(), strict=True))
    assert f"A step of VGG-16 on {IMAGES} images is {direct:.0f} GFLOP by direct convolution" in PAGE
    assert f"Winograd's tiles leave {executed:.0f}," in PAGE
