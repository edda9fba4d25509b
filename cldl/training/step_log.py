"""What each step gave: a line of steps.jsonl in the run's folder, or a point of TensorBoard's curves.

The numbers are those of the step's own batch, before its update; errors in %. A run that is resumed goes on behind its last
checkpoint: what was logged of later steps is dropped.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cldl.training.formats import MAX_COUNT, MAX_EPOCHS
from cldl.training.trainer import Trainer
from engine.errors import UserError
from engine.io.fields import by_name, fields, number, whole
from engine.io.files import atomic_write
from engine.io.json import parse_lines, read_bytes, refusing

NAME, TENSORBOARD, MAX_BYTES = "steps.jsonl", "tensorboard", 1 << 32
LINE = fields(
    {
        "epoch": whole(1, MAX_EPOCHS),
        "step": whole(1, MAX_COUNT),
        "loss": number(),
        "error": by_name(number(0, 100)),
        "learning_rate": number(0),
    }
)


class Log(Protocol):
    """Takes the numbers of every step, and the line of metrics.jsonl of every epoch."""

    def step(self, line: dict[str, Any], done: int) -> None:
        """`done` steps of the run are over."""
        ...

    def epoch(self, line: dict[str, Any], done: int) -> None:
        """An epoch has ended."""
        ...

    def close(self) -> None:
        """Nothing comes after this."""
        ...


class StepLines:
    """steps.jsonl."""

    def __init__(self, folder: Path, trainer: Trainer) -> None:
        path, position, kept = folder / NAME, (trainer.epoch + 1, trainer.step), list[dict[str, Any]]()
        with refusing(path, "restore it from a copy, or remove it."), suppress(FileNotFoundError):
            kept = [
                line
                for line in parse_lines(read_bytes(path, MAX_BYTES), LINE)
                if (line["epoch"], line["step"]) <= position
            ]
        with atomic_write(path, "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in kept)
        self._file = path.open("a", encoding="utf-8", buffering=1)  # a line is there as soon as it is written

    def step(self, line: dict[str, Any], done: int) -> None:
        self._file.write(json.dumps(line) + "\n")

    def epoch(self, line: dict[str, Any], done: int) -> None:
        pass

    def close(self) -> None:
        self._file.close()


def expect_tensorboard() -> None:
    """Raise UserError where the package is not installed that writes TensorBoard's files."""
    try:
        import tensorboardX  # noqa: F401 -- whether it is there
    except ImportError:
        raise UserError("--tensorboard takes the package tensorboardX: pip install 'cldl[tensorboard]'.") from None


class TensorBoard:
    """Curves over the steps, in the run's folder: tensorboard --logdir RUN."""

    def __init__(self, folder: Path, trainer: Trainer) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder / TENSORBOARD), purge_step=_done(trainer) + 1)

    def step(self, line: dict[str, Any], done: int) -> None:
        self._writer.add_scalar("train/loss", line["loss"], done)
        self._writer.add_scalar("learning_rate", line["learning_rate"], done)
        for name, error in line["error"].items():
            self._writer.add_scalar(f"train/error {name}", error, done)

    def epoch(self, line: dict[str, Any], done: int) -> None:
        self._writer.add_scalar("test/loss", line["test_loss"], done)
        for name, error in line["test_error"].items():
            self._writer.add_scalar(f"test/error {name}", error, done)
        for name, T in line["test_companions"].items():
            self._writer.add_scalar(f"test/T {name}", T, done)

    def close(self) -> None:
        self._writer.close()


class StepLog:
    """Tells logs what each step gave; the trainer's metrics are sums over the epoch, so it takes their differences."""

    def __init__(self, trainer: Trainer, logs: list[Log]) -> None:
        self.logs = logs
        self._before = _sums(trainer)

    def step(self, trainer: Trainer) -> None:
        """After a step."""
        if not self.logs:
            return
        now = _sums(trainer)
        samples, loss, *wrong = now - self._before
        self._before = now
        names = [*(str(m + 1) for m in range(len(wrong) - 1)), "fused"]
        line = {
            "epoch": trainer.epoch + 1,
            "step": trainer.step,
            "loss": loss / samples,
            "error": {name: 100 * count / samples for name, count in zip(names, wrong, strict=True)},
            "learning_rate": trainer.schedule.learning_rate_at(trainer.epoch + trainer.step / trainer.steps_per_epoch),
        }
        for log in self.logs:
            log.step(line, _done(trainer))

    def epoch(self, trainer: Trainer, line: dict[str, Any]) -> None:
        """After an epoch."""
        self._before = _sums(trainer)
        for log in self.logs:
            log.epoch(line, _done(trainer))

    def close(self) -> None:
        for log in self.logs:
            log.close()


def _sums(trainer: Trainer) -> np.ndarray:
    """Samples, loss, and the wrong answers of each classifier and of all jointly, of the epoch so far."""
    metrics = trainer.metrics
    return np.array([metrics.samples, metrics.loss, *metrics.wrong], np.float64)


def _done(trainer: Trainer) -> int:
    """The steps of the run that are over."""
    return trainer.epoch * trainer.steps_per_epoch + trainer.step
