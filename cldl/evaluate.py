"""Test a trained run once more, and write its report anew.

python -m cldl.evaluate runs/mnist_nin-20260101-120000
"""

from __future__ import annotations

from pathlib import Path

from cldl.commands import add_data_arguments, add_device_arguments, guarded, leave, parser
from cldl.reporting import poster
from cldl.reporting.display import Display
from cldl.training.run import Run
from cldl.training.run_data import limited, load_data


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, 2 for an error that the user can fix, 130 after Ctrl-C."""
    p = parser("cldl.evaluate", "Test a run's checkpoint on its data set's test images; rewrites the run's report.")
    p.add_argument("run", type=Path, metavar="DIR", help="the run's folder")
    add_data_arguments(p)
    add_device_arguments(p)
    options = p.parse_args(argv)
    with Display() as display:
        run = Run.open(options.run)
        dataset, preprocessing = load_data(
            run.recipe, run.config, cache=options.cache, data=options.data, say=display.say
        )
        dataset = limited(dataset, run.config)
        model = run.model(preprocessing, device=options.device, precision=options.precision)
        display.say(f"testing {run.folder} on {len(dataset.test):,} images of {dataset.name}")
        evaluation = model.evaluate(dataset.test)
        published = poster.errors(dataset.name, run.recipe.data.augment)
        display.result({"test_error": evaluation.errors}, published, evaluation.objective.is_ensemble)
        from cldl.reporting.run_report import write_report  # here, as matplotlib makes folders when it is imported

        page = write_report(run.folder, run.metrics(), evaluation, dataset, run.config)
        display.say(f"report: {page}")
    return 0


if __name__ == "__main__":
    leave(main)
