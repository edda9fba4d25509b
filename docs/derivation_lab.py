"""A notebook with sliders: the loss and the gradient of one sample, term by term. `marimo edit docs/derivation_lab.py`"""

import marimo

app = marimo.App(width="medium", app_title="The gradient of CLDL")


@app.cell
def imports():
    import marimo as mo
    import numpy as np
    from matplotlib.figure import Figure

    from cldl.arguments import default_exponent
    from cldl.loss import cldl_loss
    from cldl.study.figures import surfaces
    from cldl.study.terms import terms, two_class_logits

    return Figure, cldl_loss, default_exponent, mo, np, surfaces, terms, two_class_logits


@app.cell
def title(mo):
    mo.md(
        r"""
        # The gradient of CLDL, by hand

        One sample, $M$ classifiers. Set the probability that each gives the target class, and watch the loss and what it
        asks of each classifier. The derivation is in `docs/derivation.md`.
        """
    )
    return


@app.cell
def choose_classifiers(mo):
    M = mo.ui.slider(1, 5, value=3, label="classifiers $M$", show_value=True)
    M
    return (M,)


@app.cell
def choose_numbers(M, default_exponent, mo):
    starts = (0.36, 0.75, 0.96, 0.5, 0.5)
    p = mo.ui.array(
        [mo.ui.slider(0.01, 0.99, 0.01, value=starts[m], label=f"$p_{m + 1}$", show_value=True) for m in range(M.value)]
    )
    weights = mo.ui.array(
        [mo.ui.slider(0.0, 2.0, 0.1, value=1.0, label=rf"$\lambda_{m + 1}$", show_value=True) for m in range(M.value)]
    )
    g = default_exponent(M.value)
    steps = sorted({0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, g})
    exponent = mo.ui.slider(steps=steps, value=g, label="exponent $g$", show_value=True)
    through = mo.ui.checkbox(value=True, label="the companion term is included")
    mo.vstack([mo.hstack([mo.vstack(list(p)), mo.vstack(list(weights))], justify="start", gap=3), exponent, through])
    return exponent, p, through, weights


@app.cell
def compute(cldl_loss, exponent, np, p, terms, through, two_class_logits, weights):
    z = two_class_logits(p.value)
    t = terms(z, weights=weights.value, exponent=exponent.value, through_companions=through.value)
    code = cldl_loss([row[None] for row in z], np.array([0]), weights.value, exponent.value, through.value)
    return code, t


@app.cell
def formula(code, mo, np, t):
    def product(k):
        factors = r" \cdot ".join(f"{q:.2f}" for m, q in enumerate(t.q) if m != k)
        return rf"({factors})^{{{t.g:g}}}" if factors else "1"

    loss = " + ".join(
        rf"\underbrace{{{t.weights[m]:g}}}_{{\lambda_{m + 1}}} \cdot \underbrace{{{t.C[m]:.3f}}}_{{C^{{({m + 1})}}}} \cdot "
        rf"\underbrace{{{product(m)}}}_{{T^{{({m + 1})}} = {t.T[m]:.3f}}}"
        for m in range(len(t.p))
    )
    margin_gradients = "\n\n".join(
        rf"$-\partial L / \partial d_{k + 1} = \lambda_{k + 1} T^{{({k + 1})}} q_{k + 1} + g\,p_{k + 1} \sum_{{m \ne {k + 1}}} "
        rf"\lambda_m l^{{(m)}}"
        rf" = {t.weights[k]:g} \cdot {t.T[k]:.3f} \cdot {t.q[k]:.2f} + {t.through[k].sum():.4f} = \mathbf{{{-t.dd[k]:.4f}}}$"
        for k in range(len(t.p))
    )
    by_code = ", ".join(f"{-gradient[0, 0]:.4f}" for gradient in code.gradients)
    largest = max(np.abs(-t.dd + [gradient[0, 0] for gradient in code.gradients]))
    mo.md(f"$$L = {loss} = {t.value:.4f}$$\n\n{margin_gradients}\n\n`cldl_loss` gives {by_code}: off by {largest:.0e}.")
    return (largest,)


@app.cell
def bars(Figure, np, t):
    figure = Figure(figsize=(8, 0.8 + 0.6 * len(t.p)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(t.p))
    colours = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
    axes.barh(rows, t.own, color="0.35", label="own term")
    left = t.own.copy()
    for m, colour in zip(rows, colours, strict=False):
        if t.through[:, m].any():
            axes.barh(rows, t.through[:, m], left=left, color=colour, label=f"through $T^{{({m + 1})}}$")
            left = left + t.through[:, m]
    axes.set_yticks(rows, [f"classifier {k + 1}" for k in rows])
    axes.invert_yaxis()
    axes.set_xlabel(r"$-\partial L / \partial d_k$, term by term")
    axes.legend()
    figure
    return


@app.cell
def maps(M, exponent, mo, surfaces, weights):
    (
        surfaces(tuple(weights.value), exponent.value)
        if M.value == 2
        else mo.md(
            r"*Set $M = 2$ to see the loss and $-\partial L / \partial d_1$ over all $p_1$ and $p_2$, with these weights.*"
        )
    )
    return


if __name__ == "__main__":
    app.run()
