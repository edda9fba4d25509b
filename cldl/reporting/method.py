"""The part of a run's page that explains its method: what is trained, the formula of the loss, and links to the docs."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path

from cldl.objective import Objective

CLDL = """
<p>The network is a stack of blocks of layers, and it has {M} classifiers: one on top of each of {M} blocks, from the bottom
(few layers, simple features) to the top (all layers). They are trained together. Each classifier's loss on an image is
the usual cross-entropy, multiplied by a factor T that says how badly the <em>other</em> classifiers do on that image: T is
near 1 where all of them are wrong, and near 0 where one of them is certain and right. So a classifier need not learn what
another already knows. The <em>joint prediction</em> ("fused" in the tables) is the class for which this loss, summed over
the classifiers, is smallest. This is Collaborative Layer-wise Discriminative Learning (CLDL) by Jin, Chen,
Dong, Feng and Yan, 2016.</p>"""

SHARE = """
<p>In this run T scales {rest:.0%} of each loss only, and leaves {share:.0%} as it is, so that every classifier goes on learning:
an option of this project, which the paper does not have.</p>"""

DEEP = """
<p>The network is a stack of blocks of layers, and it has {M} classifiers: one on top, and {companions} on lower blocks. Each
has a loss of its own, and training minimises their sum, so that the lower layers are supervised directly. The companions
serve the training only, and may be dropped before its end; the top classifier alone makes the prediction. This is deep
supervision (DSN: Lee, Xie, Gallagher, Zhang and Tu, 2015), with which networks trained by Collaborative Layer-wise
Discriminative Learning (CLDL: Jin, Chen, Dong, Feng and Yan, 2016) are compared.</p>"""

PLAIN = """
<p>The network is a stack of blocks of layers with one classifier on top, trained with the usual cross-entropy. It is the
baseline for Collaborative Layer-wise Discriminative Learning (CLDL: Jin, Chen, Dong, Feng and Yan, 2016), whose networks
have classifiers on lower blocks too.</p>"""

LETTERS = """
<p>where p<sub>m</sub> is the probability that classifier m gives to the right class, λ<sub>m</sub> = {weights} its weight, the
exponent g = {g:.3g}, and N the number of images.</p>"""

DOCS = {  # files of the project's docs, and what they are about
    "derivation.md": "the gradient, derived and proven",
    "glossary.md": "the words",
    "results.md": "what was measured, and why a classifier starves",
}


def explained(objective: Objective) -> str:
    """The method in words and in a formula, as HTML."""
    M, share = len(objective.weights), objective.unweighted_share
    if objective.is_ensemble:
        weights = ", ".join(f"{weight:g}" for weight in objective.weights)
        letters = LETTERS.format(weights=weights, g=objective.g)
        return (
            CLDL.format(M=M) + (SHARE.format(share=share, rest=1 - share) if share else "") + formula(share) + letters
        )
    return DEEP.format(M=M, companions=f"{M - 1} companion{'s' * (M > 2)}") if M > 1 else PLAIN


def formula(share: float = 0.0) -> str:
    """The loss as MathML; with an unweighted share s, T is s + (1 - s) T in it."""
    classifier = "<mrow><mo>(</mo><mi>m</mi><mo>)</mo></mrow>"
    C, T = (f"<msup><mi>{letter}</mi>{classifier}</msup>" for letter in "CT")
    p = "<msub><mi>p</mi><mi>{}</mi></msub>"
    factor = T
    if share:
        factor = f"<mrow><mo>(</mo><mn>{share:g}</mn><mo>+</mo><mn>{1 - share:g}</mn><mspace width='.15em'/>{T}<mo>)</mo></mrow>"
    loss = (
        "<mi>L</mi><mo>=</mo><mfrac><mn>1</mn><mi>N</mi></mfrac><munder><mo>∑</mo><mi>n</mi></munder>"
        "<munderover><mo>∑</mo><mrow><mi>m</mi><mo>=</mo><mn>1</mn></mrow><mi>M</mi></munderover>"
        f"<msub><mi>λ</mi><mi>m</mi></msub><mspace width='.2em'/>{C}{factor}"
    )
    parts = (
        loss,
        f"{C}<mo>=</mo><mo>−</mo><mi>log</mi>{p.format('m')}",
        f"{T}<mo>=</mo><munder><mo>∏</mo><mrow><mi>t</mi><mo>≠</mo><mi>m</mi></mrow></munder>"
        f"<msup><mrow><mo>(</mo><mn>1</mn><mo>−</mo>{p.format('t')}<mo>)</mo></mrow><mi>g</mi></msup>",
    )
    return "".join(f'\n<math display="block">{part}</math>' for part in parts)


def links(folder: Path) -> str:
    """Where to read on: the project's docs, as links from a page in `folder` where they lie on this machine."""
    found = next((docs for docs in _places() if all((docs / name).exists() for name in DOCS)), None)
    items = []
    for name, about in DOCS.items():
        shown = f"docs/{name}"
        if found is not None:
            shown = f'<a href="{escape(_relative(found / name, folder))}">{shown}</a>'
        items.append(f"<li>{shown}: {about}</li>")
    return "\n".join(["<p>Read on in the project:</p>", "<ul>", *items, "</ul>"])


def _places() -> list[Path]:
    """Where the docs may lie: beside the package that runs, and in the current folder."""
    return [Path(__file__).resolve().parents[2] / "docs", Path.cwd() / "docs"]


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:  # on another drive
        return path.as_uri()
