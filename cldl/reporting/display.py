"""The progress of a training on the terminal.

On a terminal: the plan, a live view of the current epoch, and a row for each finished one. Piped or in CI: plain lines, without
colours and never wrapped, so that they can be searched.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterable, Sequence
from statistics import median

from rich import box
from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cldl.reporting.explain import GIGA, SIDE, Cost
from cldl.reporting.poster import errors, listed, rows
from cldl.reporting.summary import COSTS, costs, layers, summary
from cldl.training.run import Run
from cldl.training.throughput import Throughput, duration
from cldl.training.trainer import Trainer
from engine.codegen.jit import COMPILING
from layers.network import Network

REFRESH = 0.2  # seconds between two frames
TREND = 4  # epochs whose errors are shown
BUSY = 1.3  # times the least peak
EVERY = 60.0  # seconds between two lines where there are no frames
MANY_DEAD = 0.05  # of the units of a layer; fewer are usual
JUSTIFY: dict[str, JustifyMethod] = {"<": "left", ">": "right"}
MNIST = errors("MNIST")
NARROWEST = 6  # columns of the table of epochs, which hold "12.34%" and "0.1234"


class Display:
    """The view of one run; leave its `with` block to give the terminal back."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(force_terminal=sys.stdout.isatty())
        terminal = self.console.is_terminal and not self.console.is_dumb_terminal and not os.environ.get("CI")
        self._live = Live(console=self.console, auto_refresh=False, transient=True) if terminal else None
        self._throughput = Throughput()
        self._drawn = -math.inf  # when the last frame was drawn
        self._estimated = False  # whether the estimate was printed
        self._headed = False  # whether the table of epochs has its header
        self._epochs = 0
        self._units: dict[str, int] = {}  # by layer
        self._dead: dict[str, int] = {}  # as last reported
        self._errors: list[float] = []  # of the finished epochs, of all classifiers together

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, line: str, style: str = "") -> None:
        """Print a line unchanged; a terminal may wrap it, but a path in it can still be copied."""
        if self._live:
            self.console.print(Text(line, style), soft_wrap=True)
        else:
            print(line, file=self.console.file, flush=True)

    def plan(self, trainer: Trainer, run: Run) -> None:
        """What will be done."""
        self._epochs = trainer.schedule.epochs
        self._units = {name: shape[-1] for name, shape in trainer.network.node_shapes().items()}
        lines = summary(trainer, run)
        if not self._live:
            for label, text in lines.items():
                self.say(f"{label:10}{text}")
            return
        grid = Table.grid(padding=(0, 2))
        for label, text in lines.items():
            grid.add_row(Text(label, "bold"), Text(text))
        self.console.print(grid)

    def compiling(self) -> None:
        """Why the first step takes long."""
        self.say(COMPILING)

    def step(self, trainer: Trainer) -> None:
        """After a step: redraw, five times a second at most; piped, a line a minute."""
        self._throughput.step(trainer)
        left, now = self._throughput.left(trainer), time.monotonic()
        if not self._live:
            if left and not self._estimated:
                self._estimated = True
                self._drawn = now
                self.say(
                    f"estimate {duration(left[1])} to the end of the run, {self._throughput.images_per_second:,.0f} images/s"
                )
            elif left and now - self._drawn >= EVERY:
                self._drawn = now
                self.say(f"{_place(trainer)}  {self._progress(trainer)}  {duration(left[1])} left")
            return
        if now - self._drawn >= REFRESH or trainer.step == trainer.steps_per_epoch:
            self._drawn = now
            self._live.start()
            self._live.update(self._picture(trainer, left), refresh=True)

    def epoch(self, line: dict) -> None:
        """A row for a finished epoch, and a warning if the number of dead units has changed in a layer that has many."""
        self._throughput.epoch()
        cells = _cells(line, self._epochs)
        if self._live:
            if not self._headed:
                self._headed = True
                self.say("\ntest errors; T: the mean weight that the companions put on each classifier's loss")
                self.say(" ".join(f"{heading:>{self._width(heading)}}" for heading in cells), "bold")
            self.say(" ".join(f"{text:>{self._width(heading)}}" for heading, text in cells.items()))
        else:
            self.say("  ".join(f"{heading} {text}" for heading, text in cells.items()))
        self._errors.append(line["test_error"]["fused"])
        dead = {name: count for name, count in line["dead_units"].items() if count > MANY_DEAD * self._units[name]}
        if dead and dead != self._dead:
            counts = ", ".join(f"{name} {count} of {self._units[name]}" for name, count in dead.items())
            self.say(f"warning: dead units: {counts}", "yellow")
        self._dead = dead

    def statistics(self, rows: Iterable[tuple[str, float, float, int]]) -> None:
        """The weights and gradients of a run that has diverged."""
        head = ("<parameter", ">largest |weight|", ">largest |gradient|", ">not finite")
        self._table(head, [(name, f"{w:.3g}", f"{g:.3g}", f"{bad:,}") for name, w, g, bad in rows])

    def layers(self, network: Network) -> None:
        """The network, layer by layer."""
        self._table(("<layer", ">output", ">parameters", ">multiply-adds"), layers(network))

    def costs(self, rows: Sequence[Cost], peaks: Sequence[float], samples: int) -> None:
        """Where the time of a training step goes; `peaks` were measured beside the steps."""
        peak = median(peaks)
        self._table(COSTS, costs(rows, peak))
        self.say(
            f"a training step of {samples} images on one thread; FLOPs of the direct convolution; the peak is that of a "
            f"{SIDE}x{SIDE} matrix product of NumPy's, {peak / GIGA:.1f} GFLOP/s"
        )
        if max(peaks) > BUSY * min(peaks):
            least, most = min(peaks) / GIGA, max(peaks) / GIGA
            self.say(
                f"warning: the machine was busy, the peak varied from {least:.1f} to {most:.1f} GFLOP/s; times are rough",
                "yellow",
            )

    def result(
        self,
        line: dict,
        poster: dict[str, float] = MNIST,
        is_ensemble: bool = True,
        poster_top5: dict[str, float] | None = None,
    ) -> None:
        """The test errors of a line of metrics, then the poster's, and those of the five best classes, where it has them.

        is_ensemble -- as in `poster.rows`
        """
        five = line.get("test_top5_error")
        self._result("test error in %", line["test_error"], poster, is_ensemble)
        if five and poster_top5:
            self._result("top-5 error in %", five, poster_top5, is_ensemble)
        elif five:
            self.say(
                f"error of the five best classes: {', '.join(f'{name} {error:.2f}%' for name, error in five.items())}"
            )

    def story(self, sentences: Sequence[str], command: str = "") -> None:
        """What the numbers of a run say, a sentence a line, and the command that would be next."""
        for sentence in sentences:
            if self._live:
                self.console.print(Padding(Text(sentence), (0, 0, 0, 2)))
            else:
                self.say(sentence)
        if command:
            self.say(f"    {command}")

    def _result(self, what: str, errors: dict[str, float], poster: dict[str, float], is_ensemble: bool) -> None:
        """A table of our errors, and the poster's in a line below it."""
        self._table(("<this run", f">{what}"), rows(errors, is_ensemble))
        if poster:
            self.say(listed(poster))

    def exits(self, rows: Sequence[Sequence[str]], M: int) -> None:
        """Early exit: the thresholds that are kept, and what each gives."""
        shares = [f">classifier {m + 1}" for m in range(M)]
        self._table(("<allowed", ">threshold", ">error %", ">multiply-adds", ">time", *shares), rows)

    def _picture(self, trainer: Trainer, left: tuple[float, float] | None) -> Group:
        """The current epoch."""
        done, steps = trainer.step, trainer.steps_per_epoch
        bar = Table.grid(expand=True, padding=(0, 1))
        for ratio in (None, 1, None):
            bar.add_column(ratio=ratio, no_wrap=True)
        epoch, step = _place(trainer).split("  ")
        bar.add_row(epoch, ProgressBar(total=steps, completed=done), step)
        lines = [self._progress(trainer)]
        if done == steps:
            lines.append(f"testing on {len(trainer.dataset.test):,} images")
        elif left:
            speed = f"{self._throughput.images_per_second:,.0f} images/s"
            lines.append(f"{speed}, {duration(left[0])} left of the epoch, {duration(left[1])} of the run")
        if self._errors:
            best, before = min(self._errors), trainer.epoch - len(self._errors)
            last = ", ".join(f"{error:.2f}%" for error in self._errors[-TREND:])
            lines.append(f"tested: best {best:.2f}% after epoch {before + self._errors.index(best) + 1}, last {last}")
        return Group("", bar, *map(Text, lines))

    def _progress(self, trainer: Trainer) -> str:
        """The means of the epoch so far, and the learning rate."""
        means = trainer.metrics.means()
        errors = ", ".join(f"{name} {error:.2f}%" for name, error in means["train_error"].items())
        rate = trainer.schedule.learning_rate_at(trainer.epoch + trainer.step / trainer.steps_per_epoch)
        return f"training: loss {means['train_loss']:.4f}, error {errors}; learning rate {rate:.3g}"

    def _table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table; each heading begins with < or >, the alignment of its column."""
        if self._live:
            table = Table(box=box.SIMPLE_HEAD)
            for heading in head:
                table.add_column(heading[1:], justify=JUSTIFY[heading[0]], overflow="fold")
            for row in rows:
                table.add_row(*map(Text, row))
            self.console.print(table)
            return
        every = [[heading[1:] for heading in head], *rows]
        formats = [f"{heading[0]}{max(len(row[i]) for row in every)}" for i, heading in enumerate(head)]
        for row in every:
            self.say("  ".join(map(format, row, formats)).rstrip())

    def _width(self, heading: str) -> int:
        """Of a column of the table of epochs, whichever the epoch."""
        return max(len(heading), NARROWEST, len(f"{self._epochs}/{self._epochs}") if heading == "epoch" else 0)


def _place(trainer: Trainer) -> str:
    """Where the training is."""
    return f"epoch {trainer.epoch + 1}/{trainer.schedule.epochs}  step {trainer.step:,}/{trainer.steps_per_epoch:,}"


def _cells(line: dict, epochs: int) -> dict[str, str]:
    """The numbers of an epoch under their headings."""
    errors = {name if name == "fused" else f"error {name}": error for name, error in line["test_error"].items()}
    companions = line["test_companions"]
    if all(T == 1 for T in companions.values()):  # one classifier, or deep supervision
        companions = {}
    waited = line.get("waiting_seconds")  # for images, where they are read from the disk
    return {
        "epoch": f"{line['epoch']}/{epochs}",
        "loss": f"{line['train_loss']:.4f}",
        **{heading: f"{error:.2f}%" for heading, error in errors.items()},
        **{f"T {name}": f"{T:.4f}" for name, T in companions.items()},
        "images/s": f"{line['images_per_second']:,.0f}",
        "time": f"{line['seconds']:.0f}s",
        **({} if waited is None else {"waiting": f"{waited / max(line['seconds'], 1e-9):.1%}"}),
    }
