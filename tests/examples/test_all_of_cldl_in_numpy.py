"""The example that shows all of CLDL in one file: the engine's numbers, from NumPy alone."""

import ast
import importlib
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given

from cldl import inference
from cldl.arguments import default_exponent
from cldl.loss import cldl_loss
from engine.context import Context
from engine.gradcheck import check_gradients, grid
from engine.parameters import cast
from engine.random import Key
from layers import Linear, ReLU
from tests.cldl.synthetic import digits
from tests.strategies import LossCase, loss_cases

PATH = Path(__file__).parents[2] / "examples" / "01_all_of_cldl_in_numpy.py"
TINY = 1e-300  # below it a float64 has not all its digits
WIDTHS = (1e-3, 1.0, 50.0, 700.0, 1e4)  # of the logits


def load_example():
    spec = importlib.util.spec_from_file_location("all_of_cldl_in_numpy", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ours = load_example()


def loss_and_dz(case, dL=None):
    """The loss of each sample and dz (M, N, K), for the upstream gradient dL (N,), which is the mean's by default."""
    N = len(case.labels)
    d, margin_cache = ours.margin_forward(np.stack(case.logits), case.labels)
    L, cldl_cache = ours.cldl_forward(d, case.weights, case.g)
    dd = ours.cldl_backward(np.full(N, 1 / N) if dL is None else dL, cldl_cache)
    return L, ours.margin_backward(dd, margin_cache)


def small_network():
    """x (5, 4), and a network of three blocks whose pre-activations keep clear of ReLU's kink."""
    key, network = Key(11), []
    for i, (C, D) in enumerate([(4, 6), (6, 5), (5, 3)]):
        network.append(tuple(grid(shape, key.fold(4 * i + j)) for j, shape in enumerate([(C, D), (D,), (D, 3), (3,)])))
    x = grid((5, 4), key.fold(99))
    _, caches = ours.network_forward(x, network)
    for (W, b, _, _), ((h, _), _, _) in zip(network, caches, strict=True):
        assert np.abs(h @ W + b).min() > 1e-3
    return x, network


# ---- the loss and the engine's ----


@given(case=loss_cases(classes=8, widths=WIDTHS))
@example(case=LossCase([np.zeros((1, 2))] * 3, np.array([1]), np.ones(3), None, True))
@example(case=LossCase([np.array([[1e4, -1e4]]), np.array([[-1e4, 1e4]])], np.array([1]), np.ones(2), None, True))
def test_the_loss_and_its_gradient_are_the_engines_to_twelve_digits(case):
    result = cldl_loss(case.logits, case.labels, case.weights, case.exponent)
    L, dz = loss_and_dz(case)
    np.testing.assert_allclose(L.mean(), result.value, rtol=1e-12, atol=TINY)
    np.testing.assert_allclose(L, case.weights @ result.per_classifier, rtol=1e-12, atol=TINY)
    np.testing.assert_allclose(dz, result.gradients, rtol=1e-12, atol=TINY)


@pytest.mark.parametrize("exponent", [0.0, 0.25, 0.5, 1.0, 2.0, 3.7])
@pytest.mark.parametrize("width", [1.0, 30.0, 1e4])
def test_every_exponent_gives_the_engines_loss(exponent, width):
    logits = [grid((6, 10), Key(m), width) for m in range(3)]
    case = LossCase(logits, np.arange(6), np.array([0.5, 1.0, 2.0]), exponent, True)
    result = cldl_loss(case.logits, case.labels, case.weights, exponent)
    L, dz = loss_and_dz(case)
    np.testing.assert_allclose(L.mean(), result.value, rtol=1e-12, atol=TINY)
    np.testing.assert_allclose(dz, result.gradients, rtol=1e-12, atol=TINY)


def test_extreme_logits_raise_no_floating_point_warning_and_stay_finite():
    logits = [grid((6, 10), Key(m), 1e4) for m in range(3)]
    with np.errstate(over="raise", divide="raise", invalid="raise"):  # underflow to 0 is right
        L, dz = loss_and_dz(LossCase(logits, np.arange(6), np.ones(3), None, True))
        ours.predict(np.stack(logits), np.ones(3), 0.5)
    assert np.isfinite(L).all()
    assert np.isfinite(dz).all()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("M", "exponent"), [(1, None), (2, None), (3, None), (3, 0.0), (3, 0.25), (3, 2.0), (5, None)])
