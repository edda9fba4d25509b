"""A recipe: everything that decides a training run but its seed and the machine, as data.

It consists of five specs, a type a concern (see `cldl.recipes.spec`); each value, a leaf, has a name such as model.dropout
and says in `sources` where it comes from: a paper, a published definition, a measurement of this project, or "inferred"
where the paper is silent. Every leaf can be set on the command line: --model.dropout 0.5, or --dropout 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cldl.nearest import nearest
from cldl.objective import Objective
from cldl.recipes.data import DataSpec
from cldl.recipes.losses import LossSpec
from cldl.recipes.model import ModelSpec
from cldl.recipes.optimisers import OptimiserSpec
from cldl.recipes.schedules import ScheduleSpec
from cldl.recipes.spec import Spec, choose, cited, defaults, find_kind, leaf_types, uncited
from data.dataset import Dataset
from data.fetch.download import Say, quiet
from data.transforms.augmentation import CropFlip
from data.transforms.preprocessing import Preprocessing
from engine.errors import UserError
from engine.io.fields import shown
from engine.optim.optimisers import Optimiser
from engine.typing import Shape
from layers.network import Network

SECTIONS = ("data", "model", "loss", "optimiser", "schedule")
COMMAND_LINE = "command line"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run, but for its seed and the machine."""

    name: str
    summary: str
    data: DataSpec
    model: ModelSpec
    loss: LossSpec
    optimiser: OptimiserSpec
    schedule: ScheduleSpec

    def __post_init__(self) -> None:
        """Take the sources off the specs, and raise UserError unless they fit together."""
        cites = {}
        for section in SECTIONS:
            spec, cites[section] = uncited(getattr(self, section), "")
            object.__setattr__(self, section, spec)
        object.__setattr__(self, "_cites", cites)
        self.check()

    def check(self) -> None:
        """Raise UserError unless the specs fit together."""
        M, weights = self.model.n_classifiers, self.loss.lambdas
        if len(weights) != M and "weights" not in self.loss.values:
            raise UserError(
                f"the loss {self.loss.kind} is of one classifier, but the model has {M}: choose another loss."
            )
        if len(weights) != M:
            raise UserError(
                f"loss.weights is {shown(weights)}; give {M} number{'' if M == 1 else 's'}, one a classifier."
            )
        ramp, momentum = self.schedule.momentum_ramp, getattr(self.optimiser, "momentum", None)
        if ramp is not None and momentum is None:
            raise UserError(
                f"schedule.momentum_ramp is {shown(ramp)}; only the optimiser sgd has a momentum that can change."
            )
        if ramp is not None and momentum != ramp[0]:
            raise UserError(
                f"schedule.momentum_ramp begins at {ramp[0]:g} but optimiser.momentum is {momentum:g}: give both the same."
            )

    @property
    def specs(self) -> dict[str, Spec]:
        """The five specs by section."""
        return {section: getattr(self, section) for section in SECTIONS}

    @property
    def leaves(self) -> dict[str, Any]:
        """All values, by names such as model.dropout."""
        return {f"{section}.{name}": v for section, spec in self.specs.items() for name, v in spec.values.items()}

    @property
    def sources(self) -> dict[str, str]:
        """Where the values come from, by the names of `leaves`; by the name of a section, why it has this kind of spec."""
        kinds = {section: self.cite(section) for section in SECTIONS if self.cite(section)}
        return kinds | {
            f"{s}.{name}": source for s, spec in self.specs.items() for name, source in spec.sources.items()
        }

    @property
    def image_shape(self) -> Shape:
        """(H, W, C); where the data set's images tell their size and none was looked at yet, the largest that the model takes."""
        return self.data.image_shape or (self.model.sizes[1], self.model.sizes[1], 3)

    def load_data(self, cache: Path | None = None, data: Path | None = None, say: Say = quiet) -> Dataset:
        """The whole data set, its images of a size that fits the model (see `data.registry`)."""
        return self.data.load(cache, data, say, sizes=self.model.sizes)

    def build_network(self) -> Network:
        """The network for the images of its data set; its weights are not drawn yet."""
        return self.model.build(self.image_shape, self.data.classes)

    def build_objective(self) -> Objective:
        """The loss, and the prediction."""
        return self.loss.build()

    def build_optimiser(self, network: Network) -> Optimiser:
        """The optimiser of the network's parameters."""
        return self.optimiser.build(network.parameters())

    def build_preprocessing(self, dataset: Dataset, folder: Path | None = None, say: Say = quiet) -> Preprocessing:
        """From bytes to the network's input (see `DataSpec`)."""
        return self.data.build_preprocessing(dataset, folder, say)

    def fixed_preprocessing(self) -> Preprocessing | None:
        """The preprocessing, where it needs no data set to be fitted on."""
        return self.data.fixed_preprocessing()

    def build_augmentation(self) -> CropFlip | None:
        """What varies the training images, if anything."""
        return self.data.build_augmentation()

    def changed(self, **values: Any) -> Recipe:
        """The recipe with other values, by leaf ("model.dropout", or "dropout" where that is one leaf alone).

        A section takes a spec, or the kind of one: schedule="constant" keeps the values that both kinds have. A model is chosen
        by its name (model="vgg11"): it has the values of its own recipes, but for those that belong to this recipe's training
        (see `ModelSpec.following`). The source of a value that differs and is not cited is the command line. Where the number of
        classifiers changes and the losses of all had one weight, all have that weight.

        >>> from cldl.recipes import find
        >>> recipe = find("mnist_nin").changed(epochs=3, classifiers=2)
        >>> recipe.schedule.epochs, recipe.sources["schedule.epochs"], recipe.loss.lambdas
        (3, 'command line', (1.0, 1.0))
        """
        plain = {name: values.pop(name) for name in ("name", "summary") if name in values}
        chosen = {s: uncited(values.pop(s, cited(spec, self.cite(s))), COMMAND_LINE) for s, spec in self.specs.items()}
        chosen = {s: (self._preset(s, spec), source) for s, (spec, source) in chosen.items()}
        types = {s: find_kind(s, spec) if isinstance(spec, str) else type(spec) for s, (spec, _) in chosen.items()}
        given: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        for name, value in values.items():
            section, _, leaf = find_leaf(name, types).partition(".")
            given[section][leaf] = value

        specs, M = dict[str, Any](), 0
        for section, (spec, source) in chosen.items():
            if section == "loss" and "weights" not in given["loss"]:
                given["loss"] |= self._resized_weights(spec, types["loss"], M)
            base = spec if isinstance(spec, Spec) else getattr(self, section)
            spec = _respecified(base, types[section], given[section])
            M = spec.n_classifiers if isinstance(spec, ModelSpec) else M
            specs[section] = cited(spec, source)
        return replace(self, **plain, **specs)

    def recite(self, old: str, new: str) -> Recipe:
        """The recipe with `new` in the place of `old` in all sources."""
        specs: dict[str, Any] = {}
        for section, spec in self.specs.items():
            values = {name: cited(v, spec.sources[name].replace(old, new)) for name, v in spec.values.items()}
            specs[section] = cited(type(spec)(**values), self.cite(section).replace(old, new))
        return replace(self, **specs)

    def cite(self, section: str) -> str:
        """Why this section has this kind of spec; empty where nothing was cited."""
        return self.__dict__["_cites"][section]

    def _preset(self, section: str, spec: Spec | str) -> Spec | str:
        """The preset of this name, fitted to this recipe; what is none stays as it is."""
        found = choose(section, spec) if isinstance(spec, str) else spec
        if isinstance(spec, str) and isinstance(found, ModelSpec):
            return found.following(self.model, spec)
        return spec

    def _resized_weights(self, loss: LossSpec | str, kind: type[Spec], M: int) -> dict[str, Any]:
        """The weights of M classifiers, where the loss, or this recipe's, has others and all are equal."""
        spec = self.loss if isinstance(loss, str) else loss
        weights, source = spec.lambdas, spec.sources.get("weights") or self.cite("loss")
        if "weights" in leaf_types(kind) and len(weights) != M and len(set(weights)) == 1:
            return {"weights": cited(weights[:1] * M, source)}
        return {}


