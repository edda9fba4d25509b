"""The method: loss, inference, networks, recipes, training, and the commands."""

from engine.device import cuda_kernels_in

cuda_kernels_in("cldl.training.cuda")
