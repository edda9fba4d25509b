"""The method: loss, inference, networks, recipes, training, and the commands."""

from cldl.signals import end_at_once_while_importing

end_at_once_while_importing()  # before the imports that take time

from engine.device import cuda_kernels_in  # noqa: E402

cuda_kernels_in("cldl.training.cuda")
