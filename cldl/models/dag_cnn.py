"""DAG-CNNs (Yang and Ramanan, ICCV 2015): one prediction from the features of many layers of a chain."""

from __future__ import annotations

from collections.abc import Sequence

from cldl.models.chain import ChainDefinition, chain_trunk, weights
from engine.errors import UserError
from engine.typing import Shape
from layers.linear import Linear
from layers.merge import Add
from layers.network import Network
from layers.node import INPUT, Node, chain
from layers.normalise import L2Normalize
from layers.pooling import GlobalAvgPool
from layers.relu import ReLU


def dag_cnn(
    backbone: ChainDefinition,
    image: Shape,
    classes: int,
    *,
    taps: Sequence[str] | None = None,
    initialisation: str = "published",
    dropout: float = 0.5,
    width: float = 1.0,
) -> Network:
    """A DAG-CNN on a chain such as `cldl.models.alexnet.ALEXNET` or VGG-19, for images (H, W, C) of K classes.

    Behind the ReLU of every tapped layer: the mean of each channel over the map, the vector of these means divided by its length,
    and a linear layer of K scores. The scores of all taps are added; one softmax, the loss's, stands on their sum, so there is
    one classifier. What lies above the highest tap is left out; the chain's own classifier is the linear layer on its last
    hidden one.

    Source: section 4 and figure 7: "for each scale, we spatially (average) pool activations, normalize them to have unit-norm,
    compute an inner product with a fully-connected (FC) layer with K outputs, and add the scores across all layers". The paper's
    chains are AlexNet and VGG-19 ("Deep19").

    Inferred: without `taps`, all layers with a ReLU are tapped. The authors choose some by their accuracy on held-out images.

    taps -- names of layers whose ReLU is tapped, such as ("conv3", "conv5", "fc7")
    """
    trunk = chain_trunk(backbone, image, classes, initialisation=initialisation, dropout=dropout, width=width)
    tappable = [name.removesuffix("_relu") for name, layer in trunk if isinstance(layer, ReLU)]
    chosen = tappable if taps is None else [name for name in tappable if name in taps]
    if unknown := set(taps or ()) - set(tappable):
        raise UserError(f"there is no layer {min(unknown)!r} with a ReLU to tap; choose from {', '.join(tappable)}.")
    if len(chosen) < 2:
        raise UserError(f"a DAG-CNN was given {len(chosen)} taps; 2 or more are needed, of {', '.join(tappable)}.")
    names, weight = [name for name, _ in trunk], weights(initialisation, backbone.std)
    nodes, shapes = list[Node](), {INPUT: image}
    for node in chain(INPUT, trunk[: names.index(f"{chosen[-1]}_relu") + 1]):
        nodes.append(node)
        shapes[node.name] = node.layer.output_shape(shapes[node.inputs[0]])
        tap = node.name.removesuffix("_relu")
        if tap in chosen and tap != node.name:
            shape = shapes[node.name]
            means = [("mean", GlobalAvgPool())] if len(shape) == 3 else []
            score = [*means, ("unit", L2Normalize()), ("fc", Linear(shape[-1], classes, weight=weight))]
            nodes += chain(node.name, [(f"head_{tap}.{name}", layer) for name, layer in score])
    scores = tuple(f"head_{tap}.fc" for tap in chosen)
    return Network([*nodes, Node("scores", Add(len(scores)), scores)], ["scores"], image)
