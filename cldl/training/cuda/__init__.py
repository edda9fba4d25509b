"""CLDL on an NVIDIA GPU: the loss in one launch, and a training step as a CUDA graph; see engine.kernels.cuda."""
