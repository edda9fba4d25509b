"""Write a trained run for other tools: preprocessing, network and joint prediction.

python -m cldl.export runs/mnist_nin-20260101-120000 --onnx digits.onnx
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cldl.commands import add_data_arguments, guarded, leave, parser
from cldl.exporting import save_onnx, save_torch
from cldl.exporting.library import library
from cldl.interop import save_weights
from cldl.recipes.photos import PhotoSpec
from cldl.training.run import Run
from cldl.training.trained import TrainedModel
from engine.errors import UserError


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, 2 for an error that the user can fix, 130 after Ctrl-C."""
    p = parser("cldl.export", "Write a trained run for other tools.")
    p.add_argument("run", type=Path, metavar="DIR", help="the run's folder")
    p.add_argument("--onnx", type=Path, metavar="FILE", help="all from bytes to the joint prediction, as an ONNX graph")
    p.add_argument("--torch", type=Path, metavar="DIR", help="the same as a file of PyTorch's code, and its weights")
    p.add_argument("--safetensors", type=Path, metavar="FILE", help="the weights alone, by their names")
    add_data_arguments(p)
    options = p.parse_args(argv)
    writers: dict[str, Callable[[TrainedModel, Path], None]] = {
        "onnx": save_onnx,
        "torch": save_torch,
        "safetensors": lambda model, path: save_weights(model.network, path),
    }
    chosen = {name: getattr(options, name) for name in writers if getattr(options, name) is not None}
    if not chosen:
        raise UserError("there is nothing to write: give --onnx FILE, --torch DIR or --safetensors FILE.")
    for name in chosen:
        library("onnx" if name == "onnx" else "safetensors")  # before anything is loaded
    run = Run.open(options.run)
    model = run.model(cache=options.cache, data=options.data, device="cpu", threads=1)
    for name, path in chosen.items():
        writers[name](model, path)
        print(f"{name}: {path}", flush=True)
    if isinstance(data := run.recipe.data, PhotoSpec):
        print(f"give it photographs {data.view(model.network.input_shape[0]).told()} (docs/export.md)")
    return 0


if __name__ == "__main__":
    leave(main)