def test_the_joint_prediction_is_the_engines(M, exponent, width):
    logits = [width * Key(17).fold(m).normal((200, 10)) for m in range(M)]
    weights = np.linspace(0.5, 2.0, M)
    got = ours.predict(np.stack(logits), weights, default_exponent(M) if exponent is None else exponent)
    assert got.tolist() == inference.predict(logits, weights, exponent).tolist()


def test_two_classifiers_sure_of_different_classes_are_decided_by_the_mean_margin_as_in_the_engine():
    z = np.array([[[2000.0, 0.0, 0.0]], [[0.0, 0.0, 3000.0]]])  # both losses underflow to 0
    assert ours.predict(z, np.ones(2), 1.0).tolist() == inference.predict(list(z)).tolist() == [2]


# ---- every backward and its forward ----


def test_the_backward_of_the_linear_layer_is_the_gradient_of_its_forward():
    x, W, b = grid((3, 4), Key(0)), grid((4, 5), Key(1)), grid((5,), Key(2))
    check_gradients(ours.linear_forward, ours.linear_backward, [x, W, b]).raise_if_failed()


def test_the_backward_of_the_relu_is_the_gradient_of_its_forward():
    check_gradients(ours.relu_forward, ours.relu_backward, [grid((4, 5), Key(0))]).raise_if_failed()


@pytest.mark.parametrize("K", [2, 3, 10])
def test_the_backward_of_the_margin_is_the_gradient_of_its_forward(K):
    target = np.array([0, 1, 1, K - 1])
    z = grid((3, 4, K), Key(K))
    check_gradients(lambda z: ours.margin_forward(z, target), ours.margin_backward, [z]).raise_if_failed()


