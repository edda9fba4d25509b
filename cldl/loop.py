"""The training loop of `cldl.train`: steps, checkpoints, and what happens at the end or at Ctrl-C."""

from __future__ import annotations

import time

from cldl.commands import again
from cldl.reporting import poster
from cldl.reporting.display import Display
from cldl.signals import STATUS, Interruption
from cldl.training.run import Run
from cldl.training.step_log import StepLog
from cldl.training.together import check_same
from cldl.training.trainer import DivergedError, Trainer
from data.dataset import Dataset
from engine.codegen.jit import told_of_compilation
from engine.runtime.communicator import Communicator

SAVE_EVERY = 600.0  # seconds


def train(run: Run, dataset: Dataset, trainer: Trainer, lines: list[dict], display: Display, log: StepLog) -> int:
    """Train to the end, or to Ctrl-C; a checkpoint an epoch, and then the result and the report.

    Several ranks go on after the same step. Where one could end all of them, there is a checkpoint every SAVE_EVERY seconds.
    """
    comm, evaluation, saved = trainer.comm, None, time.monotonic()
    with Interruption(quiet=not comm.is_first) as interruption, told_of_compilation(display.compiling):
        while trainer.epoch < trainer.schedule.epochs:
            try:
                for _ in trainer.steps():
                    interruption.defer()
                    log.step(trainer)
                    display.step(trainer)
                    if comm.any(interruption.asked):
                        return stop(run, trainer, display)
                    if comm.size > 1 and time.monotonic() - saved > SAVE_EVERY:
                        run.save(*trainer.state())
                        saved = time.monotonic()
            except DivergedError as error:
                display.statistics(trainer.statistics())
                kept = run.folder / "checkpoint.h5"
                good = f"{kept} is from before" if run.has_checkpoint else "there is no checkpoint yet"
                raise DivergedError(f"{error} The last good checkpoint: {good}.") from None
            line, evaluation = trainer.end_epoch()
            check_same(comm, {"set of weights": trainer.checksum()}, "one of the machines computes wrongly")
            lines.append(line)
            run.record(lines)  # before the checkpoint: a kill between the two repeats the epoch and its line
            run.save(*trainer.state())
            log.epoch(trainer, line)
            display.epoch(line)
            saved = time.monotonic()
            if comm.any(interruption.asked):
                return stop(run, trainer, display)
    evaluation = evaluation or trainer.evaluate()
    if not comm.is_first:
        return 0
    from cldl.reporting.run_report import write_report  # here, as matplotlib makes folders when it is imported
    from cldl.reporting.story import told

    theirs = poster.errors(dataset.name, run.recipe.data.augment)
    display.result(lines[-1], theirs, trainer.objective.is_ensemble, poster.top5_errors(dataset.name))
    display.story(*told(run, lines, evaluation))
    page = write_report(run, lines, evaluation, dataset)
    display.say(f"report: {page}")
    return 0


def stop(run: Run, trainer: Trainer, display: Display) -> int:
    """Save the state, and say how to continue."""
    run.save(*trainer.state())
    display.say(
        f"stopped in epoch {trainer.epoch + 1} after {trainer.step} of {trainer.steps_per_epoch} steps; "
        f"continue with: {continuation(run, trainer.comm)}"
    )
    display.say(f"its report so far: {again('cldl.evaluate', run.folder)}")
    return STATUS


def continuation(run: Run, comm: Communicator) -> str:
    """The command line that continues a run on as many ranks."""
    command = again("cldl.train", "--resume", "--run", run.folder)
    return command if comm.size == 1 else f"mpiexec -n {comm.size} {command}"
