"""Loops over elements, for the CPU and for CUDA: the same files in both folders."""
