import numpy as np
import pytest

from data.disk.photos import load_photos
from data.sources import scenes
from engine.errors import UserError
from tests.data.disk.photos import jpeg, write


def lines(paths):
    return "".join(f"{path}\n" for path in paths)


def load(find, folder, *options):
    return load_photos(find(folder, *options), folder / "cache")


def names(photos, part):
    return {photos.index.name(i): photos.listing.classes[k] for i, k in zip(*getattr(photos, part), strict=True)}


def refusal(find, folder, *options):
    with pytest.raises(UserError) as refused:
        load(find, folder, *options)
    return str(refused.value)


@pytest.fixture
def mit67(tmp_path):
    """Two scenes, and an image that no list has."""
    train = [f"{scene}/{i}.jpg" for scene in ("bar", "auditorium") for i in range(3)]
    test = [f"{scene}/t 1.jpg" for scene in ("bar", "auditorium")]
    write(tmp_path / "Images", {p: jpeg(i) for i, p in enumerate([*train, *test, "bar/unused.jpg"])})
    return write(tmp_path, {"TrainImages.txt": lines(train), "TestImages.txt": lines(test)})


def test_mit67_is_read_by_its_two_lists(mit67):
    photos = load(scenes.find_mit67, mit67)
    assert photos.listing.classes == ("auditorium", "bar")
    assert np.bincount(photos.train[1]).tolist() == [3, 3]
    assert names(photos, "test") == {"bar/t 1.jpg": "bar", "auditorium/t 1.jpg": "auditorium"}


def test_what_is_missing_of_mit67_is_said_and_where_to_get_it(mit67):
    (mit67 / "Images" / "bar" / "2.jpg").unlink()
    assert refusal(scenes.find_mit67, mit67) == (
        f"MIT67: 1 of 8 listed images are not in {mit67 / 'Images'}, such as 'bar/2.jpg': {scenes.MIT67}"
    )
    (mit67 / "TestImages.txt").unlink()
    assert refusal(scenes.find_mit67, mit67) == f"{mit67} has no TestImages.txt, the list of its images: {scenes.MIT67}"
    write(mit67, {"TestImages.txt": "bar/1.jpg"})
    (mit67 / "Images").rename(mit67 / "Pictures")
    assert refusal(scenes.find_mit67, mit67) == (
        f"{mit67} has no image 'bar/0.jpg', the first of its lists, nor has {mit67 / 'Images'}: {scenes.MIT67}"
    )


@pytest.mark.parametrize("line", ["../secret.jpg", "bar/../../x.jpg", "bar/\0.jpg"])
def test_a_list_that_names_files_elsewhere_is_refused(mit67, line):
    write(mit67, {"TestImages.txt": f"bar/1.jpg\n{line}\n"})
    assert refusal(scenes.find_mit67, mit67) == (
        f"{mit67 / 'TestImages.txt'} has {line!r} in line 2, expected a path below the folder of images: {scenes.MIT67}"
    )


def test_an_empty_list_and_one_of_unknown_classes_are_refused(mit67):
    write(mit67, {"TestImages.txt": "\n"})
    assert "TestImages.txt is empty, expected a line for each image" in refusal(scenes.find_mit67, mit67)
    write(mit67, {"TestImages.txt": "attic/1.jpg"})
    assert "MIT67 tests on 'attic/1.jpg', of whose class there is no training image" in refusal(
        scenes.find_mit67, mit67
    )


@pytest.fixture
def sun397(tmp_path):
    """Two scenes, one of them with folders inside, and two partitions."""
    paths = [f"/a/{scene}/sun_{i}.jpg" for scene in ("abbey", "apartment_building/outdoor") for i in range(4)]
    write(tmp_path / "SUN397", {p[1:]: jpeg(i) for i, p in enumerate(paths)})
    lists = {"Training_01": paths[::2], "Testing_01": paths[1::2], "Training_10": paths[1::2], "Testing_10": paths[::2]}
    return write(tmp_path / "Partitions", {f"{name}.txt": lines(p) for name, p in lists.items()}).parent


@pytest.mark.parametrize("named", ["", "SUN397"])
def test_sun397_is_read_by_a_partition(sun397, named):
    first, tenth = (load(scenes.find_sun397, sun397 / named, partition) for partition in (1, 10))
    assert first.listing.classes == ("abbey", "apartment_building/outdoor")
    assert (first.listing.name, tenth.listing.name) == ("SUN397, partition 1", "SUN397, partition 10")
    assert names(first, "train") == names(tenth, "test")
    assert set(names(first, "test")) == {f"a/{c}/sun_{i}.jpg" for c in first.listing.classes for i in (1, 3)}


def test_each_partition_has_an_index_of_its_own(sun397):
    load(scenes.find_sun397, sun397, 1)
    load(scenes.find_sun397, sun397, 10)
    assert len(list((sun397 / "cache").glob("index-*.h5"))) == 2


def test_a_partition_that_is_missing_is_said(sun397):
    assert refusal(scenes.find_sun397, sun397, 2) == (
        f"{sun397} has no Training_02.txt, the list of its images: {scenes.SUN397}"
    )


@pytest.fixture(params=["images256", "data/vision/torralba/deeplearning/images256", ""])
def places(tmp_path, request):
    """Two places, in each of the layouts in which it is unpacked."""
    train = {f"{p}/gsun_{i}.jpg": k for k, p in enumerate(("b/bar", "a/abbey")) for i in range(3)}
    test = {f"{p}/gsun_val{i}.jpg": k for k, p in enumerate(("b/bar", "a/abbey")) for i in range(2)}
    write(tmp_path / request.param, {p: jpeg(i) for i, p in enumerate({**train, **test})})
    files = {
        "train": "".join(f"{p} {k}\n" for p, k in train.items()),
        "val": "".join(f"{p},{k}\n" for p, k in test.items()),
    }
    return write(tmp_path, {f"{name}_places205.csv": text for name, text in files.items()})


def test_places205_is_read_by_its_lists_with_their_numbers(places):
    photos = load(scenes.find_places205, places)
    assert photos.listing.classes == ("bar", "abbey")
    assert np.bincount(photos.train[1]).tolist() == [3, 3]
    assert names(photos, "test") == {f"{p}/gsun_val{i}.jpg": p[2:] for p in ("b/bar", "a/abbey") for i in range(2)}


@pytest.mark.parametrize(
    "line", ["a/abbey/1.jpg", "a/abbey/1.jpg -1", "a/abbey/1.jpg one", "a/abbey/1.jpg 7", "../1.jpg 0"]
)
def test_a_list_of_places_that_says_something_else_is_refused(places, line):
    with open(places / "train_places205.csv", "a") as file:
        file.write(line)
    assert refusal(scenes.find_places205, places).endswith(f": {scenes.PLACES205}")


@pytest.mark.parametrize(
    ("find", "name", "where"),
    [
        (scenes.find_mit67, "MIT67", scenes.MIT67),
        (scenes.find_sun397, "SUN397", scenes.SUN397),
        (scenes.find_places205, "Places205", scenes.PLACES205),
    ],
)
def test_a_folder_must_be_named_and_be_there(find, name, where, tmp_path):
    with pytest.raises(UserError) as refused:
        find(None)
    assert str(refused.value) == f"{name} is not downloaded by this program: name its folder by --data; {where}"
    assert refusal(find, tmp_path / "none") == (
        f"{tmp_path / 'none'} is not there, expected the folder of {name}: name it by --data; {where}"
    )
