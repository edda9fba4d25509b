"""Test a trained run once more, and write its report anew.

python -m cldl.evaluate runs/mnist_nin-20260101-120000
python -m cldl.evaluate runs/folder-20260101-120000 --crops 10
python -m cldl.evaluate runs/mnist_nin_shared-20260101-120000 --exit
python -m cldl.evaluate runs/folder-20260101-120000 --dense --scales 64,96
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from cldl.commands import add_data_arguments, add_device_arguments, guarded, leave, parser
from cldl.exits import ExitRule, exits_of
from cldl.reporting import poster
from cldl.reporting.display import Display
from cldl.training import early_exit
from cldl.training.evaluation import MANY_CLASSES, Evaluation
from cldl.training.formats import MAX_SCALE
from cldl.training.run import Run
from cldl.training.run_data import limited, load_data
from cldl.training.seen import CROPS, Seen
from cldl.training.trained import TrainedModel
from data.dataset import Dataset


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, 2 for an error that the user can fix, 130 after Ctrl-C."""
    p = parser("cldl.evaluate", "Test a run's checkpoint on its data set's test images; rewrites the run's report.")
    p.add_argument("run", type=Path, metavar="DIR", help="the run's folder")
    add_data_arguments(p)
    add_device_arguments(p)
    p.add_argument(
        "--crops", type=int, choices=CROPS, default=1, help="of each photograph, over which predictions are averaged"
    )
    p.add_argument(
        "--exit",
        action="store_true",
        help="instead, measure early exit: what it costs to let the first classifier answer that is sure, and keep the best "
        "thresholds for cldl.predict --exit",
    )
    p.add_argument(
        "--scales",
        type=_scales,
        default=(),
        metavar="A,B,..",
        help="what photographs are resized to, in pixels; predictions are averaged over them",
    )
    p.add_argument("--dense", action="store_true", help="see whole photographs and their reflections, instead of crops")
    options = p.parse_args(argv)
    seen = Seen(options.crops, options.scales, options.dense)
    with Display() as display:
        run = Run.open(options.run)
        dataset, preprocessing = load_data(
            run.recipe, run.config, cache=options.cache, data=options.data, say=display.say
        )
        model = run.model(preprocessing, device=options.device, precision=options.precision)
        if options.exit:
            measure_exits(run, model, dataset, display)
            return 0
        dataset = limited(dataset, run.config)
        how = "" if seen.is_once else f", {seen}"
        display.say(f"testing {run.folder} on {len(dataset.test):,} images of {dataset.name}{how}")
        evaluation = model.evaluate(dataset.test, seen.crops, scales=seen.scales, dense=seen.dense)
        published, top5 = poster.errors(dataset.name, run.recipe.data.augment), poster.top5_errors(dataset.name)
        line = _line(evaluation, len(dataset.class_names))
        display.result(line, published, evaluation.objective.is_ensemble, top5)
        if not seen.is_once:  # the report is that of one crop
            run.record_evaluation({"epoch": len(run.metrics()), **seen.as_line(), **line})
            return 0
        from cldl.reporting.run_report import write_report  # here, as matplotlib makes folders when it is imported
        from cldl.reporting.story import told

        display.story(*told(run, run.metrics(), evaluation))
        page = write_report(run, run.metrics(), evaluation, dataset)
        display.say(f"report: {page}")
    return 0


def measure_exits(run: Run, model: TrainedModel, dataset: Dataset, display: Display) -> None:
    """Measure early exit, keep the thresholds in the run, and write report/exits.html."""
    from cldl.reporting import exits as pages  # here, as matplotlib makes folders when it is imported

    study = early_exit.study(model, dataset, run.config)
    display.say(
        f"chosen on {study.fitted_on}, tried on {study.tried_on}: {study.measure}, temperatures "
        f"{', '.join(f'{tau:.2f}' for tau in study.temperatures)}; all classifiers together: {study.error:.2f} % wrong"
    )
    display.exits(pages.rows(study), len(model.network.exits))
    study.save(run.folder)
    rule = ExitRule(study.measure, study.usual.threshold, study.temperatures)
    page = pages.write_page(run.folder, study, dataset, exits_of(rule, study.logits))
    display.say(f"report: {page}")


def _line(evaluation: Evaluation, classes: int) -> dict[str, Any]:
    """The errors, as a line of metrics has them."""
    top5 = {"test_top5_error": evaluation.top_errors()} if classes >= MANY_CLASSES else {}
    return {"test_error": evaluation.errors, **top5}


def _scales(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between them."""
    try:
        scales = tuple(map(int, text.split(",")))
    except ValueError:
        scales = (0,)
    if not all(8 <= scale <= MAX_SCALE for scale in scales):
        raise ArgumentTypeError(f"{text!r}: give pixels, such as 256,384,512")
    return scales


if __name__ == "__main__":
    leave(main)
