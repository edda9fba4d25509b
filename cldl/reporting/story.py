"""The story of a run: what its numbers say, and one suggested next step with its command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cldl.commands import again
from cldl.recipes import RECIPES
from cldl.reporting import estimate, repeat
from cldl.reporting.claims import Facts, claims
from cldl.reporting.difficulty import decided_at_the_ends
from cldl.training.evaluation import Evaluation
from cldl.training.run import Run

SHARED = "_shared"  # the ending of a recipe's variant that lets every classifier learn
WHOLE: dict[str, Any] = dict.fromkeys(("limit_train", "limit_test", "epochs"))  # options that are left out


@dataclass(frozen=True)
class Step:
    """What would be next: why, and the arguments of `cldl.train`."""

    reason: str
    arguments: list[str]


def facts(run: Run, metrics: Sequence[dict], evaluation: Evaluation) -> Facts:
    """The numbers of a run, as its claims need them."""
    joint, share = evaluation.objective.is_ensemble, evaluation.objective.unweighted_share
    easiest, hardest = decided_at_the_ends(evaluation) if joint else ({}, {})
    return Facts(
        images=len(evaluation.labels),
        errors=evaluation.errors,
        apart=evaluation.apart if joint else {},
        left={name: share + (1 - share) * T for name, T in evaluation.companions.items()} if joint else {},
        shares=evaluation.shares if joint else {},
        easiest=easiest,
        hardest=hardest,
        tests=[line["test_error"]["fused"] for line in metrics],
        trainings=[line["train_error"]["fused"] for line in metrics],
        planned=run.recipe.schedule.epochs,
    )


def told(run: Run, metrics: Sequence[dict], evaluation: Evaluation) -> tuple[list[str], str]:
    """The story in sentences, the last one says why the command would be next; and that command, or nothing."""
    f = facts(run, metrics, evaluation)
    step = next_step(run, f)
    return [*claims(f), *([step.reason] if step else [])], again("cldl.train", *step.arguments) if step else ""


def next_step(run: Run, f: Facts) -> Step | None:
    """The first of these that applies; None where the recipe is not one of the project's, so that there is no command."""
    name, epochs = run.recipe.name, run.recipe.schedule.epochs
    if name not in RECIPES:
        return None
    if f.is_stopped:
        return Step("Finish the run:", ["--resume", "--run", str(run.folder)])
    if trial := _trial(run):
        seconds = estimate.seconds(RECIPES[name])
        time = f" (about {estimate.about(seconds)} on two cores)" if seconds else ""
        return Step(f"This was a trial of {trial}. The whole recipe{time}:", repeat.arguments(run, **WHOLE))
    if f.overfits:
        reason = "Hold it back, by fewer epochs or more --dropout, and choose between them on training images held out:"
        held_out = run.config.get("held_out") or f.images
        return Step(reason, repeat.arguments(run, epochs=f.best_epoch, held_out=held_out))
    if f.improves:
        reason = "Give it more epochs, in a run of its own, as its learning rate has come to its schedule's end:"
        return Step(reason, repeat.arguments(run, epochs=2 * epochs))
    if f.starved and name + SHARED in RECIPES:
        return Step("Let every classifier learn:", repeat.arguments(run, name + SHARED))
    if f.starved:
        reason = "Leave a half of each loss alone, so that every classifier learns:"
        return Step(reason, repeat.arguments(run, unweighted_share=0.5))
    reason = "Another seed, as only several runs tell how much of a difference is chance; compare them by cldl.report:"
    return Step(reason, repeat.arguments(run, seed=run.config["seed"] + 1))


def _trial(run: Run) -> str:
    """What of the recipe was left out; empty where nothing was."""
    epochs, usual = run.recipe.schedule.epochs, RECIPES[run.recipe.name].schedule.epochs
    images = run.config.get("limit_train")
    parts = [f"{epochs} of the recipe's {usual} epochs"] if epochs < usual else []
    return " on ".join([*parts, *([f"{images:,} images"] if images else [])])
