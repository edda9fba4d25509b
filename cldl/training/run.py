"""A run is a folder: its configuration, what each epoch gave, and the state from which it continues.

config.json        the recipe's values and their sources, the seed, the limits, the threads, the versions: all to repeat it
metrics.jsonl      an object a line, an epoch a line
evaluations.jsonl  an object a line: what tests found that saw their images in another way (crops, scales, whole images)
checkpoint.h5      weights, optimiser and position of the last finished epoch, or of the step at which it was stopped
report/            figures and a page
.lock              held by the process that trains the run
"""

from __future__ import annotations

import itertools
import json
import time
from contextlib import suppress
from functools import cached_property
from html import escape
from pathlib import Path

from cldl.recipes.recipe import Recipe
from cldl.recipes.stored import from_json, to_json
from cldl.training.formats import CHECKPOINT, CONFIG, MAX_CONFIG, MAX_METRICS, evaluation_line, metrics_line
from cldl.training.machine import processor, versions
from cldl.training.run_data import load_data
from cldl.training.trained import TrainedModel, load_weights
from data.transforms.preprocessing import Preprocessing
from engine.device import choose
from engine.errors import UserError
from engine.io.fields import shown
from engine.io.files import atomic_write, explained, make_folder, write_json
from engine.io.json import parse, parse_lines, read_bytes, refusing
from engine.io.storage import VersionError, read_arrays, write_arrays
from engine.runtime.backend import make_backend

FORMAT = 2  # of config.json and of checkpoint.h5
WRITTEN_BY = {1: "cldl 0.1"}  # earlier formats
ROOT = Path("runs")
REMEDY = "restore it from a copy, use the version that wrote it, or start anew."


