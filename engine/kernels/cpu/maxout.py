"""Maxout: the largest of k neighbouring channels."""

from engine.codegen.jit import jit
from engine.kernels.cpu.pooling import replaces_maximum


@jit
def forward(x, y, argmax):
    """x (rows, C, k) -> y (rows, C), and in `argmax` which of the k it was."""
    rows, C, k = x.shape
    for r in range(rows):
        for c in range(C):
            maximum, at = x[r, c, 0], 0
            for j in range(1, k):
                if replaces_maximum(x[r, c, j], maximum):
                    maximum, at = x[r, c, j], j
            y[r, c], argmax[r, c] = maximum, at


@jit
def backward(dy, argmax, dx):
    """dx (rows, C, k) = dy (rows, C) at the argmax, 0 elsewhere."""
    rows, C, k = dx.shape
    for r in range(rows):
        for c in range(C):
            for j in range(k):
                dx[r, c, j] = dy[r, c] if argmax[r, c] == j else 0
