"""Three data sets of scenes: MIT67, SUN397 and Places205, each in the layout in which its owners hand it out.

    mit67      Images/CLASS/NAME.jpg, TrainImages.txt, TestImages.txt                       67 classes, 5,360 + 1,340 images
    sun397     SUN397/a/abbey/NAME.jpg, Partitions/Training_01.txt, Testing_01.txt, ...     397 classes, 19,850 + 19,850 images
    places205  .../images256/a/abbey/NAME.jpg, train_places205.csv, val_places205.csv       205 classes, 2,448,873 + 20,500 images

Sources: Quattoni and Torralba, "Recognizing indoor scenes", CVPR 2009; Xiao et al., "SUN database", CVPR 2010; Zhou et al.,
"Learning deep features for scene recognition using Places database", NIPS 2014.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from data.disk.lists import checked_folder, first_file, read_paths
from data.disk.photos import Listing
from engine.errors import UserError
from engine.io.fields import shown

PARTITIONS = 10  # of SUN397
MIT67 = "get images and lists from http://web.mit.edu/torralba/www/indoor.html."
SUN397 = "get images and Partitions.zip from https://vision.princeton.edu/projects/2010/SUN/."
PLACES205 = "get images and lists (trainvalsplit_places205.tar.gz) from http://places.csail.mit.edu/downloadData.html."


def find_mit67(data: str | Path | None) -> Listing:
    """The images of MIT67; raises UserError that says what is missing, and where to get it."""
    folder = checked_folder(data, "MIT67", MIT67)
    rows = [_paths(folder, [folder], name, MIT67) for name in ("TrainImages.txt", "TestImages.txt")]
    root = _images(folder, ["Images", ""], rows[0][0], MIT67)
    return _by_folder("MIT67", root, rows, MIT67)


def find_sun397(data: str | Path | None, partition: int = 1) -> Listing:
    """The images of one of SUN397's ten partitions; raises UserError that says what is missing, and where to get it."""
    folder, name = checked_folder(data, "SUN397", SUN397), f"{partition:02}.txt"
    lists = [folder, folder / "Partitions", folder / "SUN397", folder.parent / "Partitions"]
    rows = [_paths(folder, lists, f"{part}_{name}", SUN397) for part in ("Training", "Testing")]
    root = _images(folder, ["SUN397", ""], rows[0][0], SUN397)
    return _by_folder(f"SUN397, partition {partition}", root, rows, SUN397)


def find_places205(data: str | Path | None) -> Listing:
    """The images of Places205; raises UserError that says what is missing, and where to get it."""
    folder = checked_folder(data, "Places205", PLACES205)
    lists, parts, names = [folder, folder / "trainvalsplit_places205"], [], dict[int, str]()
    for name in ("train_places205.csv", "val_places205.csv"):
        file = _need(folder, lists, name, PLACES205)
        paths, labels = list[str](), list[int]()
        for path, label in read_paths(file, PLACES205, columns=2):
            if not label.isdecimal() or len(label) > 6:
                raise UserError(f"{file} has the label {shown(label)}, expected a number of 0 or more: {PLACES205}")
            paths.append(path)
            labels.append(int(label))
            if name.startswith("train"):
                names.setdefault(labels[-1], _class(path))
        parts.append((paths, labels))
    if sorted(names) != list(range(len(names))) or set(parts[1][1]) - set(names):
        raise UserError(
            f"{folder}: the labels of the lists are not 0, 1, 2, ... with a training image each: {PLACES205}"
        )
    below = ["data/vision/torralba/deeplearning/images256", "images256", ""]
    root = _images(folder, below, parts[0][0][0], PLACES205)
    return Listing("Places205", root, tuple(names[k] for k in range(len(names))), parts[0], parts[1], PLACES205)


def _by_folder(name: str, root: Path, rows: Sequence[list[str]], where: str) -> Listing:
    """A listing whose classes are the folders of the training images."""
    classes = tuple(sorted({_class(path) for path in rows[0]}))
    numbers = {own: k for k, own in enumerate(classes)}
    if unknown := [path for path in rows[1] if _class(path) not in numbers]:
        raise UserError(f"{name} tests on {shown(unknown[0])}, of whose class there is no training image: {where}")
    train, test = ((paths, [numbers[_class(path)] for path in paths]) for paths in rows)
    return Listing(name, root, classes, train, test, where)


def _class(path: str) -> str:
    """The class of a path: its folders, without one of a single letter at the top."""
    folders = path.split("/")[:-1]
    return "/".join(folders[1:] if len(folders) > 1 and len(folders[0]) == 1 else folders)


def _paths(folder: Path, places: Sequence[Path], name: str, where: str) -> list[str]:
    """The paths in a list."""
    return [row[0] for row in read_paths(_need(folder, places, name, where), where)]


def _need(folder: Path, places: Sequence[Path], name: str, where: str) -> Path:
    """The list of this name; raises UserError where it is in none of the places."""
    found = first_file(places, name)
    if found is None:
        raise UserError(f"{folder} has no {name}, the list of its images: {where}")
    return found


def _images(folder: Path, below: Sequence[str], path: str, where: str) -> Path:
    """The folder of images, in which the first training image lies; raises UserError where there is none."""
    for name in below:
        if os.path.isfile(folder / name / path):
            return folder / name
    raise UserError(
        f"{folder} has no image {shown(path)}, the first of its lists, nor has {folder / below[0]}: {where}"
    )
