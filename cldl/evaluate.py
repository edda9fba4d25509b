"""Test a trained run once more, and write its report anew.

python -m cldl.evaluate runs/mnist_nin-20260101-120000
"""

from __future__ import annotations

import sys
from pathlib import Path

from cldl.commands import add_data_arguments, add_device_arguments, guarded, load_data, parser
from cldl.reporting import poster
from cldl.reporting.display import Display
from cldl.reporting.run_report import write_report
from cldl.training.evaluation import Evaluation, score
from cldl.training.run import Run
from cldl.training.trained import load_network
from engine.device import choose
from engine.runtime.backend import make_backend


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
        backend = make_backend(choose(options.device), network.parameters(), precision=options.precision)
        logits = score(network, dataset.test_images, preprocessing, backend)
        evaluation = Evaluation(logits, dataset.test_labels, recipe.objective(len(run.metrics())))
        page = write_report(run.folder, run.metrics(), evaluation, dataset, run.config)
        theirs, is_ensemble = poster.errors(dataset.name, recipe.augment), evaluation.objective.is_ensemble
        display.result({"test_error": evaluation.errors}, theirs, is_ensemble)
        display.say(f"report: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
