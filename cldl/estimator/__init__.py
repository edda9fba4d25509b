"""CLDL by scikit-learn's conventions (docs/python.md)."""

from cldl.estimator.classifier import CldlClassifier
from cldl.estimator.from_run import load

__all__ = ["CldlClassifier", "load"]
