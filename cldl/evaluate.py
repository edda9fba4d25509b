"""Test a trained run once more, and write its report anew.

python -m cldl.evaluate runs/mnist_nin-20260101-120000
"""

from __future__ import annotations

import sys
from pathlib import Path

from cldl import poster
from cldl.commands import add_data_arguments, add_device_arguments, guarded, load_data, parser
from cldl.display import Display
from cldl.evaluation import Evaluation, score
from cldl.page import write_report
from cldl.runs import Run
from cldl.trained import load_network
from engine.device import choose
from engine.workers import workers_on


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, 2 for an error that the user can mend, 130 after Ctrl-C."""
    p = parser("cldl.evaluate", "Test a run's checkpoint on its data set's test images; rewrites the run's report.")
    p.add_argument("run", type=Path, metavar="DIR", help="the run's folder")
    add_data_arguments(p)
    add_device_arguments(p)
    options = p.parse_args(argv)
    with Display() as display:
        run = Run.open(options.run)
        recipe, network = run.recipe, load_network(run)
        dataset, preprocessing = load_data(recipe, options, display.say, run)
        dataset = dataset.limited(test=run.config.get("limit_test"))
        display.say(f"testing {run.folder} on {len(dataset.test_labels):,} images of {dataset.name}")
        workers = workers_on(choose(options.device), network.parameters(), precision=options.precision)
        logits = score(network, dataset.test_images, preprocessing, workers)
        evaluation = Evaluation(logits, dataset.test_labels, recipe.objective(len(run.metrics())))
        page = write_report(run.folder, run.metrics(), evaluation, dataset, run.config)
        theirs, fuses = poster.errors(dataset.name, recipe.augment), evaluation.objective.fuses
        display.result({"test_error": evaluation.errors}, theirs, fuses)
        display.say(f"report: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
