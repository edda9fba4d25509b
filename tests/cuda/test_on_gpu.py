"""Tests that need a real GPU; skipped, with a count, if there is none (`make test-gpu`).

Under NUMBA_ENABLE_CUDASIM=1 and NUMBA_DISABLE_JIT=1 most of them run on the stand-in, which finds mistakes in the tests.
"""

import os
from importlib.util import find_spec

import numpy as np
import pytest

from cldl.training.trainer import Trainer
from cldl.verification.cases import LAYERS
from engine.context import Context
from engine.device import choose, to_host
from engine.errors import UserError
from engine.gradcheck import check_layer
from engine.parameters import cast
from engine.random import Key
from tests.cuda.cases import cases, difference
from tests.cuda.trainings import BASE, TRAININGS, dataset, network
from tests.strategies import mapped

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"


def missing() -> str:
    try:
        choose("cuda")
    except UserError as error:
        return str(error)
    return ""


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(missing()), reason=missing() or "there is a GPU")]
real_only = pytest.mark.skipif(SIMULATED, reason="needs a real GPU")
CASES = {case.name: case for case in cases()}
TOLERANCE = {np.float32: 3e-5, np.float64: 1e-12}  # of a layer's outputs and gradients, relative to the largest
SLOW = {"Sequential", "Network"} if SIMULATED else set()  # a minute each
CHECKED = [(name, seed) for name in LAYERS if name not in SLOW for seed in range(1 if SIMULATED else 3)]
ROUNDING = {"float32": 2e-6, "tf32": 2e-3, "bf16": 2e-2}  # of a product, relative to the largest


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr("cldl.recipes.recipe.Recipe.build_network", lambda recipe: network())


@pytest.mark.parametrize("name", CASES)
def test_a_kernel_does_what_it_does_on_the_cpu(name):
    import cupy

    assert difference(CASES[name], cupy.asarray, cupy.asnumpy) <= CASES[name].ulps


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", sorted(set(LAYERS) - {"Network"}))
def test_a_layer_and_its_gradients_are_those_of_the_cpu(name, seed, real):
    """The CPU's are held against differences; agreeing with them to rounding is as good."""
    rng = np.random.default_rng(seed)
    layer, shape, samples, _ = LAYERS[name](lambda low, high: int(rng.integers(low, high + 1)))
    cast(layer.parameters(), real)
    several = not isinstance(shape, tuple)
    shapes = tuple(shape) if several else (shape,)
    xs = tuple(rng.normal(size=(samples, *part)).astype(real) for part in shapes)
    dy = rng.normal(size=(samples, *layer.output_shape(shapes if several else shape))).astype(real)
    x = xs if several else xs[0]
    gpu = through(layer, x, dy, on_gpu=True)
    cpu = through(layer, x, dy, on_gpu=False)
    for a, b in zip(cpu, gpu, strict=True):
        assert np.abs(a - b).max(initial=0) <= TOLERANCE[real] * max(1, np.abs(a).max(initial=0))


def flat(dx):
    """The gradients of all inputs."""
    return dx if isinstance(dx, tuple) else (dx,)


def through(layer, x, dy, *, on_gpu):
    """A pass in training: y, dx, and the parameters' gradients, on the CPU."""
    values = {p: p.value for p in layer.parameters()}
    key = Key(9)
    if not on_gpu:
        ctx = Context(training=True, key=key)
        y, cache = layer.forward(x, ctx)
        dx = layer.backward(dy, cache, ctx)
        return [y.copy(), *mapped(np.copy, flat(dx)), *(ctx.gradients()[p] for p in layer.parameters())]
    import cupy

    from engine.runtime.cuda import CudaBackend

    backend = CudaBackend(layer.parameters())
    found = []

    def work(ctx, start, stop):
        y, cache = layer.forward(mapped(cupy.asarray, x), ctx)
        dx = layer.backward(cupy.asarray(dy), cache, ctx)
        found.extend(map(cupy.asnumpy, (y, *flat(dx))))

    backend.run(len(dy), work, training=True, key=key)
    gradients = [cupy.asnumpy(backend.gradients.views[p]) for p in layer.parameters()]
    for p, value in values.items():
        p.value = value
    return [*found, *gradients]


@pytest.mark.parametrize(("name", "seed"), CHECKED)
def test_a_layer_passes_every_gradient_check(name, seed):
    from tests.cuda.on_gpu import OnGpu

    rng = np.random.default_rng(seed)
    layer, shape, samples, own_seed = LAYERS[name](lambda low, high: int(rng.integers(low, high + 1)))
    check_layer(OnGpu(layer), shape, samples=samples, seed=own_seed).raise_if_failed()


