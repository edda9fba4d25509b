"""Studies that a reader can run: the gradient, taken apart on a small example (`python -m cldl.study`)."""
