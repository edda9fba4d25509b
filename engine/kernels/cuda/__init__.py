"""The CUDA kernels. Importing this package registers each as the CUDA version of its CPU function (see engine.device).

The scalar mathematics is not written twice: the kernels call the scalar functions of `engine.kernels.cpu`. No two threads add to
the same element: every sum has a fixed order, so results repeat bit for bit. Imported only when CUDA is used.
"""

from engine.kernels.cuda import bias, elementwise, fused_linear, images, maxout, normalise, patches, pooling, updates

__all__ = ["bias", "elementwise", "fused_linear", "images", "maxout", "normalise", "patches", "pooling", "updates"]
