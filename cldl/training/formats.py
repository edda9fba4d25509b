"""What the files of a run's folder may hold: every field with its type and its range.

config.json and metrics.jsonl are JSON, and so are the attributes of checkpoint.h5; all three may come from a stranger or from
another version. Whatever has passed these checks can be trusted.
"""

from __future__ import annotations

from engine.device import DEVICES, PRECISIONS
from engine.io.fields import Check, anything, by_name, choice, fields, list_of, number, optional, text, whole
from engine.runtime.cpu import MAX_THREADS

MAX_EPOCHS = 100_000
MAX_COUNT = 2**63 - 1
CROPS, MAX_SCALE = ("1", "5", "10", "36", "whole"), 1 << 16
MAX_CONFIG, MAX_METRICS = 1 << 20, 1 << 28  # bytes

CONFIG = fields(
    {
        "format": anything,  # see `cldl.training.run`
        "recipe": anything,  # see `cldl.recipes.stored`
        "sources": by_name(text),
        "seed": whole(0, MAX_COUNT),
        "threads": whole(1, MAX_THREADS),
        "device": choice(DEVICES),
        "precision": choice(PRECISIONS),
        "limit_train": optional(whole(1, MAX_COUNT)),
        "limit_test": optional(whole(1, MAX_COUNT)),
        "versions": by_name(text),
        "machine": text,
        "started": text,
    },
    {
        "held_out": optional(whole(1, MAX_COUNT)),
        "dataset_name": text,
        "data": text,  # the folder of the images, where they are read from it again
        "training_sha256": text,
        "preprocessing_sha256": optional(text),
        "classes": list_of(text),
        "weights": fields({"file": text, "sha256": text, "drawn_anew": list_of(text)}),
        "ranks": whole(1, MAX_COUNT),  # the processes that it began with, where there were several
        "changed_epochs": list_of(fields({"epochs": whole(1, MAX_EPOCHS), "after": whole(0, MAX_EPOCHS)})),
    },
)
CHECKPOINT = fields(
    {
        "epoch": whole(0, MAX_EPOCHS),
        "step": whole(0, MAX_COUNT),
        "updates": whole(0, MAX_COUNT),
        "samples": whole(0, MAX_COUNT),
        "loss": number(),
        "seconds": number(0),
    }
)


def evaluation_line(M: int) -> Check:
    """What a line of evaluations.jsonl holds: a test that saw its images otherwise than the tests of the epochs."""
    errors = fields(dict.fromkeys([*map(str, range(1, M + 1)), "fused"], number(0, 100)))
    seen = {"crops": choice(CROPS), "scales": list_of(whole(1, MAX_SCALE))}
    return fields({"epoch": whole(0, MAX_EPOCHS), **seen, "test_error": errors}, {"test_top5_error": errors})


def metrics_line(M: int) -> Check:
    """What a line of metrics.jsonl holds where there are M classifiers."""
    names = [str(m) for m in range(1, M + 1)]
    companions = fields(dict.fromkeys(names, number(0, 2)))
    errors = fields(dict.fromkeys([*names, "fused"], number(0, 100)))
    return fields(
        {
            "epoch": whole(1, MAX_EPOCHS),
            "train_loss": number(),
            "train_error": errors,
            "train_companions": companions,
            "test_loss": number(),
            "test_error": errors,
            "test_companions": companions,
            "test_share": fields(dict.fromkeys(names, number(0, 100))),
            "dead_units": by_name(whole(0, MAX_COUNT)),
            "learning_rate": number(0),
            "images_per_second": number(0),
            "seconds": number(0),
        },
        {
            "test_top5_error": errors,  # where there are many classes
            "waiting_seconds": number(0),  # of the seconds, for images from the disk
        },
    )
