"""A recipe's leaves as options of a command line: --model.dropout 0.5, or --dropout 0.5 where nothing else has that name.

Which leaves there are depends on the recipe, and on the kinds of specs that are chosen instead of its own (--schedule
constant), or the model (--model vgg11). So a command line is read twice: first for the recipe and these, with the leaves of
all specs as options that take any word; then in earnest, with the leaves of these specs.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn

from cldl.commands import Parser
from cldl.recipes import RECIPES, find, leaves
from cldl.recipes.meanings import meanings
from cldl.recipes.recipe import Recipe
from cldl.recipes.spec import KINDS, Spec, choices, choose, defaults, find_kind, leaf_types
from engine.errors import UserError

CHOICES = [s for s, kinds in KINDS.items() if len(kinds) > 1 and s != "data"]  # sections with kinds to choose from
Types = Mapping[str, type[Spec]]


def parse(make_parser: Callable[[], Parser], argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command line; `changes` holds those that are leaves or kinds, for `Recipe.changed`.

    make_parser -- gives a parser of the command's own options, the recipe and --help (as a flag) among them
    """
    first_parser, parser = make_parser(), make_parser()
    _add_words(first_parser)
    first, others = first_parser.parse_known_args(argv)
    if others and first.recipe not in RECIPES:
        _refuse(others[0], first_parser)
    if first.recipe is None:
        _add_common(parser)
    else:
        chosen = {section: name for section in CHOICES if (name := vars(first).get(section))}
        presets = {section: name for section, name in chosen.items() if isinstance(choose(section, name), Spec)}
        recipe = find(first.recipe).changed(**presets)
        kinds = {section: spec.kind for section, spec in recipe.specs.items()}
        kinds |= {section: name for section, name in chosen.items() if section not in presets}
        types = {section: find_kind(section, kind) for section, kind in kinds.items()}
        _add_leaves(parser, recipe, types)
    if first.help:
        parser.print_help()
        parser.exit()
    options, others = parser.parse_known_args(argv)
    if others:
        _refuse(others[0], parser, recipe, types)
    given = vars(options)
    options.changes = {name: given.pop(name) for name in list(given) if "." in name or name in CHOICES}
    return options


def _add_words(parser: Parser) -> None:
    """Every leaf of every spec, and every section that has kinds, as an option that takes a word."""
    specs = [spec for kinds in KINDS.values() for spec in kinds.values()]
    names = {name for spec in specs for leaf in leaf_types(spec) for name in (f"{spec.section}.{leaf}", leaf)}
    for option in sorted({_option(name) for name in names | set(CHOICES)} - set(parser.names)):
        parser.add_argument(option)


def _add_leaves(parser: Parser, recipe: Recipe, types: Types) -> None:
    """The leaves of a recipe with these types of specs, a group a section; the help tells their values and sources."""
    own = set(parser.names)
    counts = Counter(leaf for spec in types.values() for leaf in leaf_types(spec))
    for section, spec in types.items():
        group = parser.add_argument_group(f"{section} ({spec.kind})", recipe.sources.get(section))
        if section in CHOICES:
            group.add_argument(
                _option(section),
                metavar="KIND",
                default=argparse.SUPPRESS,
                help=f"one of {', '.join(choices(section))}",
            )
        for leaf, hint in leaf_types(spec).items():
            dotted = f"{section}.{leaf}"
            names = [_option(dotted), *([_option(leaf)] if counts[leaf] == 1 and _option(leaf) not in own else [])]
            group.add_argument(  # its dest is the dotted name
                *names,
                default=argparse.SUPPRESS,
                type=partial(leaves.parse, hint=hint, name=dotted),
                metavar=leaves.metavar(hint),
                help=_help(recipe, spec, leaf).replace("%", "%%"),
            )


def _add_common(parser: Parser) -> None:
    """The leaves that every recipe has."""
    dotted = set.intersection(*(set(recipe.leaves) for recipe in RECIPES.values()))
    group = parser.add_argument_group("values that every recipe has; RECIPE --help lists all of a recipe's")
    for name in sorted(dotted):
        section, _, leaf = name.partition(".")
        hint = leaf_types(next(iter(KINDS[section].values())))[leaf]
        group.add_argument(
            _option(name),
            _option(leaf),
            default=argparse.SUPPRESS,
            type=partial(leaves.parse, hint=hint, name=name),
            metavar=leaves.metavar(hint),
        )


def _help(recipe: Recipe, spec: type[Spec], leaf: str) -> str:
    """A leaf's meaning, and in brackets its value and the source of that."""
    old = getattr(recipe, spec.section)
    if leaf in old.values:
        value = "; ".join(filter(None, [leaves.show(old.values[leaf]), old.sources.get(leaf)]))
    else:
        value = leaves.show(defaults(spec)[leaf]) if leaf in defaults(spec) else "must be given"
    return f"{meanings(spec).get(leaf, '')} ({value})".lstrip()


def _refuse(word: str, parser: Parser, recipe: Recipe | None = None, types: Types | None = None) -> NoReturn:
    """Say that there is no such option, and which one may be meant."""
    option = word.partition("=")[0]
    name = option.removeprefix("--").replace("-", "_")
    if not option.startswith("-"):
        raise UserError(f"{word!r} is one argument too many: give a single recipe, and a value after each option.")
    here = [_option(f"{section}.{name}") for section, spec in (types or {}).items() if name in leaf_types(spec)]
    if here:
        raise UserError(f"{option} is both {' and '.join(here)}: write the one that is meant.")
    specs = [spec for kinds in KINDS.values() for spec in kinds.values()]
    owners = [f"{s.section} {s.kind}" for s in specs if name.removeprefix(f"{s.section}.") in leaf_types(s)]
    if recipe and owners:
        raise UserError(f"{recipe.name} has no option {option}, which belongs to {' and '.join(owners)}.")
    parser.refuse(word)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
