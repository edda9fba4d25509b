"""ImageNet's images of the ILSVRC 2012 classification task: 1,281,167 to train on, 50,000 to validate on, 1,000 classes.

It is read in its official layout, and not downloaded: its owners ask for a registration.

    train/n01440764/n01440764_10026.JPEG      a folder a class, here or below ILSVRC/Data/CLS-LOC as Kaggle packs it
    val/ILSVRC2012_val_00000001.JPEG          with LOC_val_solution.csv (Kaggle's), or the devkit's
                                              data/ILSVRC2012_validation_ground_truth.txt and data/meta.mat
    val/n01440764/ILSVRC2012_val_...JPEG      or sorted into class folders, as many do

Classes are numbered in the order of their WordNet ids; LOC_synset_mapping.txt, where it is there, names them.

Source: Russakovsky et al., "ImageNet large scale visual recognition challenge", IJCV 2015.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from data.disk import tree
from data.disk.lists import checked_folder, first_file, read_lines
from data.disk.photos import Listing
from data.sources.folder import class_files, labelled
from engine.errors import UserError
from engine.io.fields import shown

WHERE = "get it from https://www.image-net.org/download.php or https://www.kaggle.com/c/imagenet-object-localization-challenge."
LAYOUTS = ("", "CLS-LOC", "Data/CLS-LOC", "ILSVRC/Data/CLS-LOC")
SOLUTION, NAMES = "LOC_val_solution.csv", "LOC_synset_mapping.txt"
DEVKIT = "ILSVRC2012_devkit_t12"
TRUTH, META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"
WNID = re.compile(r"n\d{8}")
MAX_META = 1 << 24  # bytes


def find(data: str | Path | None) -> Listing:
    """The images in ImageNet's folder.

    Raises:    UserError that says what is missing, and where to get it.
    """
    folder = checked_folder(data, "ImageNet", WHERE)
    root = next((folder / layout for layout in LAYOUTS if os.path.isdir(folder / layout / "train")), None)
    if root is None:
        raise UserError(f"{folder} has no folder train, nor {LAYOUTS[-1]}/train, with ImageNet's classes: {WHERE}")
    train = {name: paths for name, paths in class_files(root, "train/").items() if WNID.fullmatch(name)}
    if len(train) < 2:
        raise UserError(
            f"{root / 'train'} has {len(train)} folders such as n01440764 with images, expected 1,000: {WHERE}"
        )
    wnids = tuple(train)
    if not os.path.isdir(root / "val"):
        raise UserError(f"{root} has no folder val with ImageNet's validation images: {WHERE}")
    around = [folder, root, *list(root.parents)[:3]]
    if tree.folders(root / "val"):
        test = labelled(class_files(root, "val/"), wnids) if set(tree.folders(root / "val")) <= set(wnids) else None
        if test is None:
            unknown = sorted(set(tree.folders(root / "val")) - set(wnids))[0]
            raise UserError(f"{root / 'val'} has a folder {shown(unknown)}, which {root / 'train'} has not: {WHERE}")
    else:
        test = _validation(dict(_truth(root, around)), wnids, root)
    return Listing("ImageNet", root, _names(wnids, first_file(around, NAMES)), labelled(train, wnids), test, WHERE)


def _truth(root: Path, around: list[Path]) -> Iterator[tuple[str, str]]:
    """For each validation image its name without the ending, and its WordNet id."""
    solution = first_file(around, SOLUTION)
    if solution:
        for number, line in enumerate(read_lines(solution, WHERE), 1):
            name, _, boxes = line.partition(",")
            wnid = boxes.split(" ")[0]
            if WNID.fullmatch(wnid) and re.fullmatch(r"\w+", name):
                yield name, wnid
            elif number > 1:  # a heading
                raise UserError(f"{solution} has {shown(line)} in line {number}, expected NAME,WNID and a box: {WHERE}")
        return
    folders = [place / below for place in around for below in (f"{DEVKIT}/data", "data", "")]
    truth, meta = first_file(folders, TRUTH), first_file(folders, META)
    if truth is None or meta is None:
        missing = SOLUTION if truth is None else f"{META} of {DEVKIT}"
        raise UserError(f"{root / 'val'} is there, but not {missing}, which says what is in its images: {WHERE}")
    by_id = _wnids(meta)
    for number, line in enumerate(read_lines(truth, WHERE), 1):
        if line not in by_id:
            raise UserError(f"{truth} has {shown(line)} in line {number}, expected an id of {meta}: {WHERE}")
        yield f"ILSVRC2012_val_{number:08}", by_id[line]


def _wnids(meta: Path) -> dict[str, str]:
    """The WordNet id for each of the devkit's own, which only a file of MATLAB's has."""
    try:
        from scipy.io import loadmat
    except ImportError:
        raise UserError(
            f"{meta} is a file of MATLAB's, which takes SciPy to read: run pip install scipy, or place {SOLUTION} beside it."
        ) from None
    try:
        if meta.stat().st_size > MAX_META:
            raise UserError("is too large")
        synsets = loadmat(meta, squeeze_me=True)["synsets"]
        return {str(int(row["ILSVRC2012_ID"])): str(row["WNID"]) for row in synsets}
    except Exception as error:  # SciPy reports damage with nearly any exception
        raise UserError(f"{meta} does not hold the synsets of {DEVKIT}: {WHERE}") from error


def _validation(truth: dict[str, str], wnids: tuple[str, ...], root: Path) -> tuple[list[str], list[int]]:
    """The paths of the validation images, and their labels."""
    numbers = {wnid: k for k, wnid in enumerate(wnids)}
    if unknown := sorted(set(truth.values()) - set(wnids)):
        raise UserError(f"{root / 'train'} has no folder {unknown[0]}, of which there are validation images: {WHERE}")
    return [f"val/{name}.JPEG" for name in truth], [numbers[wnid] for wnid in truth.values()]


def _names(wnids: tuple[str, ...], file: Path | None) -> tuple[str, ...]:
    """The first word for each class, where there is a list of them, or its WordNet id."""
    words = dict(line.split(" ", 1) for line in (read_lines(file, WHERE) if file else []) if " " in line)
    return tuple(words.get(wnid, wnid).split(",")[0] for wnid in wnids)
