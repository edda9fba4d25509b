"""Where a batch runs: threads on the CPU, or an NVIDIA GPU."""
