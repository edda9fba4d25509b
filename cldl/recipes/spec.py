"""The base of all specs: a frozen dataclass whose values know where they come from.

    @dataclass(frozen=True, kw_only=True)
    class SGDSpec(Spec): ...

    spec = SGDSpec(momentum=cited(0.9, "Polyak, 1964"), nesterov=False)
    spec.momentum              0.9
    spec.sources["momentum"]   "Polyak, 1964"

A spec checks itself when it is made, so a spec that exists is valid. Its fields, the leaves of a recipe, are of a few plain
types (see `cldl.recipes.leaves`); each can be written to JSON and set on the command line.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, fields
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, TypeVar, cast, get_type_hints

from cldl.recipes.leaves import conform
from engine.errors import UserError
from engine.io.fields import shown

T = TypeVar("T")
KINDS: dict[str, dict[str, type[Spec]]] = {}  # section: kind: the spec of that name
PRESETS: dict[str, dict[str, Spec]] = {}  # section: name: a spec with all its values, such as a published network
_leaf_types: dict[type, dict[str, Any]] = {}  # as found by `leaf_types`


class _Cited(NamedTuple):
    value: Any
    source: str


def cited(value: T, source: str) -> T:
    """A value for a spec's field, with its source; typed as the value, which is what the field will hold."""
    return cast(T, _Cited(value, source))


def uncited(value: Any, source: str) -> tuple[Any, str]:
    """A value and its source, which is `source` where the value is not cited."""
    return (value.value, value.source) if isinstance(value, _Cited) else (value, source)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One concern of a recipe, as data.

    section -- the part of a recipe that it fills: data, model, loss, optimiser or schedule
    kind    -- its name among the specs of that section, as config.json and the command line have it
    """

    section: ClassVar[str]
    kind: ClassVar[str]

    def __init_subclass__(cls) -> None:
        """Enter a spec that has a kind into KINDS."""
        if "kind" in vars(cls):
            KINDS.setdefault(cls.section, {})[cls.kind] = cls

    def __post_init__(self) -> None:
        """Take the sources off the cited values, and check all values."""
        sources = {}
        for name, hint in leaf_types(type(self)).items():
            value, source = uncited(getattr(self, name), "")
            if source:
                sources[name] = source
            object.__setattr__(self, name, conform(value, hint, f"{self.section}.{name}"))
        object.__setattr__(self, "_sources", sources)
        self.check()

    @property
    def sources(self) -> Mapping[str, str]:
        """Where the values come from, by field."""
        return MappingProxyType(self.__dict__["_sources"])

    @property
    def values(self) -> dict[str, Any]:
        """The values by field."""
        return {name: getattr(self, name) for name in leaf_types(type(self))}

    @property
    def cited_values(self) -> dict[str, Any]:
        """The values by field, each with its source, as arguments to make such a spec."""
        return {name: cited(value, self.sources.get(name, "")) for name, value in self.values.items()}

    def check(self) -> None:
        """Raise UserError unless every value is in its range."""

    def check_range(self, least: float, most: float, *names: str) -> None:
        """Raise UserError unless these fields are from `least` to `most`, or None."""
        for name in names:
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise UserError(f"{self.section}.{name} is {value}; choose a value from {least:.10g} to {most:.10g}.")

    def check_choice(self, choices: Collection[str], name: str) -> None:
        """Raise UserError unless this field is one of the choices."""
        value = getattr(self, name)
        if value not in choices:
            raise UserError(f"{self.section}.{name} is {shown(value)}; choose one of {', '.join(choices)}.")


def leaf_types(spec: type[Spec]) -> dict[str, Any]:
    """The fields of a spec and their types."""
    if spec not in _leaf_types:
        hints = get_type_hints(spec)
        _leaf_types[spec] = {field.name: hints[field.name] for field in fields(spec)}
    return _leaf_types[spec]


def defaults(spec: type[Spec]) -> dict[str, Any]:
    """The fields of a spec that have a default, and the default."""
    return {field.name: field.default for field in fields(spec) if field.default is not MISSING}


def find_kind(section: str, kind: str) -> type[Spec]:
    """The spec of this kind; raises UserError with the kinds that there are."""
    if kind not in KINDS[section]:
        raise UserError(f"{section} is {shown(kind)}; choose one of {', '.join(KINDS[section])}.")
    return KINDS[section][kind]


def choices(section: str) -> list[str]:
    """What a section can be chosen to be on the command line: presets where it has some, or else kinds."""
    return list(PRESETS.get(section) or KINDS[section])


def choose(section: str, name: str) -> Spec | type[Spec]:
    """The preset of this name, or else the kind; raises UserError with the choices that there are."""
    if name in PRESETS.get(section, {}):
        return PRESETS[section][name]
    if name not in KINDS[section]:
        raise UserError(f"{section} is {shown(name)}; choose one of {', '.join(choices(section))}.")
    return KINDS[section][name]
