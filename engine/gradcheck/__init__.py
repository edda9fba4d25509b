"""Is a hand-written backward pass the gradient of its forward pass? The public checker, for your own layers too.

`check_gradients` takes any forward/backward pair and compares each gradient with finite differences of the forward pass;
`check_loss` does the same for a loss and its gradient. `engine.gradcheck.torch` and `engine.gradcheck.jax` check functions of
these frameworks. `check_layer` takes a layer with one input or several, and checks its gradients and everything else that
layers.layer asks of a layer; `layer_checks` and `parametrize_layers` are the same checks as a generator and as a pytest
decorator.

To read the code, begin with check.py (gradients of functions) and checks.py (what is checked of a layer).
"""

from engine.gradcheck.check import check_gradients, check_loss
from engine.gradcheck.differences import TOLERANCES
from engine.gradcheck.inputs import clear_input, grid
from engine.gradcheck.layer_report import LayerReport
from engine.gradcheck.layers import check_layer, layer_checks, layer_pair, parametrize_layers
from engine.gradcheck.report import GradientError, GradientReport, KinkError

__all__ = [
    "TOLERANCES",
    "GradientError",
    "GradientReport",
    "KinkError",
    "LayerReport",
    "check_gradients",
    "check_layer",
    "check_loss",
    "clear_input",
    "grid",
    "layer_checks",
    "layer_pair",
    "parametrize_layers",
]
