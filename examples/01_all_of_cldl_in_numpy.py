"""All of CLDL in one file: forward, backward, gradient check, training and inference, in nothing but NumPy.

Collaborative Layer-wise Discriminative Learning (Jin, Chen, Dong, Feng and Yan, ECCV 2016) puts a classifier on each of
several layers of one network and trains them together. A sample counts less for a classifier whose companions already
have it right, so that each classifier can turn to the samples that the others get wrong. Here are three blocks:

    x (N, 784) ---> block 1 ---> block 2 ---> block 3        a block: h = relu(x W + b)
                       |            |            |
                 classifier 1 classifier 2 classifier 3      a classifier: z = h V + c, the logits (N, K)
                       |            |            |
                       '-------- CLDL loss ------'

N samples, K classes, M classifiers; the gradient of `v` is `dv`; a trailing comment gives an array's shape. A forward
function returns its result and a cache; its backward takes the gradient of that result and the cache.

To run it, write MNIST to a file (Keras's mnist.npz has the same arrays and will do), then train:

    python -c "import numpy as np; from data.sources.mnist import load; d = load(); np.savez('mnist.npz',
    x_train=d.train.images, y_train=d.train.labels, x_test=d.test.images, y_test=d.test.labels)"
    python examples/01_all_of_cldl_in_numpy.py mnist.npz

It prints this; the errors are those on the test images, in %, and the time is that of two idle cores (where other
programs use the cores, it is faster on one: set OPENBLAS_NUM_THREADS=1). The last digits depend on the BLAS:

    gradients against central differences: worst relative error 1.2e-09
    epoch    loss   classifier 1       2       3   joint   seconds
        1  0.6438           4.27    3.94    4.38    3.71         1
        2  0.2499           3.44    2.96    3.32    2.96         3
        3  0.1614           2.89    2.86    3.11    2.72         4
      ...
       10  0.0140           2.20    1.84    1.76    1.67        14

The exponent g says how much a classifier leaves to its companions. The joint error after ten epochs, for seeds 0, 1 and 2
(on one thread; at 0.5 even the order of summation moves it by 0.8):

    --exponent 0      1.77  1.77  1.71    the companions do not matter: the sum of three cross-entropies
    --exponent 0.25   1.67  1.74  1.71    the default here; from 0 it differs by no more than seeds do
    --exponent 0.5    6.66  3.65  4.17    the paper's 1 / (M - 1); each classifier alone errs on 41 to 64 %

With the paper's exponent the classifiers of this small network divide the digits among themselves. At least one of them
is right on 99.5 % of the images (seed 0), but each is mostly sure of its answer where it is wrong, too, so the joint
prediction may trust the wrong one.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

CLASSES = 10
WIDTHS = (128, 128, 128)  # outputs of each block
EXPONENT = 0.25  # g; the paper's is 1 / (M - 1) = 0.5 (compared at the top)
BATCH, LEARNING_RATE, MOMENTUM, DECAY = 100, 0.05, 0.9, 1e-4

# ---- Layers ----------------------------------------------------------------------------------------------------------


def linear_forward(x, W, b):
    """y = x W + b."""
    return x @ W + b, (x, W)  # (N, D), from x (N, C), W (C, D), b (D,)


def linear_backward(dy, cache):
    """y_nd = sum_c x_nc W_cd + b_d: W_cd meets dy_nd through x_nc, b_d directly, x_nc through W_cd."""
    x, W = cache
    return dy @ W.T, x.T @ dy, dy.sum(axis=0)  # dx (N, C), dW (C, D), db (D,)


def relu_forward(x):
    """y = max(x, 0)."""
    y = np.maximum(x, 0)  # as x
    return y, y


def relu_backward(dy, cache):
    """y is x where x > 0, which is where y > 0, and does not depend on x elsewhere."""
    y = cache
    return dy * (y > 0)  # as y


# ---- The network -----------------------------------------------------------------------------------------------------


def init_network(rng, inputs, widths, K):
    """A tuple (W, b, V, c) for each block and its classifier; weights are drawn from N(0, 2 / inputs) (He et al., 2015)."""
    network = []
    for C, D in zip([inputs, *widths[:-1]], widths, strict=True):
        W, V = rng.standard_normal((C, D)), rng.standard_normal((D, K))
        network.append((W * np.sqrt(2 / C), np.zeros(D), V * np.sqrt(2 / D), np.zeros(K)))
    return network


def network_forward(x, network):
    """The logits of the M classifiers, each on top of its block."""
    h, logits, caches = x, [], []
    for W, b, V, c in network:
        a, linear_cache = linear_forward(h, W, b)  # (N, D)
        h, relu_cache = relu_forward(a)  # (N, D)
        z, head_cache = linear_forward(h, V, c)  # (N, K)
        logits.append(z)
        caches.append((linear_cache, relu_cache, head_cache))
    return np.stack(logits), caches  # (M, N, K)


def network_backward(dlogits, caches):
    """From the top block down; h is read by a classifier and by the block above, so dh is the sum of two gradients."""
    grads, dh_above = [], 0.0  # nothing is above the top block
    for dz, (linear_cache, relu_cache, head_cache) in zip(dlogits[::-1], caches[::-1], strict=True):
        dh, dV, dc = linear_backward(dz, head_cache)
        da = relu_backward(dh + dh_above, relu_cache)
        dh_above, dW, db = linear_backward(da, linear_cache)
        grads.append((dW, db, dV, dc))
    return grads[::-1]  # as the network


# ---- The loss --------------------------------------------------------------------------------------------------------
#
# With p_m the probability (softmax) that classifier m gives to the target class, and q_m = 1 - p_m, a sample's loss is
#
#     L = sum over m of lambda_m C_m T_m,    C_m = -log p_m,    T_m = product over t != m of q_t^g,    g = 1 / (M - 1)
#
# C is the cross-entropy. T is the geometric mean of the companions' q: near 0 once one of them is sure of the target.
# Where p is near 1, computing 1 - p would lose all its digits, so everything is computed from the margin
#
#     d = z_target - log(sum over the wrong classes j of exp z_j)    since    p = 1 / (1 + e^-d),    q = 1 / (1 + e^d)
#
# With softplus(x) = log(1 + e^x) that is C = softplus(-d) and log q = -softplus(d).


def softplus(x):
    """log(1 + e^x), without overflow."""
    return np.logaddexp(0, x)


def margin_forward(z, target):
    """d, how far the target's logit is ahead of all the wrong classes together; z (M, N, K), target (N,)."""
    _, N, K = z.shape
    wrong = np.arange(K) != target[:, None]  # (N, K)
    z_wrong = np.where(wrong, z, -np.inf)  # (M, N, K)
    largest = z_wrong.max(axis=2, keepdims=True)  # (M, N, 1)
    e = np.exp(z_wrong - largest)  # (M, N, K), 0 on the target
    total = e.sum(axis=2, keepdims=True)  # (M, N, 1), at least 1
    ahead = z[:, np.arange(N), target] - largest[:, :, 0]  # (M, N), of the best wrong class
    d = ahead - np.log(total[:, :, 0])  # (M, N); adding the logarithm to the large z first would round it
    return d, (wrong, e / total)


