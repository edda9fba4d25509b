"""A folder of your own: a folder of images for each class, perhaps below train/ and val/ (or test/).

photos/cat/1.jpg, photos/dog/2.png, ...            a fifth of each class is put aside for the test, and stays there
photos/train/cat/1.jpg, photos/val/dog/2.png       the test is on val, or else on test
"""

from __future__ import annotations

import os
from pathlib import Path

from data.disk import tree
from data.disk.lists import checked_folder
from data.disk.photos import Listing
from engine.errors import UserError
from engine.io.fields import shown

TESTS = ("val", "valid", "validation", "test")
LAYOUT = (
    "it holds a folder of images for each class, FOLDER/cat/1.jpg, or such folders below FOLDER/train and FOLDER/val."
)


def find(data: str | Path | None) -> Listing:
    """The images in a folder of class folders.

    Raises:    UserError where it is not one, or the test has a class that training has not.
    """
    if data is None:
        raise UserError(f"the recipe trains on a folder of your own, and none was named: give it by --data; {LAYOUT}")
    root = checked_folder(data, "images", LAYOUT)
    found = [name for name in ("train", *TESTS) if os.path.isdir(root / name) and tree.folders(root / name)]
    below, test = ("train/", next(iter(found[1:]), None)) if "train" in found else ("", None)
    train = class_files(root, below)
    classes = tuple(train)
    if len(classes) < 2:
        has = f"one folder with images, {shown(classes[0])}" if classes else "no folder with images"
        raise UserError(f"{root / below} has {has}, expected one for each of two classes or more: {LAYOUT}")
    tested = class_files(root, f"{test}/") if test else {}
    if unknown := [name for name in tested if name not in train]:
        raise UserError(
            f"{root / str(test)} has a class {shown(unknown[0])}, which {root / 'train'} has not: give both the same classes."
        )
    own_test = labelled(tested, classes) if tested else None
    return Listing(root.resolve().name or "folder", root, classes, labelled(train, classes), own_test, LAYOUT)


def class_files(root: Path, below: str) -> dict[str, list[str]]:
    """For each class folder in root/below that has images, their paths below `root`."""
    folders = {
        name: [f"{below}{name}/{p}" for p in tree.image_files(root / below / name)]
        for name in tree.folders(root / below)
    }
    return {name: paths for name, paths in folders.items() if paths}


def labelled(files: dict[str, list[str]], classes: tuple[str, ...]) -> tuple[list[str], list[int]]:
    """The files of all classes, and their labels."""
    numbers = {name: k for k, name in enumerate(classes)}
    return [p for paths in files.values() for p in paths], [numbers[n] for n, paths in files.items() for _ in paths]