@pytest.mark.parametrize("precision", ["float32", *(() if find_spec("nvmath") is None else ("tf32", "bf16"))])
@pytest.mark.parametrize("form", ["plain", "bias", "relu", "added", "transposed"])
@pytest.mark.parametrize("shape", [(128, 96, 64), (37, 25, 10), (5, 1, 3)])
def test_a_product_is_that_of_float64_to_its_precision(precision, form, shape):
    import cupy

    from engine.kernels.cuda.gemm import choose_products

    n, K, D = shape
    rng = np.random.default_rng(0)
    A, B, C, b = (rng.normal(size=s).astype(np.float32) for s in ((n, K), (K, D), (n, D), (D,)))
    a, bb, c = map(cupy.asarray, (A, B, C))
    if form == "transposed":
        a, bb = cupy.asarray(np.ascontiguousarray(A.T)).T, cupy.asarray(np.ascontiguousarray(B.T)).T
    bias = cupy.asarray(b) if form in ("bias", "relu") else None
    choose_products(precision).multiply(a, bb, c, bias=bias, relu=form == "relu", add=form == "added")
    expected = A.astype(float) @ B
    expected = {"bias": expected + b, "relu": np.maximum(expected + b, 0), "added": C + expected}.get(form, expected)
    assert np.abs(cupy.asnumpy(c) - expected).max() <= ROUNDING[precision] * max(1, np.abs(expected).max())


@pytest.mark.parametrize("name", TRAININGS)
def test_training_is_that_of_the_cpu_to_rounding(name):
    assert_close(trained(name, "cpu"), trained(name, "cuda"))


@pytest.mark.parametrize("name", TRAININGS)
def test_two_runs_have_the_same_bits(name):
    assert same(trained(name, "cuda"), trained(name, "cuda"))


def test_a_run_that_is_stopped_and_resumed_has_the_bits_of_one_that_is_not():
    whole, first, second = (Trainer.from_recipe(BASE, dataset(), device="cuda") for _ in range(3))
    list(whole.steps())
    next(first.steps())
    second.restore(*first.state())
    list(second.steps())
    assert same(whole, second)


@real_only  # simulated in tests/cuda/step_checks.py
def test_a_run_begun_on_the_cpu_is_resumed_on_the_gpu():
    first, cpu, gpu = (
        Trainer.from_recipe(BASE, dataset(), threads=1, device=device) for device in ("cpu", "cpu", "cuda")
    )
    next(first.steps())
    for trainer in (cpu, gpu):
        trainer.restore(*first.state())
        list(trainer.steps())
    assert_close(cpu, gpu)


def test_an_evaluation_between_two_steps_changes_nothing():
    plain, disturbed = (Trainer.from_recipe(BASE, dataset(), device="cuda") for _ in range(2))
    list(plain.steps())
    for _ in disturbed.steps():
        disturbed.evaluate()
    assert same(plain, disturbed)


def test_images_that_stay_on_the_cpu_give_the_same_bits(monkeypatch):
    resident = trained("AdamW", "cuda")
    monkeypatch.setattr("cldl.training.cuda.step.SHARE", 0.0)
    copied = trained("AdamW", "cuda")
    assert resident.train_step.prefetcher is None
    assert copied.train_step.prefetcher is not None
    assert same(resident, copied)


@real_only
@pytest.mark.skipif(find_spec("nvmath") is None, reason="CuPy's products cannot be captured: needs nvmath-python")
def test_a_step_is_replayed_as_a_graph_with_the_bits_of_plain_launches(monkeypatch):
    replayed = trained("AdamW", "cuda")
    graph = next(step for (n, _), step in replayed.train_step.captured.items() if n == 4).graph
    assert graph.reason == ""
    assert graph.graph is not None
    monkeypatch.setattr("engine.runtime.graph.CapturedGraph._capture", lambda self: None)
    assert same(replayed, trained("AdamW", "cuda"))


def trained(name: str, device: str) -> Trainer:
    trainer = Trainer.from_recipe(TRAININGS[name], dataset(), seed=3, threads=1, device=device)
    for _ in range(3):  # over the same samples: the graph of a whole batch is replayed several times
        list(trainer.steps())
        trainer.step = 0
    return trainer


def same(a: Trainer, b: Trainer) -> bool:
    pairs = zip(a.network.parameters(), b.network.parameters(), strict=True)
    return a.metrics.loss == b.metrics.loss and all(
        np.array_equal(to_host(p.value), to_host(q.value)) for p, q in pairs
    )


def assert_close(cpu: Trainer, gpu: Trainer) -> None:
    assert np.allclose(cpu.metrics.loss, gpu.metrics.loss, rtol=1e-4)
    for p, q in zip(cpu.network.parameters(), gpu.network.parameters(), strict=True):
        assert np.allclose(p.value, to_host(q.value), atol=1e-3)
