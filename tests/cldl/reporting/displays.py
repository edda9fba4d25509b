"""Displays that write into a string: piped, and on a terminal; and what can be read there."""

import io
import re

from rich.console import Console

from cldl.reporting.display import Display
from tests.cldl import tiny


def piped():
    return Display(Console(file=io.StringIO(), force_terminal=False))


def on_terminal():
    return Display(Console(file=io.StringIO(), force_terminal=True, width=100, height=40, legacy_windows=False))


def plain_terminal(width=100):
    """A terminal without colours, so that what it shows can be read."""
    file = io.StringIO()
    return Display(Console(file=file, force_terminal=True, color_system=None, width=width, legacy_windows=False))


def text(display):
    return display.console.file.getvalue()


def walk(trainer, steps=1):
    trainer.step += steps
    trainer.metrics.samples += 4 * steps


def columns(line):
    """The cells of a line, which two blanks or more separate."""
    return [cell for cell in line.strip().split("  ") if cell]


def screen(display):
    """The lines that stand on a terminal after all that was written to it."""
    lines, row, column = [""], 0, 0
    for control, plain in re.findall(r"(\x1b\[[?\d;]*[A-Za-z]|[\r\n])|([^\x1b\r\n]+)", text(display)):
        if plain:
            lines[row] = lines[row][:column].ljust(column) + plain + lines[row][column + len(plain) :]
            column += len(plain)
        elif control in "\r\n":
            row, column = row + (control == "\n"), 0
            lines += [""] * (row + 1 - len(lines))
        elif control == "\x1b[2K":
            lines[row] = ""
        elif control.endswith("A"):  # so many lines up
            row -= int(control[2:-1])
    return [line.rstrip() for line in lines]


def show_all(display, trainer):
    with display:
        display.say("getting [it]")
        display.plan(trainer, tiny.opened("runs/[one]", seed=3))
        for _ in range(10):
            walk(trainer)
            display.step(trainer)
        for line in tiny.metrics(2):
            display.epoch(line)
        display.statistics([("conv1.weight", 1.5, float("nan"), 7)])
        display.result(tiny.metrics(2)[-1])