def margin_backward(dd, cache):
    """∂d/∂z_j is 1 on the target, and minus the softmax over the wrong classes on those."""
    wrong, softmax_wrong = cache
    return dd[:, :, None] * np.where(wrong, -softmax_wrong, 1.0)  # (M, N, K)


def cldl_forward(d, weights, g):
    """L, the loss of each sample, from the margins d (M, N); weights (M,) are the lambda_m, g is the exponent."""
    companions = 1 - np.eye(len(d))  # (M, M): row m sums over all t != m
    C = softplus(-d)  # (M, N)
    T = np.exp(-g * companions @ softplus(d))  # (M, N)
    terms = weights[:, None] * C * T  # (M, N)
    return terms.sum(axis=0), (d, T, terms, companions, weights, g)


def cldl_backward(dL, cache):
    """d_k enters L through C_k, where ∂C/∂d = -q, and through every other T_m, where ∂T_m/∂d_k = -g p_k T_m."""
    d, T, terms, companions, weights, g = cache
    p, q = np.exp(-softplus(-d)), np.exp(-softplus(d))  # (M, N)
    through_C = weights[:, None] * T * q  # (M, N)
    through_T = g * p * (companions @ terms)  # (M, N); nothing is divided by 1 - p
    return -(through_C + through_T) * dL  # (M, N)


def predict(z, weights, g):
    """The class that would make the smallest loss, were it the target; the mean margin decides between equal losses."""
    margins = np.stack([margin_forward(z, np.full(z.shape[1], y))[0] for y in range(z.shape[2])])  # (K, M, N)
    losses = np.stack([cldl_forward(d, weights, g)[0] for d in margins])  # (K, N)
    return np.lexsort((-margins.mean(axis=1), losses), axis=0)[0]  # (N,), the first class in order of loss, then margin


# ---- From a batch to all gradients, and their check ------------------------------------------------------------------


def loss_and_grads(x, target, network, weights, g):
    """The mean loss of a batch, and its gradient with respect to every array of the network."""
    z, network_cache = network_forward(x, network)  # (M, N, K)
    d, margin_cache = margin_forward(z, target)  # (M, N)
    L, cldl_cache = cldl_forward(d, weights, g)  # (N,)
    dL = np.full(len(x), 1 / len(x))  # (N,), of the mean
    dd = cldl_backward(dL, cldl_cache)  # (M, N)
    dz = margin_backward(dd, margin_cache)  # (M, N, K)
    return L.mean(), network_backward(dz, network_cache)


