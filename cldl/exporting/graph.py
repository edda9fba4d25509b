"""An ONNX graph that grows node by node."""

from __future__ import annotations

from typing import Any

import numpy as np

from cldl.exporting.library import library
from engine.typing import Array

OPSET, IR_VERSION = 17, 8  # read by onnxruntime 1.12 and newer


class Graph:
    """Nodes and constants; what is added is known by the name of its output."""

    def __init__(self) -> None:
        self._helper, self._numpy_helper = library("onnx.helper"), library("onnx.numpy_helper")
        self.nodes, self.constants = list[Any](), list[Any]()
        self._names = set[str]()

    def add(self, kind: str, *inputs: str | Array, name: str = "", **attributes: Any) -> str:
        """A node of this kind; inputs that are arrays become constants. The name of its output."""
        output = self._unused(name or kind.lower())
        named = [i if isinstance(i, str) else self.constant(i, f"{output}.{n}") for n, i in enumerate(inputs)]
        self.nodes.append(self._helper.make_node(kind, named, [output], name=output, **attributes))
        return output

    def constant(self, array: Array, name: str = "constant") -> str:
        """An array; its name."""
        name = self._unused(name)
        self.constants.append(self._numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def cast(self, value: str, dtype: type, name: str = "") -> str:
        """The same numbers as another type."""
        to = self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.add("Cast", value, name=name, to=to)

    def model(
        self, inputs: dict[str, tuple[Any, tuple]], outputs: dict[str, tuple[Any, tuple]], **metadata: str
    ) -> Any:
        """The model with these inputs and outputs, each a dtype and a shape by name; an axis of variable length has a name."""
        h = self._helper

        def information(values: dict[str, tuple[Any, tuple]]) -> list[Any]:
            types = {name: h.np_dtype_to_tensor_dtype(np.dtype(dtype)) for name, (dtype, _) in values.items()}
            return [h.make_tensor_value_info(name, types[name], shape) for name, (_, shape) in values.items()]

        graph = h.make_graph(self.nodes, "cldl", information(inputs), information(outputs), self.constants)
        opset = [h.make_operatorsetid("", OPSET)]
        model = h.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="cldl")
        h.set_model_props(model, metadata)
        return model

    def reserve(self, *names: str) -> None:
        """Keep names for inputs and outputs of the model."""
        self._names.update(names)

    def output(self, value: str, name: str) -> None:
        """Call a value by the name of an output that was reserved."""
        self.nodes.append(self._helper.make_node("Identity", [value], [name], name=name))

    def _unused(self, name: str) -> str:
        unused, n = name, 1
        while unused in self._names:
            n += 1
            unused = f"{name}~{n}"
        self._names.add(unused)
        return unused
