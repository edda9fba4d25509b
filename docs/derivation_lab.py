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

        One sample, $M$ classifiers. Set the probability $p_m$ that each gives the right class, and watch the loss $L$ and what
        it asks of each classifier. The derivation is in `docs/derivation.md`.

        | letter | what it is |
        |:---|:---|
        | $q_m = 1 - p_m$ | what classifier $m$ leaves to the wrong classes |
        | $C^{(m)} = -\log p_m$ | its cross-entropy: large where it is wrong |
        | $T^{(m)}$ | its companion weight: small as soon as one of the others is right and sure |
        | $\lambda_m$, $g$ | its weight in the sum, and the exponent of $T$; $g = 0$ is deep supervision |
        | $d_m$ | its margin: the right class's logit less the log-sum-exp of the others |
        | $-\partial L / \partial d_m$ | how strongly gradient descent raises this margin |
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
    rows = "\n".join(
        f"| {m + 1} | {t.weights[m]:g} | {t.p[m]:.2f} | {t.q[m]:.2f} | {t.C[m]:.3f} | {t.T[m]:.3f} "
        f"| {t.weights[m] * t.losses[m]:.4f} | {t.own[m]:.4f} | {t.through[m].sum():.4f} | **{-t.dd[m]:.4f}** |"
        for m in range(len(t.p))
    )
    by_code = ", ".join(f"{-gradient[0, 0]:.4f}" for gradient in code.gradients)
    largest = max(np.abs(-t.dd + [gradient[0, 0] for gradient in code.gradients]))
    loss = rf"L = \sum_m \lambda_m C^{{(m)}} T^{{(m)}} = {t.value:.4f}"
    weight = rf"T^{{(m)}} = \prod_{{t \ne m}} q_t^g, \quad g = {t.g:g}"
    own = r"\underbrace{\lambda_k T^{(k)} q_k}_{\text{own term}}"
    companion = r"\underbrace{g\,p_k \sum_{m \ne k} \lambda_m C^{(m)} T^{(m)}}_{\text{companion term}}"
    head = r"| $m$ | $\lambda$ | $p$ | $q$ | $C$ | $T$ | $\lambda C T$ | own | companion | $-\partial L / \partial d$ |"
    parts = (
        rf"$${loss}, \qquad {weight}$$",
        rf"$$-\frac{{\partial L}}{{\partial d_k}} = {own} + {companion}$$",
        f"{head}\n|{10 * '---:|'}\n{rows}",
        f"`cldl_loss` gives {by_code}: off by {largest:.0e}.",
    )
    mo.md("\n\n".join(parts))
    return (largest,)


@app.cell
def bars(Figure, np, t):
    END, COLOURS = (
        2.0,
        ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9"),
    )  # of the axis, which stays; Okabe and Ito
    figure = Figure(figsize=(8, 1.6 + 0.5 * len(t.p)), layout="constrained")
    axes = figure.subplots()
    rows_of_bars = np.arange(len(t.p))
    axes.barh(rows_of_bars, t.own, color="0.35", label="own term")
    left = t.own.copy()
    for m, colour in zip(rows_of_bars, COLOURS, strict=False):
        axes.barh(rows_of_bars, t.through[:, m], left=left, color=colour, label=f"through $T^{{({m + 1})}}$")
        left = left + t.through[:, m]
    for k, total in enumerate(left):
        beyond = total > 0.9 * END
        text, where = (f"{total:.2f} \u2192", 0.99 * END) if total > END else (f"{total:.2f}", total + 0.02)
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
        where, side = (0.99 * END, "right") if beyond else (where, "left")
        axes.text(where, k, text, va="center", ha=side, bbox=box if beyond else None)
    axes.set_yticks(rows_of_bars, [f"classifier {k + 1}" for k in rows_of_bars])
    axes.set(xlim=(0, END), ylim=(len(t.p) - 0.4, -0.6))
    axes.set_xlabel(r"$-\partial L / \partial d_k$, term by term")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False, fontsize=9)
    figure
    return (figure,)


@app.cell
def maps(M, exponent, mo, p, surfaces, weights):
    if M.value == 2:
        over_both = surfaces(tuple(weights.value), exponent.value)
        for panel in over_both.axes[:4]:
            panel.plot(*p.value, "o", color="#D55E00", markeredgecolor="white", markersize=9, clip_on=False)
        shown = mo.vstack([over_both, mo.md("The dot is where the sliders stand; colours and axes stay as they are.")])
    else:
        shown = mo.md(
            r"*Set $M = 2$ to see the loss and $-\partial L / \partial d_1$ over all $p_1$ and $p_2$, with these weights.*"
        )
    shown
    return


@app.cell
def tasks(mo):
    mo.vstack(
        [
            mo.md("## To try"),
            mo.accordion(
                {
                    "1. Starve a classifier: M = 3, p1 = 0.01, p2 = p3 = 0.99. What does the loss ask of classifier 1?": mo.md(
                        r"""$T^{(1)} = \sqrt{0.01 \cdot 0.01} = 0.01$, so its own term is 0.01 of what cross-entropy alone would
                        ask, 0.99. It is wrong, and is told hardly anything: the others have the sample."""
                    ),
                    "2. Who gains most? M = 2, p1 = 0.9, p2 = 0.5; then leave the companion term out.": mo.md(
                        r"""Of classifier 1 it asks $0.05 + 0.0624 = 0.1124$, and 0.05 without the companion term. That term grows
                        with $p_k$: who is ahead gets further ahead, as its certainty makes the other's loss count less."""
                    ),
                    "3. Find deep supervision: which exponent makes every T equal 1?": mo.md(
                        r"""$g = 0$. No companion term is left, and each classifier is asked $\lambda_k q_k$, as if it were
                        alone."""
                    ),
                    "4. M = 2: where on the fourth map is more than half of the gradient the companion term's?": mo.md(
                        r"""Where $p_1 (-\log p_2) > 1 - p_2$ (at $g = 1$, equal weights): where classifier 1 is good, or
                        classifier 2 is poor. At $p_2 = 0.01$ from $p_1 = 0.215$ on."""
                    ),
                    "5. Does a weight of 2 for classifier 1 change T of classifier 1?": mo.md(
                        r"""No: $T^{(1)}$ has only the others' $q$ in it. Its own term doubles, and so does the part of the
                        others' companion terms that goes through $T^{(1)}$."""
                    ),
                }
            ),
        ]
    )
    return


if __name__ == "__main__":
    app.run()