def find_leaf(name: str, types: Mapping[str, type[Spec]]) -> str:
    """The dotted name of a leaf, given so or as its last part; raises UserError where it is none, or two."""
    dotted = [f"{section}.{leaf}" for section, spec in types.items() for leaf in leaf_types(spec)]
    found = [leaf for leaf in dotted if name in (leaf, leaf.partition(".")[2])]
    if len(found) > 1:
        raise UserError(f"{name} is both {' and '.join(found)}: write the one that is meant.")
    if not found:
        kinds = ", ".join(spec.kind for section, spec in types.items() if section != "data")
        raise UserError(f"there is no value {name!r} in a recipe of {kinds}{nearest(name, dotted)}.")
    return found[0]


def _respecified(base: Spec, kind: type[Spec], given: dict[str, Any]) -> Spec:
    """A spec of this type with the given values, and otherwise those of `base`."""
    if type(base) is kind and not given:
        return base
    values = {name: cited(value, f"the default of {kind.kind}") for name, value in defaults(kind).items()}
    values |= {name: value for name, value in base.cited_values.items() if name in leaf_types(kind)}
    for name, value in given.items():
        bare, source = uncited(value, COMMAND_LINE)
        if source != COMMAND_LINE or name not in base.values or bare != base.values[name]:
            values[name] = cited(bare, source)
    if missing := sorted(set(leaf_types(kind)) - set(values)):
        raise UserError(f"the {kind.section} {kind.kind} has no value for {' and '.join(missing)}: give one.")
    return kind(**values)
