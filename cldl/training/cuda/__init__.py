"""CLDL on an NVIDIA GPU: the losses in one launch each, and a training step as a CUDA graph; see engine.kernels.cuda.

Importing this package registers the kernels; `cldl` names it to the engine, which imports it when it meets a CuPy array.
"""

from cldl.training.cuda import hinge, inference, loss

__all__ = ["hinge", "inference", "loss"]
