"""Maxout: the largest of k neighbouring channels."""

from engine.codegen.jit import jit


@jit
def forward(x, y, place):
    """x (rows, C, k) -> y (rows, C), and in `place` which of the k it was: the first of equals; a NaN wins."""
    rows, C, k = x.shape
    for r in range(rows):
        for c in range(C):
            best, at = x[r, c, 0], 0
            for j in range(1, k):
                if x[r, c, j] > best or x[r, c, j] != x[r, c, j]:
                    best, at = x[r, c, j], j
            y[r, c], place[r, c] = best, at


@jit
def backward(dy, place, dx):
    """dx (rows, C, k) = dy (rows, C) where `place` says, 0 elsewhere."""
    rows, C, k = dx.shape
    for r in range(rows):
        for c in range(C):
            for j in range(k):
                dx[r, c, j] = dy[r, c] if place[r, c] == j else 0
