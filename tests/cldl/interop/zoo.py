"""The Model Zoo's graphs of AlexNet, GoogLeNet and VGG-19, made from Caffe's by Caffe2, with weights drawn at random.

Names, operators and attributes are those of bvlcalexnet, googlenet and vgg19-caffe2 (onnx/models).
`width` multiplies the number of outputs, so that a graph is small.
"""

import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cldl.models.chain import scaled
from cldl.models.googlenet import INCEPTIONS
from cldl.models.vgg import OUTPUTS, STAGES


class Graph:
    """A chain of nodes that grows at `top`, whose name, channels and size are known."""

    def __init__(self, size, classes, width, images=2, seed=0):
        self.width, self.classes, self.images = width, classes, images
        self.nodes, self.initializers, self.random = [], [], np.random.default_rng(seed)
        self.data = helper.make_tensor_value_info("data_0", TensorProto.FLOAT, [images, 3, size, size])
        self.top, self.channels, self.size = "data_0", 3, size

    def add(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        self.top = output

    def weights(self, name, shape, gain=1.0):
        """A weight NAME_w_0 with the deviation of He's initialisation, and a bias NAME_b_0."""
        w = self.random.normal(0, gain * math.sqrt(2 / math.prod(shape[1:])), shape)
        b = self.random.normal(0, gain, shape[0])
        for array, part in ((w, "w"), (b, "b")):
            self.initializers.append(numpy_helper.from_array(array.astype(np.float32), f"{name}_{part}_0"))
        return [f"{name}_w_0", f"{name}_b_0"]

    def conv(self, name, outputs, kernel, stride=1, pad=0, group=1, relu=None, most_groups=1):
        D = scaled(outputs, self.width, most_groups)
        weights = self.weights(name, (D, self.channels // group, kernel, kernel))
        options = {"group": group} if group > 1 else {}
        kernels = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        self.add("Conv", [self.top, *weights], f"{name}_1", **kernels, **options)
        self.channels, self.size = D, (self.size + 2 * pad - kernel) // stride + 1
        self.add("Relu", [self.top], f"{relu or name}_2")

    def pool(self, name, kernel, stride=2, pads=(0, 0, 0, 0), kind="MaxPool"):
        self.add(kind, [self.top], f"{name}_1", kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads)
        self.size = (self.size + pads[0] + pads[2] - kernel) // stride + 1

    def norm(self, name):
        self.add("LRN", [self.top], f"{name}_1", size=5, alpha=1e-4, beta=0.75, bias=1.0)

    def flatten(self):
        inputs = self.channels * self.size**2
        shape = numpy_helper.from_array(np.array([self.images, inputs], np.int64), "OC2_DUMMY_1")
        self.initializers.append(shape)
        self.add("Reshape", [self.top, "OC2_DUMMY_1"], "OC2_DUMMY_0")
        self.channels = inputs

    def linear(self, name, outputs, gain=1.0):
        self.add("Gemm", [self.top, *self.weights(name, (outputs, self.channels), gain)], f"{name}_1", transB=1)
        self.channels = outputs

    def hidden(self, name, outputs=4096):
        self.linear(name, scaled(outputs, self.width))
        self.add("Relu", [self.top], f"{name}_2")
        self.add("Dropout", [self.top], f"{name}_3")

    def model(self, name, classifier):
        """The whole graph; the classifier's weights are small, so that no class is certain."""
        self.linear(classifier, self.classes, gain=0.01)
        self.add("Softmax", [self.top], "prob_1", axis=1)
        prob = helper.make_tensor_value_info("prob_1", TensorProto.FLOAT, [self.images, self.classes])
        inputs = [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in self.initializers]
        graph = helper.make_graph(self.nodes, name, [self.data, *inputs], [prob], self.initializers)
        opset = [helper.make_opsetid("", 9)]
        return helper.make_model(graph, producer_name="onnx-caffe2", ir_version=3, opset_imports=opset)


def alexnet(classes, width, images=2):
    g = Graph(227, classes, width, images)
    g.conv("conv1", 96, 11, stride=4, most_groups=2)
    g.norm("norm1"), g.pool("pool1", 3)
    g.conv("conv2", 256, 5, pad=2, group=2, most_groups=2)
    g.norm("norm2"), g.pool("pool2", 3)
    g.conv("conv3", 384, 3, pad=1, most_groups=2)
    g.conv("conv4", 384, 3, pad=1, group=2, most_groups=2)
    g.conv("conv5", 256, 3, pad=1, group=2, most_groups=2)
    g.pool("pool5", 3), g.flatten(), g.hidden("fc6"), g.hidden("fc7")
    return g.model("AlexNet", "fc8")


def vgg(classes, width, images=2, depth=19, size=224):
    g = Graph(size, classes, width, images)
    for stage, (count, outputs) in enumerate(zip(STAGES[depth], OUTPUTS, strict=True), 1):
        for i in range(1, count + 1):
            g.conv(f"conv{stage}_{i}", outputs, 3, pad=1)
        g.pool(f"pool{stage}", 2)
    g.flatten(), g.hidden("fc6"), g.hidden("fc7")
    return g.model("VGG_ILSVRC_19_layers", "fc8")


def googlenet(classes, width, images=2):
    g = Graph(224, classes, width, images)
    ceil = (0, 0, 1, 1)
    g.conv("conv1/7x7_s2", 64, 7, stride=2, pad=3)
    g.pool("pool1/3x3_s2", 3, pads=ceil), g.norm("pool1/norm1")
    g.conv("conv2/3x3_reduce", 64, 1)
    g.conv("conv2/3x3", 192, 3, pad=1)
    g.norm("conv2/norm2"), g.pool("pool2/3x3_s2", 3, pads=ceil)
    for block, outputs in INCEPTIONS.items():
        inception(g, f"inception_{block}", outputs)
        if block in ("3b", "4e"):
            g.pool(f"pool{block[0]}/3x3_s2", 3, pads=ceil)
    g.pool("pool5/7x7_s1", 7, stride=1, kind="AveragePool")
    g.add("Dropout", [g.top], "pool5/7x7_s1_2")
    g.flatten()
    return g.model("GoogleNet", "loss3/classifier")


def inception(g, name, outputs):
    source, channels, ends, total = g.top, g.channels, [], 0
    for chain in (
        [("1x1", outputs.one, 1)],
        [("3x3_reduce", outputs.three_reduce, 1), ("3x3", outputs.three, 3)],
        [("5x5_reduce", outputs.five_reduce, 1), ("5x5", outputs.five, 5)],
        [("pool_proj", outputs.pool, 1)],
    ):
        g.top, g.channels = source, channels
        if chain[0][0] == "pool_proj":
            g.pool(f"{name}/pool", 3, stride=1, pads=(1, 1, 1, 1))
        for part, D, kernel in chain:
            g.conv(f"{name}/{part}", D, kernel, pad=kernel // 2)
        ends.append(g.top)
        total += g.channels
    g.add("Concat", ends, f"{name}/output_1", axis=1)
    g.channels = total


MODELS = {"alexnet": alexnet, "googlenet": googlenet, "vgg19": vgg}


def save(model, path):
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
