"""A walk through the gradient in the terminal: one sample, every factor, every term, and the same by other methods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from cldl.loss import cldl_loss
from cldl.study import figures, oracles
from cldl.study.terms import EXAMPLE, TARGET, Terms, terms
from engine.errors import UserError
from engine.gradcheck import GradientReport, check_gradients
from engine.typing import Array

WIDTH = 80
WORDS = {  # of the tables, in the order in which they come
    "classifier": "M of them sit on the layers of one network; 1 is the bottom one",
    "logits z": "a classifier's scores of the K classes; P is their softmax, its probabilities",
    "target": "the sample's right class; p is its probability, q = 1 - p",
    "C": "the cross-entropy, -log p: large where the classifier is wrong",
    "T": "the companion weight: the product of the others' q, to the power g = 1/(M-1); small as soon as one of them is right "
    "and sure",
    "l, L": "a classifier's loss C T, and the sum of lambda l over the classifiers, lambda a weight of each, here 1",
    "margin d": "the target's logit less the log-sum-exp of the others: how far ahead it is",
    "own": "what a classifier's own loss asks of its margin",
    "through T": "what another one's loss asks of it, because its q is a factor of that one's T",
}
METHODS = {
    "-dL/dd r": "the formula of table 2",
    "cldl_loss": "the code that trains",
    "SymPy": "computer algebra differentiates the definition",
    "complex step": "Im L(z + i h) / h, with h = 1e-30: nothing is subtracted",
    "differences": "(L(z + h) - L(z - h)) / 2h",
}
COLUMNS = {
    "analytic, numeric": "by the backward function, and by differences",
    "error / tolerance": "above 1 the check fails",
    "step": "h of the differences",
}


def gradient(out: Path, console: Console | None = None) -> None:
    """Show the worked example, and write the figures into the folder `out`; raises UserError if it cannot be written."""
    console = console or Console(highlight=False)
    z = np.log(EXAMPLE)
    t = terms(z)
    console.print("[bold]The words[/]")
    _explain(console, WORDS)
    console.print()
    factors(console, t)
    margin_gradients(console, t)
    methods(console, z, t)
    checker(console, z)
    console.print(f"\n[bold]5. Figures[/], into {out}")
    try:
        paths = figures.write(out)
    except OSError as error:
        raise UserError(
            f"the figures cannot be written into {out} ({error.strerror}): choose another folder with --out."
        ) from None
    _explain(console, {path.name: _first_sentence(getattr(figures, path.stem)) for path in paths})


def factors(console: Console, t: Terms) -> None:
    """Table 1: from the probabilities to the loss."""
    M, K = EXAMPLE.shape
    console.print(f"[bold]1. One sample[/]: M = {M} classifiers, K = {K} classes, target {TARGET}, every lambda 1")
    console.print(f"   p = P({TARGET}),  q = 1 - p,  C = -log p,  g = 1/(M-1) = {t.g:g}")
    table = _table("m", *(f"P({j})" for j in range(K)), "q", "C", "T", "l = C T")
    for m in range(M):
        table.add_row(str(m + 1), *map(_number, (*EXAMPLE[m], t.q[m], t.C[m], t.T[m], t.losses[m])))
    console.print(table)
    console.print(f"   L = {' + '.join(map(_number, t.weights * t.losses))} = [bold]{_number(t.value)}[/]")


def margin_gradients(console: Console, t: Terms) -> None:
    """Table 2: the terms of dL/dd of each classifier."""
    M = len(t.p)
    console.print("\n[bold]2. dL/dd, the gradient of each margin[/]: the logits' gradient is -dL/dd times r")
    console.print("   dL/dd = -(own + all through);  own = lambda_k T^(k) q_k, the cross-entropy's")
    console.print("   through T^(m) = g p_k lambda_m l^(m): a surer k makes m's loss count less")
    table = _table("k", "own", *(f"through T^({m + 1})" for m in range(M)), "dL/dd")
    for k in range(M):
        through = ("-" if k == m else _number(t.through[k, m]) for m in range(M))
        table.add_row(str(k + 1), _number(t.own[k]), *through, f"[bold]{_number(t.dd[k])}[/]")
    console.print(table)
    console.print("   r = the softmax over the wrong classes, -1 on the target:")
    for k in range(M):
        console.print(f"   r^({k + 1}) = [{', '.join(f'{x:7.4f}' for x in t.r[k])}]", markup=False)


def methods(console: Console, z: Array, t: Terms) -> None:
    """Table 3: the gradient by the project's code and by the definition's derivatives."""
    console.print("\n[bold]3. The gradient dL/dz[/], by methods that know nothing of each other")
    _explain(console, METHODS)
    result = cldl_loss([row[None] for row in z], np.array([TARGET]))
    problem = (z, TARGET, t.weights, t.g)
    found = {
        "-dL/dd r": t.gradients,
        "cldl_loss": np.concatenate(result.gradients),
        "SymPy": oracles.by_sympy(*problem),
        "complex step": oracles.by_complex_step(*problem),
        "differences": oracles.by_differences(*problem),
    }
    table = _table("score", *found)
    for k, j in np.ndindex(*z.shape):
        table.add_row(f"z^({k + 1})_{j}", *("" if g is None else f"{g[k, j]:.8f}" for g in found.values()))
    worst = (
        "" if g is None else f"{np.abs(g - t.gradients).max() / np.abs(t.gradients).max():.0e}" for g in found.values()
    )
    table.add_section()
    table.add_row("off by", *worst)
    console.print(table)
    if found["SymPy"] is None:
        console.print("   SymPy is not installed: pip install 'cldl[study]' fills its column.", markup=False)
    console.print("   off by: the largest difference from the first column, over the largest value")


def checker(console: Console, z: Array) -> None:
    """The same by the project's gradient checker, as anyone can use it on a loss of their own."""
    console.print("\n[bold]4. The checker's verdict[/]: check_gradients(forward, backward, logits)")
    console.print("   The worst element of each classifier. The upstream gradient is random, so that")
    console.print("   no bug hides behind a 1: the numbers are those above, times one number.")
    _explain(console, COLUMNS)
    console.print(str(check(z)), markup=False, soft_wrap=True)


def check(z: Array) -> GradientReport:
    """`check_gradients` on `cldl_loss` at the logits z (M, K) of one sample."""

    def forward(*logits):
        result = cldl_loss(logits, np.array([TARGET]))
        return result.value, result.gradients

    def backward(dvalue, gradients):
        return [dvalue * dz for dz in gradients]

    return check_gradients(forward, backward, {f"z^({m + 1})": row[None] for m, row in enumerate(z)})


def _explain(console: Console, words: Mapping[str, str]) -> None:
    """A line or more for each word, lined up, in 80 columns."""
    width = max(map(len, words))
    for word, meaning in words.items():
        begin = f"   {word:{width}}  "
        console.print(fill(meaning, WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin)), markup=False)


def _table(*heads: str) -> Table:
    table = Table(box=SIMPLE, pad_edge=False)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _number(x: float) -> str:
    return f"{x:.4f}"


def _first_sentence(function) -> str:
    return function.__doc__.strip().splitlines()[0]
