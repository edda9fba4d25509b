"""What the layers stand on: randomness, memory, parameters, kernels, threads, optimisers, files."""
