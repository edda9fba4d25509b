"""What the layers of a published Caffe network are called there, by the names of cldl's nodes.

Most have the same name: conv1_1, fc6. Sources: BVLC/caffe, models/bvlc_googlenet/train_val.prototxt;
lwwang/Places_CNDS_model, train_val.prototxt; wanglimin/Places205-VGGNet, *_deploy.prototxt; natanielruiz/net-archive,
places205-alexnet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

GOOGLENET = {"conv1": "conv1/7x7_s2", "conv2_reduce": "conv2/3x3_reduce", "conv2": "conv2/3x3"}
GOOGLENET_HEADS = {"head_inception_4a": "loss1", "head_inception_4d": "loss2", "head_top": "loss3"}
BRANCH = {"conv": "conv", "fc1": "fc", "fc": "classifier"}  # of GoogLeNet's lower classifiers
CNDS = {"conv": "DSN_conv3", "fc1": "fc6_DSN_conv3", "fc2": "fc7_DSN_conv3", "fc": "fc8_DSN_conv3"}


def caffe_names(node: str, layers: Iterable[str]) -> Iterator[str]:
    """The names that the layer of a node may have among a file's `layers`, the likeliest first.

    Classifiers that were trained for other classes often have the published name with an ending, as "fc8_flickr".

    >>> list(caffe_names("inception_3a.5x5_reduce", [])), list(caffe_names("head_top.fc", ["fc8_mine"]))
    (['inception_3a/5x5_reduce'], ['loss3/classifier', 'fc8', 'fc8_mine'])
    """
    head, _, part = node.partition(".")
    if node in GOOGLENET:
        yield GOOGLENET[node]
    if re.fullmatch(r"inception_\w+", head):
        yield f"{head}/{part}"
    if head in GOOGLENET_HEADS and part in BRANCH:
        published = f"{GOOGLENET_HEADS[head]}/{BRANCH[part]}"
        yield published
        if part == "fc":
            yield from (name for name in layers if name.startswith(published) and name != published)
    if head == "head_conv3_2_relu" and part in CNDS:
        yield CNDS[part]
    if node == "head_top.fc":
        yield "fc8"
        yield from (name for name in layers if re.fullmatch(r"fc8(?!_DSN).+", name))
