"""Small networks for tests: blocks one after another, a classifier on each."""

from layers.layer import Layer
from layers.network import Network
from layers.node import INPUT, Node
from layers.sequential import Sequential


def stack(blocks, heads, image) -> Network:
    """Nodes block1.0, block1.1, ..., head1.0, ... block2.0 and so on; a Sequential is laid out as its layers."""
    nodes, exits, top = [], [], INPUT
    for m, (block, head) in enumerate(zip(blocks, heads, strict=True), 1):
        before = top
        for part, layers in (("block", block), ("head", head)):
            for i, layer in enumerate(_layers(layers)):
                nodes.append(Node(f"{part}{m}.{i}", layer, (before,)))
                before = nodes[-1].name
            top = before if part == "block" else top
        exits.append(before)
    return Network(nodes, exits, image)


def _layers(layer: Layer) -> list[Layer]:
    return list(layer.layers) if type(layer) is Sequential else [layer]
