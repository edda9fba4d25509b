import sys
from types import ModuleType

import numpy as np
import pytest

from data.disk.photos import load_photos
from data.sources import imagenet
from engine.errors import UserError
from tests.data.disk.photos import jpeg, tree, write

WNIDS = "n01440764", "n01443537", "n02119789"
VALIDATION = {f"ILSVRC2012_val_{i + 1:08}": WNIDS[i % 3] for i in range(6)}
SOLUTION = "ImageId,PredictionString\n" + "".join(
    f"{name},{wnid} 85 1 499 272 {wnid} 1 2 3 4 \n" for name, wnid in reversed(VALIDATION.items())
)
MAPPING = "n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius auratus\nn02119789 kit fox\nn02123045 tabby\n"


@pytest.fixture
def official(tmp_path):
    """ImageNet as Kaggle packs it, of three classes."""
    base = tree(tmp_path / "ILSVRC" / "Data" / "CLS-LOC" / "train", *WNIDS, count=2).parent
    write(base / "val", {f"{name}.JPEG": jpeg(100 + i) for i, name in enumerate(VALIDATION)})
    return write(tmp_path, {"LOC_val_solution.csv": SOLUTION, "LOC_synset_mapping.txt": MAPPING})


def load(folder):
    return load_photos(imagenet.find(folder), folder / "cache")


def names_of(photos):
    return {photos.index.name(i): photos.listing.classes[k] for i, k in zip(*photos.test, strict=True)}


def refusal(folder):
    with pytest.raises(UserError) as refused:
        load(folder)
    assert str(refused.value).endswith(imagenet.WHERE)
    return str(refused.value).removesuffix(f": {imagenet.WHERE}")


def test_the_official_layout_is_read_with_the_classes_by_their_names(official):
    photos = load(official)
    assert photos.listing.classes == ("tench", "goldfish", "kit fox")
    assert np.bincount(photos.train[1]).tolist() == [2, 2, 2]
    named = dict(zip(WNIDS, photos.listing.classes, strict=True))
    assert names_of(photos) == {f"val/{name}.JPEG": named[wnid] for name, wnid in VALIDATION.items()}


@pytest.mark.parametrize("below", ["ILSVRC/Data/CLS-LOC", "ILSVRC", "ILSVRC/Data"])
def test_any_of_the_folders_around_it_may_be_named(official, below):
    assert len(names_of(load(official / below))) == 6


def test_without_a_list_of_names_classes_are_called_by_their_ids(official):
    (official / "LOC_synset_mapping.txt").unlink()
    assert load(official).listing.classes == WNIDS


def test_validation_images_that_are_sorted_into_folders_need_no_list(tmp_path):
    tree(tree(tmp_path / "train", *WNIDS).parent / "val", *WNIDS[1:], count=1, seed=50)
    assert names_of(load(tmp_path)) == {f"val/{wnid}/0.jpg": wnid for wnid in WNIDS[1:]}
    tree(tmp_path / "val", "n09999999", count=1)
    assert refusal(tmp_path) == f"{tmp_path / 'val'} has a folder 'n09999999', which {tmp_path / 'train'} has not"


class Scipy(ModuleType):
    """SciPy, as far as it reads the devkit: an array of records."""

    def loadmat(self, path, squeeze_me):
        if path.read_bytes() != b"synsets":
            raise ValueError("unknown mat file type")
        records = [(k + 1, wnid, "words") for k, wnid in enumerate(reversed(WNIDS))]
        return {"synsets": np.array(records, [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O")])}


@pytest.fixture
def devkit(official, monkeypatch):
    """The same with the devkit's list."""
    (official / "LOC_val_solution.csv").unlink()
    monkeypatch.setitem(sys.modules, "scipy", ModuleType("scipy"))
    monkeypatch.setitem(sys.modules, "scipy.io", Scipy("scipy.io"))
    ids = [3 - WNIDS.index(wnid) for wnid in VALIDATION.values()]
    folder = official / "ILSVRC2012_devkit_t12" / "data"
    write(folder, {imagenet.TRUTH: "".join(f"{i}\n" for i in ids), "meta.mat": "synsets"})
    return official


def test_the_list_of_the_devkit_says_the_same(devkit):
    with_devkit = names_of(load(devkit))
    write(devkit, {"LOC_val_solution.csv": SOLUTION})
    assert with_devkit == names_of(load(devkit))


def test_a_devkit_that_does_not_say_it_is_refused(devkit, monkeypatch):
    folder = devkit / "ILSVRC2012_devkit_t12" / "data"
    write(folder, {"meta.mat": "text"})
    assert refusal(devkit) == f"{folder / 'meta.mat'} does not hold the synsets of ILSVRC2012_devkit_t12"
    write(folder, {"meta.mat": "synsets", imagenet.TRUTH: "1\n7\n"})
    assert refusal(devkit) == f"{folder / imagenet.TRUTH} has '7' in line 2, expected an id of {folder / 'meta.mat'}"
    (folder / "meta.mat").unlink()
    val = devkit / "ILSVRC/Data/CLS-LOC/val"
    assert refusal(devkit) == (
        f"{val} is there, but not meta.mat of ILSVRC2012_devkit_t12, which says what is in its images"
    )


def test_without_scipy_the_devkit_is_refused_with_the_remedy(devkit, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(
        UserError, match=r"takes SciPy to read: run pip install scipy, or place LOC_val_solution\.csv beside it"
    ):
        load(devkit)


def test_what_is_missing_is_said_and_where_to_get_it(tmp_path, official):
    base = official / "ILSVRC/Data/CLS-LOC"
    (base / "val" / "ILSVRC2012_val_00000002.JPEG").unlink()
    assert refusal(official) == (
        f"ImageNet: 1 of 12 listed images are not in {base}, such as 'val/ILSVRC2012_val_00000002.JPEG'"
    )
    (official / "LOC_val_solution.csv").unlink()
    assert (
        refusal(official) == f"{base / 'val'} is there, but not LOC_val_solution.csv, which says what is in its images"
    )
    for path in (base / "val").iterdir():
        path.unlink()
    (base / "val").rmdir()
    assert refusal(official) == f"{base} has no folder val with ImageNet's validation images"
    (base / "train").rename(base / "training")
    assert refusal(official) == (
        f"{official} has no folder train, nor ILSVRC/Data/CLS-LOC/train, with ImageNet's classes"
    )
    with pytest.raises(UserError) as refused:
        imagenet.find(None)
    assert str(refused.value) == (
        f"ImageNet is not downloaded by this program: name its folder by --data; {imagenet.WHERE}"
    )


def test_folders_that_are_not_imagenets_are_refused(tmp_path):
    tree(tree(tmp_path / "train", "cat", "dog").parent / "val", "cat")
    assert refusal(tmp_path) == f"{tmp_path / 'train'} has 0 folders such as n01440764 with images, expected 1,000"


@pytest.mark.parametrize("line", ["ILSVRC2012_val_00000001,cat 1 2 3 4", "../../secret,n01440764 1 2 3 4", "word"])
def test_a_list_that_says_something_else_is_refused(official, line):
    write(official, {"LOC_val_solution.csv": SOLUTION + line})
    assert refusal(official) == (
        f"{official / 'LOC_val_solution.csv'} has {line!r} in line 8, expected NAME,WNID and a box"
    )


def test_a_class_that_is_validated_alone_is_refused(official):
    base = official / "ILSVRC/Data/CLS-LOC"
    (base / "train" / WNIDS[1]).rename(base / "train" / "n99999999")
    assert refusal(official) == f"{base / 'train'} has no folder n01443537, of which there are validation images"
