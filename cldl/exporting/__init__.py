"""A trained model for other tools: preprocessing, network and joint prediction in one file (docs/export.md)."""

from cldl.exporting.to_onnx import save_onnx
from cldl.exporting.to_torch import save_torch

__all__ = ["save_onnx", "save_torch"]
