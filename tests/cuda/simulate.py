"""Every kernel under the CUDA simulator, compared with the CPU's; a line of JSON: {case: ULPs apart, or the error}."""

import json
import traceback

import numpy as np

from tests.cuda import stand_in

cupy = stand_in.install()

from engine.kernels.cuda import bias  # after the stand-in
from tests.cuda.cases import apart, cases, difference, reals


def main() -> None:
    found = without_pair()
    for case in cases():
        with np.errstate(all="ignore"):
            try:
                found[case.name] = difference(case, cupy.asarray, cupy.asnumpy)
            except Exception:
                found[case.name] = traceback.format_exc(limit=-3)
    print(json.dumps(found))


def without_pair() -> dict[str, float]:
    """Kernels that have no counterpart on the CPU, against NumPy."""
    from cldl.training.cuda.loss import stop_unless_finite
    from engine.kernels.cuda.images import gather

    rng = np.random.default_rng(3)
    rows = 150  # two sums of 64 rows, and one of fewer
    y, dy, b = reals(rng, rows, 3), reals(rng, rows, 3), reals(rng, 3)
    found = {}

    moved = cupy.asarray(y)
    bias.add_bias(moved, cupy.asarray(b))
    found["add_bias"] = apart(y + b, cupy.asnumpy(moved))

    moved = cupy.asarray(y)
    bias.add_bias_relu(moved, cupy.asarray(b))
    found["add_bias_relu"] = apart(np.maximum(y + b, 0), cupy.asnumpy(moved))

    db = cupy.asarray(b)
    bias.add_column_sums(cupy.asarray(dy), db, cupy.empty)
    found["add_column_sums"] = apart((b + dy.astype(float).sum(axis=0)).astype(np.float32), cupy.asnumpy(db))

    g, db = dy * (y > 0), cupy.asarray(b)
    dx = cupy.empty(dy.shape, np.float32)
    bias.relu_backward_add_column_sums(cupy.asarray(y), cupy.asarray(dy), dx, db, cupy.empty)
    sums = apart((b + g.astype(float).sum(axis=0)).astype(np.float32), cupy.asnumpy(db))
    found["relu_backward_add_column_sums"] = max(sums, apart(g, cupy.asnumpy(dx)))

    images, index = rng.integers(0, 256, (4, 6)).astype(np.uint8), np.array([2, 0, 2])
    to = cupy.empty((3, 6), np.uint8)
    gather(cupy.asarray(images), cupy.asarray(index), to)
    found["gather"] = apart(images[index], cupy.asnumpy(to))

    learning_rates = []
    for worst in (1.0, np.inf, np.nan):
        losses, hyperparameters = np.ones((5, 3)), cupy.asarray(np.array([0.1, 0, 1, 1]))
        losses[4, 1] = worst
        stop_unless_finite(cupy.asarray(losses), cupy.asarray(np.ones(3)), hyperparameters)
        learning_rates.append(cupy.asnumpy(hyperparameters)[0])
    found["stop_unless_finite"] = apart(np.array([0.1, np.nan, np.nan]), np.array(learning_rates))
    found["predictions"] = of_predictions(rng)
    return found


def of_predictions(rng: np.random.Generator) -> float:
    """The classes' losses in ULPs; infinity where a prediction differs."""
    from cldl.inference import class_losses, predict
    from cldl.training.cuda.inference import predictions

    N, K, M = 6, 4, 3
    logits = [2 * reals(rng, N, K) for _ in range(M)]
    logits[0][0], logits[1][0], logits[2][0] = (
        [2000.0, 0, 0, 0] for _ in range(M)
    )  # every loss but one underflows to 0
    weights, scratch = np.array([1.0, 0.5, 2.0]), [cupy.empty(shape) for shape in ((N, K, M), (N, K), (N, K))]
    to = cupy.empty((N, M + 1), np.int64)
    predictions(tuple(map(cupy.asarray, logits)), cupy.asarray(weights), 0.5, True, *scratch, to)
    expected = np.stack([*(z.argmax(axis=1) for z in logits), predict(logits, weights, 0.5)], axis=1)
    same = np.array_equal(expected, cupy.asnumpy(to))
    return apart(class_losses(logits, weights, 0.5), cupy.asnumpy(scratch[1])) if same else np.inf


if __name__ == "__main__":
    main()
