"""Weights that other tools trained, and files of weights for them (docs/weights.md); the loss in PyTorch and in JAX."""

from cldl.interop.load import load_weights
from cldl.interop.report import Misfit, WeightsReport
from cldl.interop.save import save_weights

__all__ = ["Misfit", "WeightsReport", "load_weights", "save_weights"]
