"""Formulas as MathML, made when the pages are built: a browser draws them by itself, without a script or a network."""

from html import escape

from docutils.nodes import SkipNode
from math_core import LatexError, LatexToMathML
from sphinx.util import logging

CONVERTER = LatexToMathML()
log = logging.getLogger(__name__)


def mathml(node, display):
    """The formula of a node; one that cannot be read is a warning, and stays as it is written."""
    latex = node.astext().strip()
    if latex[:1] == latex[-1:] == "`":  # GitHub's $`...`$
        latex = latex[1:-1]
    try:
        formula = CONVERTER.convert_with_local_state(latex, displaystyle=display)
    except LatexError as error:
        log.warning("the formula %r: %s", latex, error, location=node)
        return f"<code>{escape(latex)}</code>"
    # MathML Core has no menclose: a style sheet draws the box
    return formula.replace('<menclose notation="box">', '<mrow class="boxed">').replace("</menclose>", "</mrow>")


def visit_inline(self, node):
    self.body.append(mathml(node, False))
    raise SkipNode


def visit_block(self, node):
    self.body.append(f'<div class="math">{mathml(node, True)}</div>\n')
    raise SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "version": "1"}
