"""The built documentation: docs/*.md by MyST, and the reference of all modules, read from their source by AutoAPI.

AutoAPI imports nothing, so that modules for a GPU are documented where there is none, and jitted functions as functions.
"""

import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).parent
PROJECT = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
sys.path.insert(0, str(DOCS / "_sphinx"))

project = PROJECT["project"]["name"]
release = PROJECT["project"]["version"]
extensions = ["myst_parser", "autoapi.extension", "docstrings", "mathml"]
exclude_patterns = ["_*"]

highlight_language = "none"

html_theme = "furo"
html_title = "cldl"
html_static_path = ["_static"]
html_css_files = ["reference.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False

# Markdown as GitHub reads it: $...$, ```math, and links to headings.
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3

# The packages that are installed, wherever their modules are.
PACKAGES = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
autoapi_dirs = [str(DOCS.parent / name.rstrip("*")) for name in PACKAGES]
autoapi_root = "api"
autoapi_options = ["members", "undoc-members", "show-inheritance"]
autoapi_member_order = "bysource"
autoapi_add_toctree_entry = False
suppress_warnings = ["autoapi.python_import_resolution"]  # constants that an unpacking assigns
add_module_names = False
python_use_unqualified_type_names = True
