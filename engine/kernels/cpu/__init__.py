"""The CPU's kernels: one jitted scalar function for the mathematics of an operation, and the loop over elements that calls it."""