def check_gradients(step=1e-5):
    """Hold a small network's gradients against central differences; the worst error, relative to its array's largest."""
    rng = np.random.default_rng(0)
    network = init_network(rng, 5, (6, 5, 4), 3)
    for _, b, _, c in network:  # with b = 0, a sample that activates nothing would put the next block on ReLU's kink
        b += rng.standard_normal(b.shape)
        c += rng.standard_normal(c.shape)
    x, target, weights, g = rng.standard_normal((7, 5)), np.arange(7) % 3, np.array([0.5, 1.0, 2.0]), 0.5
    _, grads = loss_and_grads(x, target, network, weights, g)
    worst = 0.0
    for block, dblock in zip(network, grads, strict=True):
        for v, dv in zip(block, dblock, strict=True):
            numeric = np.empty_like(v)
            for i in np.ndindex(v.shape):
                before = v[i]
                v[i] = before + step
                above, _ = loss_and_grads(x, target, network, weights, g)
                v[i] = before - step
                below, _ = loss_and_grads(x, target, network, weights, g)
                v[i] = before
                numeric[i] = (above - below) / (2 * step)
            worst = np.maximum(worst, np.abs(dv - numeric).max() / np.abs(numeric).max())  # max() would drop NaN
    return worst


# ---- Training --------------------------------------------------------------------------------------------------------


def sgd_step(network, velocities, grads, learning_rate):
    """v = momentum v + dw + decay w, then w = w - learning_rate v; biases do not decay."""
    for block, velocity, dblock in zip(network, velocities, grads, strict=True):
        for w, v, dw in zip(block, velocity, dblock, strict=True):
            v *= MOMENTUM
            v += dw + (DECAY * w if w.ndim == 2 else 0.0)
            w -= learning_rate * v


def error_rates(x, target, network, weights, g):
    """Error in %: of each classifier alone, then of the joint prediction."""
    z, _ = network_forward(x, network)
    predictions = [*z.argmax(axis=2), predict(z, weights, g)]
    return [100 * np.mean(prediction != target) for prediction in predictions]


def train(x, y, x_test, y_test, epochs, g, rng):
    """Train a network, printing a line an epoch; returns it with the last epoch's test errors."""
    network = init_network(rng, x.shape[1], WIDTHS, CLASSES)
    velocities = [[np.zeros_like(w) for w in block] for block in network]
    weights = np.ones(len(network))  # lambda_m
    steps, step, begin = epochs * -(-len(x) // BATCH), 0, time.perf_counter()
    print("epoch    loss   classifier 1       2       3   joint   seconds")
    for epoch in range(1, epochs + 1):
        order, total = rng.permutation(len(x)), 0.0
        for start in range(0, len(x), BATCH):
            batch = order[start : start + BATCH]
            L, grads = loss_and_grads(x[batch], y[batch], network, weights, g)
            sgd_step(network, velocities, grads, LEARNING_RATE * (1 - step / steps))  # falls linearly to 0
            total += L * len(batch)
            step += 1
        errors = error_rates(x_test, y_test, network, weights, g)
        columns = " ".join(f"{error:7.2f}" for error in errors)
        print(f"{epoch:5} {total / len(x):7.4f}        {columns} {time.perf_counter() - begin:9.0f}", flush=True)
    return network, errors


# ---- Reading the data, and the command -------------------------------------------------------------------------------


def load_mnist(path):
    """x_train (N, 784) in 0..1, y_train (N,), x_test and y_test, from an .npz file."""
    expected = "an .npz file with uint8 images x_train, x_test and labels 0 to 9 in y_train, y_test"
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}, expected {expected}: make it as the top of this program shows.")
    try:
        with np.load(path) as file:
            x, y, x_test, y_test = (file[name] for name in ("x_train", "y_train", "x_test", "y_test"))
        fits = x.shape[1:] == x_test.shape[1:] and all(
            images.dtype == np.uint8 and labels.shape == images.shape[:1] and np.isin(labels, range(CLASSES)).all()
            for images, labels in ((x, y), (x_test, y_test))
        )
    except Exception:  # whatever NumPy raises for a file of another kind
        fits = False
    if not fits or len(x) == 0 or len(x_test) == 0:
        raise ValueError(f"{path} is not {expected}: make it as the top of this program shows.")
    x, x_test = (images.reshape(len(images), -1) / 255 for images in (x, x_test))
    return x, y.astype(int), x_test, y_test.astype(int)


def main(arguments=None):
    """Check the gradients, then train on MNIST."""
    parser = argparse.ArgumentParser(description="CLDL on MNIST, in nothing but NumPy.")
    parser.add_argument("mnist", help="an .npz file with x_train, y_train, x_test, y_test")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the data (%(default)s)")
    parser.add_argument("--exponent", type=float, default=EXPONENT, help="the loss's g (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (%(default)s)")
    options = parser.parse_args(arguments)
    if options.epochs < 1 or not 0 <= options.exponent < np.inf or options.seed < 0:
        parser.error(
            "epochs of 1 or more, a finite exponent and a seed of 0 or more were expected: change the options."
        )
    try:
        data = load_mnist(options.mnist)
    except ValueError as error:
        parser.error(str(error))
    worst = check_gradients()
    print(f"gradients against central differences: worst relative error {worst:.1e}")
    if not worst < 1e-6:
        sys.exit("a gradient is wrong, expected an error below 1e-6: undo your last change to a backward function.")
    train(*data, options.epochs, options.exponent, np.random.default_rng(options.seed))


if __name__ == "__main__":
    main()
