"""One epoch on JPEG files in ImageNet's layout: images a second, the time spent waiting for them, the peak of memory.

python -m benchmarks.images                      # 2,000 images of usual sizes, made in a temporary folder
python -m benchmarks.images --size 96 --width 0.25
python -m benchmarks.images --recipe imagenet_googlenet --size 224
python -m benchmarks.images --reading            # without a network: how fast images can be read
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.worker import memory
from cldl.commands import guarded, parser, whole
from cldl.recipes import find
from cldl.recipes.recipe import Recipe
from cldl.training.machine import processor
from cldl.training.trainer import Trainer
from data.dataset import Dataset, is_varied
from data.disk.read_ahead import ReadAhead
from engine.random import Key
from engine.runtime.cpu import available_threads

SIZES = (  # height, width
    (375, 500),
    (500, 375),
    (333, 500),
    (375, 500),
    (500, 500),
    (240, 320),
    (480, 640),
    (1200, 1600),
)
QUALITY = 92
CLASSES = 20
SIDE = 1600  # of the pictures that the images are cut from


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = parser("benchmarks.images", "Time an epoch on JPEG files in ImageNet's layout.")
    p.add_argument("--images", type=whole(CLASSES), default=2000, help="to train on; a tenth of them to test on")
    p.add_argument(
        "--folder", type=Path, metavar="DIR", help="where they are made, once (otherwise a temporary folder)"
    )
    p.add_argument("--recipe", default="folder", metavar="NAME", help="what is trained: a recipe for photographs")
    p.add_argument("--size", type=whole(8, 1024), default=64, help="pixels of a crop")
    p.add_argument("--width", type=float, default=1.0, help="multiplies the outputs of the network's convolutions")
    p.add_argument("--batch", type=whole(1), default=32, help="images a step")
    p.add_argument("--threads", type=whole(1, available_threads()), default=available_threads())
    p.add_argument("--reading", action="store_true", help="read the images of an epoch, and train nothing")
    p.add_argument("--json", action="store_true", help="print JSON")
    return p


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, or 2 for an error that the user can fix."""
    options = arguments().parse_args(argv)
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = measure(folder, options)
    print(json.dumps(found) if options.json else text(found))
    return 0


def measure(folder: Path, options: argparse.Namespace) -> dict:
    """Make the images, index them, and take an epoch."""
    root = folder / f"images-{options.images}"
    if not (root / "LOC_val_solution.csv").exists():
        print(f"making {options.images:,} images in {root}", file=sys.stderr, flush=True)
        make_tree(root, options.images)
    recipe = find(options.recipe).changed(
        dataset="imagenet",
        n_classes=None,
        size=options.size,
        width=options.width,
        preprocessing="rgb_mean",
        batch_size=options.batch,
        epochs=1,
    )
    before, began = memory()["now"], time.perf_counter()
    cache = Path(tempfile.mkdtemp(dir=folder))
    dataset = recipe.data.load(cache, root)
    indexed = time.perf_counter() - began
    files = [path.stat().st_size for path in root.rglob("*.JPEG")]
    found: dict = {
        "machine": processor(),
        "threads": options.threads,
        "images": len(dataset.train),
        "kilobytes": float(np.mean(files)) / 1000,
        "size": options.size,
        "index_seconds": indexed,
    }
    found |= reading(dataset, options) if options.reading else training(recipe, dataset, options)
    return found | {"before": before, "peak": memory()["peak"]}


def training(recipe: Recipe, dataset: Dataset, options: argparse.Namespace) -> dict:
    """An epoch of training, after two steps that are not timed, in which kernels are compiled."""
    recipe = recipe.changed(**recipe.data.found(dataset))
    trainer = Trainer.from_recipe(recipe, dataset, threads=options.threads)
    for _ in zip(range(2), trainer.steps(), strict=False):
        pass
    trainer = Trainer.from_recipe(recipe, dataset, threads=options.threads)
    for _ in trainer.steps():
        pass
    metrics = trainer.metrics
    multiply_adds = trainer.network.multiply_adds()
    return {"seconds": metrics.seconds, "waiting_seconds": metrics.waited, "multiply_adds": multiply_adds}


def reading(dataset: Dataset, options: argparse.Namespace) -> dict:
    """Reading the images of an epoch by all threads."""
    assert is_varied(dataset.train)
    reader = ReadAhead(dataset.train, options.threads)
    reader.vary(Key(0))
    order, B = Key(1).permutation(len(dataset.train)), options.batch
    began = time.perf_counter()
    for start in range(0, len(order), B):
        reader.prepare(order[start : start + B], order[start + B : start + 2 * B])
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "waiting_seconds": seconds, "multiply_adds": 0}


def text(found: dict) -> str:
    """The measurement in a few lines."""
    N, seconds, MB = found["images"], found["seconds"], 1e6
    work = (
        f"training with {found['multiply_adds']:,} multiply-adds an image"
        if found["multiply_adds"]
        else "reading alone"
    )
    return "\n".join(
        [
            f"{found['machine']}, {found['threads']} threads; {N:,} JPEG files of {found['kilobytes']:.0f} kB, {work}",
            f"  index           {found['index_seconds']:8.1f} s, once",
            f"  an epoch        {seconds:8.1f} s, {N / seconds:,.1f} images a second, crops of {found['size']} pixels",
            f"  waiting         {100 * found['waiting_seconds'] / seconds:8.2f} % of it, for images",
            f"  memory          {found['peak'] / MB:8.0f} MB at the peak, {found['before'] / MB:.0f} MB before the data set",
        ]
    )


def make_tree(root: Path, images: int) -> None:
    """So many training images of noise with the spectrum of photographs, and a tenth for validation, in ImageNet's layout.

    Each is drawn from its number, so that what was stopped can go on.
    """
    wnids, pictures = [f"n{k:08}" for k in range(CLASSES)], [picture(np.random.default_rng(k)) for k in range(2)]
    solution = ["ImageId,PredictionString"]
    for i in range(images + images // 10):
        wnid, validation = wnids[i % CLASSES], i - images + 1
        name = f"train/{wnid}/{wnid}_{i}.JPEG" if validation < 1 else f"val/ILSVRC2012_val_{validation:08}.JPEG"
        path = root / "ILSVRC/Data/CLS-LOC" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            unfinished = path.with_suffix(".part")
            unfinished.write_bytes(jpeg(i, pictures[i % 2]))
            unfinished.rename(path)
        if validation >= 1:
            solution.append(f"{path.stem},{wnid} 1 2 3 4")
    (root / "LOC_val_solution.csv").write_text("\n".join(solution))


def picture(rng: np.random.Generator) -> np.ndarray:
    """Noise whose amplitude falls with its frequency, as that of photographs does: (SIDE, SIDE, 3) float32."""
    out = np.full((SIDE, SIDE, 3), 120, np.float32)
    for cells in (4, 16, 64, 256, 800):
        for c in range(3):
            noise = Image.fromarray(rng.normal(0, 90 / cells**0.4, (cells, cells)).astype(np.float32))
            out[..., c] += np.asarray(noise.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return out


def jpeg(number: int, source: np.ndarray) -> bytes:
    """The file of an image that is cut from a picture at random."""
    rng, (height, width) = np.random.default_rng([1, number]), SIZES[number % len(SIZES)]
    top, left = (int(rng.integers(SIDE - side + 1)) for side in (height, width))
    pixels = source[top : top + height, left : left + width] * np.float32(rng.uniform(0.5, 1.2))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
