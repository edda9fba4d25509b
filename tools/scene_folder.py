"""CIFAR-100's ten scene-like classes as folders of JPEG files, for the networks that take photographs.

python tools/scene_folder.py scenes                        # scenes/train/castle/00017.jpg, ...: 5,000 and 1,000 files, 10 MB
python -m cldl.train mit67_vgg11 --dataset folder --data scenes --size 64

The images are doubled to 64 x 64 pixels (Lanczos) and written with quality 95. None of them has more detail than its 32 x 32
pixels: this tries out the whole path from files on the disk to a deep network's error, on real images.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from cldl.commands import add_data_arguments, guarded, parser, whole
from data.sources import cifar100

# the "large man-made" and the "large natural outdoor" things, bridge to sea
SCENES = (12, 17, 37, 68, 76, 23, 33, 49, 60, 71)
QUALITY = 95


def write(folder: Path, images: np.ndarray, labels: np.ndarray, names: tuple[str, ...], size: int) -> int:
    """Write the images (N, H, W, C) whose label is one of `SCENES` to a folder a class; returns how many."""
    number = 0
    for label in SCENES:
        name = names[label]
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in np.flatnonzero(labels == label):
            image = Image.fromarray(images[i]).resize((size, size), Image.Resampling.LANCZOS)
            image.save(folder / name / f"{i:05}.jpg", quality=QUALITY)
            number += 1
    return number


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = parser("tools/scene_folder.py", "Write CIFAR-100's ten scene-like classes as folders of JPEG files.")
    p.add_argument("folder", type=Path, help="where they go: train/ and test/ are made there")
    p.add_argument("--size", type=whole(8, 1024), default=64, help="pixels of a side")
    add_data_arguments(p)
    return p


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, or 2 for an error that the user can fix."""
    options = arguments().parse_args(argv)
    dataset = cifar100.load(options.cache, data=options.data, say=lambda line: print(line, file=sys.stderr))
    for part, images in (("train", dataset.train), ("test", dataset.test)):
        number = write(options.folder / part, images.images, images.labels, dataset.class_names, options.size)
        print(f"{number:,} images in {options.folder / part}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
