"""The method: loss, inference, networks, recipes, training, and the commands."""

from typing import Any

from cldl.signals import end_at_once_while_importing

end_at_once_while_importing()  # before the imports that take time

from cldl.packages import expect_own_packages  # noqa: E402 -- Ctrl-C comes first

expect_own_packages()

from engine.device import cuda_kernels_in  # noqa: E402

cuda_kernels_in("cldl.training.cuda")


def __getattr__(name: str) -> Any:  # what takes time to import, when it is asked for
    if name == "__version__":
        from importlib.metadata import version

        return version("cldl")
    if name in ("CldlClassifier", "load"):
        from cldl import estimator

        return getattr(estimator, name)
    raise AttributeError(f"module 'cldl' has no attribute {name!r}")
