"""From parts to a trained network: the step, the trainer, evaluation, runs."""