class Run:
    """A run's folder, opened."""

    def __init__(self, folder: Path, config: dict) -> None:
        self.folder, self.config = folder, config

    @classmethod
    def create(cls, folder: Path, recipe: Recipe, **choices) -> Run:
        """A new run, in a folder that is made if need be; raises UserError if it holds a run already."""
        check_free(folder)
        config = {
            "format": FORMAT,
            "recipe": to_json(recipe),
            "sources": recipe.sources,
            **choices,
            "versions": versions(),
            "machine": processor(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        write_json(make_folder(folder) / "config.json", config)
        return cls(folder, config)

    @classmethod
    def open(cls, folder: Path) -> Run:
        """The run in a folder; raises UserError if there is none, or one of another version."""
        path = folder / "config.json"
        try:
            with refusing(path, REMEDY):
                config = parse(read_bytes(path, MAX_CONFIG))
        except FileNotFoundError:
            raise UserError(f"{folder} holds no run (no config.json): name the folder that --run was given.") from None
        if isinstance(config, dict):
            _check_format(path, config.get("format"))
        with refusing(path, REMEDY):
            CONFIG(config, "")
        run = cls(folder, config)
        run.recipe  # noqa: B018 -- a recipe that cannot be read is refused here, and not halfway through a command
        return run

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe with the values of this run; raises UserError where config.json holds none."""
        try:
            return from_json(self.config.get("recipe"), self.config.get("sources"))
        except UserError as error:
            raise UserError(f"{self.folder / 'config.json'}: {error}") from None

    def metrics(self, epochs: int = 0) -> list[dict]:
        """The lines of metrics.jsonl, of the finished epochs; raises UserError if those of the first `epochs` are missing."""
        path, check = self.folder / "metrics.jsonl", metrics_line(self.recipe.model.n_classifiers)
        lines: list[dict] = []
        with refusing(path, "restore it from a copy."), suppress(FileNotFoundError):
            lines = list(parse_lines(read_bytes(path, MAX_METRICS), check))
        for epoch, line in enumerate(lines, 1):
            if line["epoch"] != epoch:
                raise UserError(f"{path} has no epoch {epoch} in line {epoch}: restore it from a copy.")
        if len(lines) < epochs:
            raise UserError(
                f"{path} has {len(lines)} of the {epochs} epochs that checkpoint.h5 has behind it: restore both files of one "
                "run, or start it anew in another folder."
            )
        return lines

    def record(self, lines: list[dict]) -> None:
        """Write the lines of all finished epochs."""
        with atomic_write(self.folder / "metrics.jsonl", "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def evaluations(self) -> list[dict]:
        """The lines of evaluations.jsonl, see `cldl.training.formats`; there may be none."""
        path, lines = self.folder / "evaluations.jsonl", list[dict]()
        with refusing(path, "remove it, or restore it from a copy."), suppress(FileNotFoundError):
            lines = list(parse_lines(read_bytes(path, MAX_METRICS), evaluation_line(self.recipe.model.n_classifiers)))
        return lines

    def record_evaluation(self, line: dict) -> None:
        """Keep a line, in the place of an older one that saw the images in the same way."""
        kept = [old for old in self.evaluations() if any(old[name] != line[name] for name in ("crops", "scales"))]
        with atomic_write(self.folder / "evaluations.jsonl", "w") as file:
            file.writelines(json.dumps(own) + "\n" for own in [*kept, line])

    def save(self, arrays: dict, numbers: dict) -> None:
        """Replace the checkpoint, atomically."""
        write_arrays(self.folder / "checkpoint.h5", arrays, numbers, kind="checkpoint", version=FORMAT)

    def load(self) -> tuple[dict, dict]:
        """The checkpoint; raises UserError if there is none, or it is damaged."""
        remedy = "start the run anew with --run and another folder"
        path = self.folder / "checkpoint.h5"
        try:
            arrays, numbers = read_arrays(path, kind="checkpoint", version=FORMAT, remedy=remedy)
        except VersionError as error:
            _check_format(path, error.found)
            raise
        with refusing(path, remedy):
            CHECKPOINT(numbers, "")
        return arrays, numbers

    def model(
        self,
        preprocessing: Preprocessing | None = None,
        *,
        cache: Path | None = None,
        data: Path | None = None,
        threads: int | None = None,
        device: str = "auto",
        precision: str = "float32",
    ) -> TrainedModel:
        """The network with the weights of the checkpoint, ready to predict.

        preprocessing      -- None: the run's; one that was fitted is taken from the cache, or fitted again on its data set
        cache, data        -- where the data set is, should it be needed (see `data.registry.load`)
        threads, precision -- as of `Trainer`; device -- "auto", "cpu" or "cuda"

        Raises:    UserError if there is no checkpoint, it is damaged or of another network, or the data set cannot be had.
        """
        network, (arrays, numbers) = self.recipe.build_network(), self.load()
        load_weights(network, arrays, self.folder / "checkpoint.h5")
        preprocessing = preprocessing or self.recipe.fixed_preprocessing()
        if preprocessing is None:
            _, preprocessing = load_data(self.recipe, self.config, cache=cache, data=data)
        backend = make_backend(
            choose(device),
            network.parameters(),
            threads=threads,
            precision=precision,
            sample_bytes=network.sample_bytes(),
        )
        objective = self.recipe.build_objective().at(int(numbers["epoch"]))
        class_names = tuple(self.config.get("classes", map(str, range(network.classes))))
        if len(class_names) != network.classes:
            raise UserError(
                f"{self.folder / 'config.json'} has {len(class_names)} classes, expected {network.classes}: {REMEDY}"
            )
        return TrainedModel(network, objective, preprocessing, backend, class_names)

    def change_epochs(self, epochs: int, done: int) -> None:
        """Make it a run of so many epochs, after `done` of them; config.json has a note of that.

        Raises:    UserError where the recipe cannot have so many.
        """
        recipe, note = self.recipe.changed(epochs=epochs), {"epochs": self.recipe.schedule.epochs, "after": done}
        self.config |= {
            "recipe": to_json(recipe),
            "sources": recipe.sources,
            "changed_epochs": [*self.config.get("changed_epochs", []), note],
        }
        self.recipe = recipe
        write_json(self.folder / "config.json", self.config)

    def _repr_html_(self) -> str:
        """The recipe and the last errors, as a notebook shows them."""
        metrics, recipe = self.metrics(), self.recipe
        done = f"{len(metrics)} of {recipe.schedule.epochs} epochs"
        errors = metrics[-1]["test_error"] if metrics else {}
        cells = "".join(f"<tr><td>{escape(name)}</td><td>{error:.2f} %</td></tr>" for name, error in errors.items())
        return f"<p><b>{escape(recipe.name)}</b>, {escape(str(self.folder))}: {done}</p><table>{cells}</table>"

    @property
    def has_checkpoint(self) -> bool:
        return (self.folder / "checkpoint.h5").exists()


def _check_format(path: Path, found: object) -> None:
    """Raise UserError where a file is of another format, with the version that reads it."""
    if type(found) is int and found in WRITTEN_BY:
        version = WRITTEN_BY[found]
        raise UserError(
            f"{path} was written by {version}, and this version reads format {FORMAT} only: use {version} to continue the "
            f"run (pip install '{version.replace(' ', '==')}.*'), or start it anew."
        )
    if type(found) is not int or found != FORMAT:
        raise UserError(
            f"{path} has format {shown(found)}; this version reads {FORMAT}: use the version that wrote it."
        )


def check_free(folder: Path) -> None:
    """Raise UserError where a folder holds a run."""
    if (folder / "config.json").exists():
        raise UserError(f"{folder} holds a run already: continue it by --resume, or choose another folder by --run.")


def make_new_folder(recipe: str) -> Path:
    """Make runs/RECIPE-DATE-TIME, a folder that no other run has, started in the same second though it may be."""
    stem = make_folder(ROOT) / f"{recipe}-{time.strftime('%Y%m%d-%H%M%S')}"
    for i in itertools.count(1):
        folder = stem if i == 1 else stem.with_name(f"{stem.name}-{i}")
        with explained(folder), suppress(FileExistsError):
            folder.mkdir()
            break
    return folder


def newest_folder(recipe: str) -> Path:
    """The newest of the runs of a recipe in runs/; raises UserError if there is none."""
    found = sorted(path.parent for path in ROOT.glob(f"{recipe}-[0-9]*/config.json"))
    if not found:
        raise UserError(f"there is no run of {recipe} in {ROOT}/ to continue: name its folder with --run.")
    return found[-1]