@pytest.mark.parametrize("exponent", [0.0, 0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("M", [1, 2, 3, 5])
def test_the_backward_of_the_loss_is_the_gradient_of_its_forward(M, exponent):
    weights = np.linspace(0.5, 2, M)
    d = grid((M, 4), Key(M))
    check_gradients(lambda d: ours.cldl_forward(d, weights, exponent), ours.cldl_backward, [d]).raise_if_failed()


def test_the_backward_of_the_network_is_the_gradient_of_its_forward():
    x, network = small_network()
    arrays = [v for block in network for v in block]

    def forward(*arrays):
        return ours.network_forward(x, [arrays[i : i + 4] for i in range(0, len(arrays), 4)])

    def backward(dz, caches):
        return [dv for dblock in ours.network_backward(dz, caches) for dv in dblock]

    check_gradients(forward, backward, arrays).raise_if_failed()


# ---- one training step ----


def engine_step(x, target, network, weights, g):
    """The loss and the gradients, as a tuple a block, from the engine's layers with the network's weights."""
    ctx, h, logits, passes = Context(training=True), x, [], []
    for W, b, V, c in network:
        linear, relu, head = Linear(*W.shape), ReLU(), Linear(*V.shape)
        cast([*linear.parameters(), *head.parameters()], np.float64)
        for parameter, value in zip([*linear.parameters(), *head.parameters()], (W, b, V, c), strict=True):
            parameter.value[...] = value
        a, linear_cache = linear.forward(h, ctx)
        h, relu_cache = relu.forward(a, ctx)
        z, head_cache = head.forward(h, ctx)
        logits.append(z)
        passes.append([(linear, linear_cache), (relu, relu_cache), (head, head_cache)])
    result = cldl_loss(logits, target, weights, g)
    dh = 0.0
    for dz, ((linear, linear_cache), (relu, relu_cache), (head, head_cache)) in zip(
        result.gradients[::-1], passes[::-1], strict=True
    ):
        dh = dh + head.backward(dz, head_cache, ctx)
        dh = linear.backward(relu.backward(dh, relu_cache, ctx), linear_cache, ctx)
    grads = [
        [ctx.gradient(parameter) for layer in (linear, head) for parameter in layer.parameters()]
        for (linear, _), _, (head, _) in passes
    ]
    return result.value, grads


@pytest.mark.parametrize("g", [0.25, 0.5, 2.0])
def test_a_training_steps_loss_and_gradients_are_those_of_the_engines_layers(g):
    rng = np.random.default_rng(5)
    network = ours.init_network(rng, 20, (16, 12, 8), 10)
    x, target = rng.standard_normal((32, 20)), np.arange(32) % 10
    weights = np.array([0.5, 1.0, 2.0])
    value, grads = engine_step(x, target, network, weights, g)
    L, own = ours.loss_and_grads(x, target, network, weights, g)
    np.testing.assert_allclose(L, value, rtol=1e-10)
    for block, own_block in zip(grads, own, strict=True):
        for expected, got in zip(block, own_block, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


def test_two_steps_of_sgd_are_what_the_docstring_says_and_biases_do_not_decay():
    rng = np.random.default_rng(0)
    W, b, V, c = (rng.standard_normal(shape) for shape in [(2, 3), (3,), (3, 2), (2,)])
    grads = [rng.standard_normal(v.shape) for v in (W, b, V, c)]
    network, velocities = [tuple(v.copy() for v in (W, b, V, c))], [[np.zeros_like(v) for v in (W, b, V, c)]]
    for _ in range(2):
        ours.sgd_step(network, velocities, [grads], 0.3)
    for w, dw, got in zip((W, b, V, c), grads, network[0], strict=True):
        decay = ours.DECAY if w.ndim == 2 else 0.0
        first = dw + decay * w
        once = w - 0.3 * first
        second = ours.MOMENTUM * first + dw + decay * once
        np.testing.assert_allclose(got, once - 0.3 * second, rtol=1e-12)


# ---- the gradient check of the example itself ----


def companions_held_constant(dL, cache):
    d, T, _, _, weights, _ = cache
    return -(weights[:, None] * T * np.exp(-ours.softplus(d))) * dL


def blocks_apart(dz, caches):
    return [ours.network_backward(dz[m : m + 1], caches[m : m + 1])[0] for m in range(len(caches))]


def nan_relu(dy, cache):
    return np.where(cache > 0, dy, np.nan)


WRONG = {
    "a ReLU that lets all through": ("relu_backward", lambda dy, y: dy),
    "a gradient that is NaN": ("relu_backward", nan_relu),
    "a bias without gradient": ("linear_backward", lambda dy, c: (dy @ c[1].T, c[0].T @ dy, 0 * dy.sum(axis=0))),
    "a target without gradient": ("margin_backward", lambda dd, c: dd[:, :, None] * np.where(c[0], -c[1], 0.0)),
    "companions held constant": ("cldl_backward", companions_held_constant),
    "blocks that see their own classifier only": ("network_backward", blocks_apart),
}


def test_the_gradient_check_passes():
    assert ours.check_gradients() < 1e-8


@pytest.mark.parametrize("bug", WRONG)
def test_the_gradient_check_reports_a_wrong_backward_and_the_program_does_not_train(bug, tmp_path, capsys):
    fresh = load_example()
    name, wrong = WRONG[bug]
    setattr(fresh, name, wrong)
    assert not fresh.check_gradients() < 1e-3
    with pytest.raises(SystemExit, match="a gradient is wrong"):
        fresh.main([str(npz(tmp_path))])
    assert "epoch" not in capsys.readouterr().out


# ---- training, and the program ----


def npz(folder, **changes):
    """A file like MNIST's, of small data, with some arrays replaced; None leaves one out."""
    data = digits()
    arrays = {
        "x_train": data.train.images,
        "y_train": data.train.labels,
        "x_test": data.test.images,
        "y_test": data.test.labels,
    }
    arrays |= changes
    path = folder / "mnist.npz"
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def part(images, labels):
    return images.reshape(len(images), -1) / 255, labels


@pytest.mark.parametrize("g", [0.25, 0.5])
def test_separable_data_is_learned_to_a_joint_error_of_at_most_one_percent(g):
    data = digits(train=500, test=200)
    train, test = part(data.train.images, data.train.labels), part(data.test.images, data.test.labels)
    rng = np.random.default_rng(0)
    untrained = ours.error_rates(*test, ours.init_network(rng, 784, ours.WIDTHS, 10), np.ones(3), g)
    _, errors = ours.train(*train, *test, 6, g, rng)
    assert min(untrained) > 50
    assert errors[-1] <= 1


def test_equal_seeds_train_equal_networks():
    data = digits()
    train, test = part(data.train.images, data.train.labels), part(data.test.images, data.test.labels)
    first, second = (ours.train(*train, *test, 1, 0.25, np.random.default_rng(3))[0] for _ in range(2))
    assert all((a == b).all() for one, two in zip(first, second, strict=True) for a, b in zip(one, two, strict=True))


def test_the_commands_at_the_top_run(tmp_path, monkeypatch, capsys):
    (command,) = re.findall(r'python -c "(.*?)"', ours.__doc__, re.DOTALL)
    (module,) = re.findall(r"from (\S+) import load", command)
    monkeypatch.setattr(importlib.import_module(module), "load", digits)
    monkeypatch.chdir(tmp_path)
    exec(command, {})
    (arguments,) = re.findall(rf"python examples/{PATH.name} (.*)", ours.__doc__)
    ours.main([*arguments.split(), "--epochs", "2"])
    checked, header, *epochs = capsys.readouterr().out.splitlines()
    assert float(checked.split()[-1]) < 1e-8
    assert header in ours.__doc__
    assert [line.split()[0] for line in epochs] == ["1", "2"]
    assert all(len(line.split()) == 7 for line in epochs)


def refusal(path, capsys, *options):
    with pytest.raises(SystemExit) as stop:
        ours.main([str(path), *options])
    assert stop.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


EXPECTED = "an .npz file with uint8 images x_train, x_test and labels 0 to 9 in y_train, y_test"


def test_a_missing_file_is_refused_with_the_remedy(tmp_path, capsys):
    path = tmp_path / "none.npz"
    sentence = f"there is no file {path}, expected {EXPECTED}: make it as the top of this program shows."
    assert refusal(path, capsys).endswith(sentence)


@pytest.mark.parametrize(
    "changes",
    [
        {"y_test": None},
        {"x_train": np.zeros((48, 28, 28))},
        {"x_test": np.zeros((20, 14, 14), np.uint8)},
        {"y_train": np.zeros(47, int)},
        {"y_train": np.full(48, 10)},
        {"y_test": np.zeros((20, 1), int)},
        {"x_test": np.zeros((0, 28, 28), np.uint8), "y_test": np.zeros(0, int)},
    ],
    ids=[
        "no y_test",
        "float images",
        "other sizes",
        "a label short",
        "label 10",
        "a column of labels",
        "no test images",
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_the_remedy(tmp_path, capsys, changes):
    path = npz(tmp_path, **changes)
    assert refusal(path, capsys).endswith(f"{path} is not {EXPECTED}: make it as the top of this program shows.")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut short"])
def test_a_file_of_another_kind_is_refused_with_the_remedy(tmp_path, capsys, content):
    path = tmp_path / "mnist.npz"
    path.write_bytes(content)
    assert refusal(path, capsys).endswith(f"{path} is not {EXPECTED}: make it as the top of this program shows.")


@pytest.mark.parametrize("options", [["--epochs", "0"], ["--exponent", "-1"], ["--exponent", "nan"], ["--seed", "-1"]])
def test_options_out_of_range_are_refused(tmp_path, capsys, options):
    sentence = "epochs of 1 or more, a finite exponent and a seed of 0 or more were expected: change the options."
    assert refusal(npz(tmp_path), capsys, *options).endswith(sentence)


def test_the_example_imports_nothing_but_numpy_and_the_standard_library():
    imported = set()
    for node in ast.walk(ast.parse(PATH.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    assert "numpy" in imported
    assert imported <= sys.stdlib_module_names | {"numpy"}
