"""Test a trained run once more, and write its report anew.

python -m cldl.evaluate runs/mnist_nin-20260101-120000
python -m cldl.evaluate runs/folder-20260101-120000 --crops 10
"""

from __future__ import annotations

from pathlib import Path

from cldl.commands import add_data_arguments, add_device_arguments, guarded, leave, parser
from cldl.reporting import poster
from cldl.reporting.display import Display
from cldl.training.run import Run
from cldl.training.run_data import limited, load_data
from cldl.training.trained import CROPS

MANY_CLASSES = 100  # of which the five best are told too


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
    options = p.parse_args(argv)
    with Display() as display:
        run = Run.open(options.run)
        dataset, preprocessing = load_data(
            run.recipe, run.config, cache=options.cache, data=options.data, say=display.say
        )
        dataset = limited(dataset, run.config)
        model = run.model(preprocessing, device=options.device, precision=options.precision)
        crops = f", {options.crops} crops of each" if options.crops > 1 else ""
        display.say(f"testing {run.folder} on {len(dataset.test):,} images of {dataset.name}{crops}")
        evaluation = model.evaluate(dataset.test, options.crops)
        published = poster.errors(dataset.name, run.recipe.data.augment)
        display.result({"test_error": evaluation.errors}, published, evaluation.objective.is_ensemble)
        if len(dataset.class_names) >= MANY_CLASSES:
            errors = ", ".join(f"{name} {error:.2f}%" for name, error in evaluation.top_errors().items())
            display.say(f"error of the five best classes: {errors}")
        if options.crops > 1:
            return 0  # the report is that of one crop
        from cldl.reporting.run_report import write_report  # here, as matplotlib makes folders when it is imported

        page = write_report(run.folder, run.metrics(), evaluation, dataset, run.config)
        display.say(f"report: {page}")
    return 0


if __name__ == "__main__":
    leave(main)
