"""What scikit-learn expects of any estimator, without scikit-learn: parameters by name, tags, its exceptions where it is there.

Source:    scikit-learn, "Developing scikit-learn estimators".
"""

from __future__ import annotations

import inspect
import warnings
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn, Self

from engine.errors import UserError
from engine.io.fields import shown


class DataError(UserError, ValueError):
    """X or y is not what is needed; a ValueError, as scikit-learn has it."""


class UnfittedError(DataError, AttributeError):
    """Something was asked of an estimator before `fit`."""


class Estimator:
    """An object whose parameters are the arguments of `__init__`, each in an attribute of its name."""

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        return {p.name: p.default for p in parameters}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name; none of them is an estimator with parameters of its own."""
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params: Any) -> Self:
        """Give parameters other values; raises UserError, a ValueError, for an unknown name."""
        for name in params:
            if name not in self._defaults():
                known = ", ".join(self._defaults())
                raise DataError(f"Invalid parameter {name!r} for estimator {type(self).__name__}: choose from {known}.")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = self._defaults()
        changed = [f"{name}={shown(value)}" for name, value in self.get_params().items() if value is not defaults[name]]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn (1.6 or newer) wants to know; it is imported here, as only it asks."""
        utils = import_module("sklearn.utils")
        return utils.Tags(
            estimator_type="classifier",
            target_tags=utils.TargetTags(required=True),
            classifier_tags=utils.ClassifierTags(),
            input_tags=utils.InputTags(three_d_array=True),
        )


def refuse_unfitted(estimator: object) -> NoReturn:
    """Raise scikit-learn's NotFittedError, or `UnfittedError` without scikit-learn."""
    kind: type[Exception] = UnfittedError
    with suppress(ImportError):
        kind = import_module("sklearn.exceptions").NotFittedError
    raise kind(f"this {type(estimator).__name__} is not fitted yet: call fit(X, y) first, or open a run by cldl.load.")


def warn_of_column(labels: tuple[int, ...]) -> None:
    """Warn of a y that is a column, as scikit-learn does."""
    kind: type[Warning] = UserWarning
    with suppress(ImportError):
        kind = import_module("sklearn.exceptions").DataConversionWarning
    text = f"A column-vector y was passed when a 1d array was expected: y of shape {labels} is taken as ({labels[0]},)."
    warnings.warn(text, kind, stacklevel=4)
