"""Side by side with PyTorch: `python -m benchmarks.step`, and what a start costs: `python -m benchmarks.start`."""
