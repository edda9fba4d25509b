"""Small intact files of data sets and pictures, the same every time."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from cldl import joint
from data.dataset import Dataset
from data.disk.index import load_index
from data.fetch.download import quiet
from data.sources import cifar100, mnist
from data.transforms.preprocessing import fitted

TRAIN, NAMES, IMAGE = "train.bin", "fine_label_names.txt", "photos/cat/2.png"


def noise(*shape: int) -> np.ndarray:
    """Bytes at random."""
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def dataset(*image: int) -> Dataset:
    """Twenty images of noise in ten classes, to train and to test on."""
    return Dataset.from_arrays("noise", *2 * (noise(20, *image), np.arange(20) % 10))


COLOURS = dataset(4, 4, 3)


def idx(folder: Path, pack: Callable[[bytes], bytes] = bytes, suffix: str = "") -> list[bytes]:
    """Four small IDX files, which count as MNIST's originals from here on; the first one's bytes."""
    shapes = {"train_images": (6, 4, 4), "train_labels": (6,), "test_images": (3, 4, 4), "test_labels": (3,)}
    packed = []
    for key, shape in shapes.items():
        file = replace(mnist.FILES[key], shape=shape)
        data = file.header + (np.arange(np.prod(shape)) % 10).astype(np.uint8).tobytes()
        mnist.FILES[key] = replace(file, sha256=hashlib.sha256(data).hexdigest())
        packed.append(pack(data))
        (folder / f"{file.name}{suffix}").write_bytes(packed[-1])
    return packed[:1]


def both_formats(path: Path) -> list[bytes]:
    """An HDF5 file as it is, and in HDF5's first format, which has no checksums, so that damage gets further."""
    image = io.BytesIO()
    with h5py.File(path) as new, h5py.File(image, "w", libver="earliest") as old:
        old.attrs.create("header", new.attrs["header"])
        for name in new:
            new.copy(name, old)
    return [path.read_bytes(), image.getvalue()]


def results(folder: Path) -> list[bytes]:
    """Of the training study: two variants, two seeds."""
    lines = []
    for variant, M in (("softmax", 1), ("deep supervision", 3)):
        alone = {str(m): 2.5 / m for m in range(1, M + 1)}
        rules = dict.fromkeys(joint.RULES, 1.5)
        for seed in (0, 1):
            lines.append(
                {
                    "variant": variant,
                    "seed": seed,
                    "recipe": {},
                    "images": "MNIST",
                    "errors": {**alone, "fused": 1.5},
                    "decides_rightly": alone,
                    "rules": rules,
                    "rules_at_temperatures": rules,
                    "curve": [3.0, 1.5],
                    "train_errors": {**alone, "fused": 2.0},
                    "companions": dict.fromkeys(alone, 0.5),
                    "minutes": 2.5,
                    "threads": 1,
                    "machine": "AMD EPYC",
                    "date": "2026-01-01",
                }
            )
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (folder / "results.jsonl").write_bytes(data)
    return [data]


def mnist_cache(folder: Path) -> list[bytes]:
    """What is cached of them."""
    idx(folder)
    mnist.load(folder, data=folder)
    return both_formats(folder / "mnist.h5")


def cifar(folder: Path, name: str = TRAIN) -> list[bytes]:
    """The files of CIFAR-100, with ten records; one file's bytes."""
    cifar100.COUNTS.update(train=6, test=4)
    names = "".join(f"class_{k}\n" for k in range(100)).encode()
    files = {NAMES: names, "coarse_label_names.txt": b"coarse\n" * 20}
    for part, count in cifar100.COUNTS.items():
        records = noise(count, cifar100.RECORD)
        records[:, :2] %= 20
        files[f"{part}.bin"] = records.tobytes()
    for file, data in files.items():
        (folder / file).write_bytes(data)
    return [files[name]]


def cifar_archive(folder: Path) -> list[bytes]:
    """The same as an archive."""
    cifar(folder)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(folder.iterdir()):
            member = tarfile.TarInfo(f"{cifar100.FOLDER}/{path.name}")
            member.size = path.stat().st_size
            archive.addfile(member, io.BytesIO(path.read_bytes()))
    return [gzip.compress(buffer.getvalue(), 1, mtime=0)]


def cifar_cache(folder: Path) -> list[bytes]:
    """What is cached of it."""
    cifar(folder)
    cifar100.load(folder, data=folder)
    return both_formats(folder / "cifar100.h5")


def fit(folder: Path) -> list[bytes]:
    """The whitening of a few colour images."""
    fitted("gcn_zca", COLOURS, folder)
    (path,) = folder.glob("fit-*.h5")
    return both_formats(path)


def images(folder: Path) -> list[bytes]:
    """A folder of two classes; one image will be damaged."""
    files = pictures(folder)
    for name, data in zip(("cat/1.png", "dog/1.png", "dog/2.png"), files, strict=False):
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return files


def image_index(folder: Path) -> list[bytes]:
    """The index of two images."""
    (folder / "photos" / "cat").mkdir(parents=True)
    for i, data in enumerate(pictures(folder)[-2:], 1):
        (folder / "photos" / "cat" / f"{i}.jpg").write_bytes(data)
    load_index(folder / "photos", ["cat/1.jpg", "cat/2.jpg"], folder / "index.h5", "photos", quiet, threads=1)
    return both_formats(folder / "index.h5")


def image_list(folder: Path) -> list[bytes]:
    """MIT67 with an image a class, and the list of its test images."""
    names = [f"{scene}/{i}.jpg" for scene in ("bar", "attic") for i in (1, 2)]
    for name, data in zip(names, pictures(folder)[-4:], strict=True):
        path = folder / "Images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "TrainImages.txt").write_text("\n".join(names[::2]))
    return ["\n".join(names[1::2]).encode()]


def pictures(folder: Path) -> list[bytes]:
    """A zero as PNG in all modes, JPEG, WebP, GIF and BMP, some of them to be turned."""
    turned = Image.Exif()
    turned[0x0112] = 6
    grey = zero(4)
    picture, deep = Image.fromarray(grey), Image.fromarray(grey.astype(np.uint16) * 257)
    kinds: list[tuple[Image.Image, dict[str, Any]]] = [
        (deep, {"format": "PNG"}),
        (picture, {"format": "PNG", "exif": turned}),
    ]
    kinds += [(picture.convert(mode), {"format": "PNG"}) for mode in ("1", "LA", "RGB", "RGBA")]
    kinds += [(picture.convert(mode), {"format": "PNG", "transparency": 0}) for mode in ("L", "P")]
    kinds += [(picture.convert(mode), {"format": "JPEG", "exif": turned}) for mode in ("L", "RGB", "CMYK")]
    kinds += [(picture.convert("RGB"), {"format": name}) for name in ("WEBP", "GIF", "BMP")]
    return [saved(picture, **options) for picture, options in kinds]


def pictures_and_tiff(folder: Path) -> list[bytes]:
    """The same, and TIFF of the size of a photograph, packed in several ways."""
    packed = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits")
    return pictures(folder) + [saved(Image.fromarray(zero(16)), format="TIFF", compression=way) for way in packed]


def zero(pixels: int) -> np.ndarray:
    """A white box on black, (6, 5) pixels of this size."""
    box = np.zeros((6, 5), np.uint8)
    box[1:5, 1:4] = 255
    box[2:4, 2] = 0
    return box.repeat(pixels, axis=0).repeat(pixels, axis=1)


def saved(picture: Image.Image, **options: Any) -> bytes:
    """The bytes of its file."""
    buffer = io.BytesIO()
    picture.save(buffer, **options)
    return buffer.getvalue()
