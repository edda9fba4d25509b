"""The libraries that an export needs, imported when they are."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from engine.errors import UserError


def library(name: str) -> Any:
    """A module such as "onnx.helper"; raises UserError where its package is not installed."""
    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise UserError(f"the package {package} is needed, and not installed: pip install 'cldl[export]'.") from None
