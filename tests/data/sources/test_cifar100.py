"""CIFAR-100 from ten records: wherever they come from, and whatever else an archive or a folder may hold."""

import contextlib
import gzip
import hashlib
import io
import re
import tarfile
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.fetch.archives import untar
from data.sources import cifar100
from engine.errors import UserError
from engine.io.storage import read_arrays, write_arrays

COUNTS = {"train": 6, "test": 4}
NAMES = [f"class_{k}" for k in range(100)]
RNG = np.random.default_rng(3)
IMAGES = {part: RNG.integers(0, 256, (count, 32, 32, 3), np.uint8) for part, count in COUNTS.items()}
LABELS = {"train": [99, 0, 5, 5, 17, 42], "test": [1, 2, 3, 98]}


def records(part, images=None, labels=None, coarse=19):
    """The file of a part, written down independently of the program: labels, then a plane for each colour."""
    data = b""
    for image, label in zip(IMAGES[part] if images is None else images, labels or LABELS[part], strict=True):
        data += bytes([coarse, label])
        for colour in range(3):
            data += b"".join(bytes(image[row, :, colour].tolist()) for row in range(32))
    return data


FILES = {
    "train.bin": records("train"),
    "test.bin": records("test"),
    "fine_label_names.txt": "".join(name + "\n" for name in NAMES).encode(),
    "coarse_label_names.txt": b"superclass\n" * 20,
}
SIZES = {name: (len(data), len(data)) for name, data in FILES.items()}


def regular(name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info, data


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, None


def tar(members, kind=tarfile.GNU_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data) if data is not None else None)
    return buffer.getvalue()


def members(files=FILES, folder="cifar-100-binary/"):
    return [regular(folder + name, data) for name, data in files.items()]


WITH_FOLDER = [special("cifar-100-binary/", tarfile.DIRTYPE), *members()]
ARCHIVE = gzip.compress(tar(WITH_FOLDER))


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Ten records, an archive of them as the original, no server, and a cache of our own."""
    monkeypatch.setattr(cifar100, "COUNTS", COUNTS)
    monkeypatch.setattr(cifar100, "ARCHIVE_SHA256", hashlib.sha256(ARCHIVE).hexdigest())
    monkeypatch.setattr(cifar100, "ARCHIVE_BYTES", len(ARCHIVE))
    monkeypatch.setattr(cifar100, "URL", "http://127.0.0.1:9/cifar-100-binary.tar.gz")
    monkeypatch.setattr(cifar100, "RECORDS_SHA256", {part: cifar100.digest(FILES[f"{part}.bin"]) for part in COUNTS})
    said = []
    cache = tmp_path / "cache"
    return SimpleNamespace(
        cache=cache,
        said=said,
        named=tmp_path / "named",
        load=lambda data=None: cifar100.load(cache, data=data, say=said.append),
        warnings=lambda: [line for line in said if line.startswith("warning: ")],
        left=lambda: sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()),
    )


def place(folder, files=FILES):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def assert_is_cifar(dataset):
    for part in COUNTS:
        np.testing.assert_array_equal(getattr(dataset, part).images, IMAGES[part])
        np.testing.assert_array_equal(getattr(dataset, part).labels, LABELS[part])
    assert dataset.name == "CIFAR-100"
    assert dataset.class_names == tuple(f"class {k}" for k in range(100))


def test_the_original_archive_is_known_by_size_and_sum():
    assert cifar100.ARCHIVE_BYTES == 168_513_733
    assert cifar100.ARCHIVE_SHA256 == "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"
    assert cifar100.URL == "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
    assert {name: size[0] for name, size in cifar100._sizes().items() if name.endswith(".bin")} == {
        "train.bin": 50_000 * 3074,
        "test.bin": 10_000 * 3074,
    }


def test_the_archive_is_downloaded_with_progress_and_the_cache_is_enough_from_then_on(world, serve, monkeypatch):
    monkeypatch.setattr(cifar100, "URL", serve({"a.tar.gz": ARCHIVE}) + "a.tar.gz")
    assert_is_cifar(world.load())
    assert len(world.said) == 2
    assert re.fullmatch(r"CIFAR-100: getting it from 127\.0\.0\.1:\d+", world.said[0])
    assert world.said[1] == "CIFAR-100: 0 of 0 MB"  # this archive is small
    assert world.left() == ["cache/cifar100.h5"]
    monkeypatch.setattr(cifar100, "URL", "http://127.0.0.1:9/")
    world.said.clear()
    assert_is_cifar(world.load())
    assert world.said == []


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (None, "answered 404"),
        (ARCHIVE[:-1] + b"x", "is not the original one"),
        (ARCHIVE[:-1], "is not the original one"),
        (ARCHIVE + b"x", "sent more than the"),
        (b"<html>log in first</html>", "is not the original one"),
        (b"short", "broke off in the middle"),
    ],
)
def test_a_download_of_anything_else_is_refused_and_nothing_is_left(world, serve, monkeypatch, body, sentence):
    monkeypatch.setattr(cifar100, "URL", serve({"a": body}) + "a")
    with pytest.raises(UserError, match=sentence) as refused:
        world.load()
    assert "connect to the internet, or place cifar-100-binary.tar.gz in" in str(refused.value)
    assert world.left() == []


@pytest.mark.parametrize("place_at", ["file", "folder"])
def test_the_original_archive_that_the_user_names_is_taken_without_a_word_of_warning(world, place_at):
    named = place(world.named, {"cifar-100-binary.tar.gz": ARCHIVE})
    assert_is_cifar(world.load(named / "cifar-100-binary.tar.gz" if place_at == "file" else named))
    assert world.said == [
        f"CIFAR-100: getting it from {named / 'cifar-100-binary.tar.gz' if place_at == 'file' else named}"
    ]


def test_the_archive_that_the_user_placed_in_the_cache_is_taken_before_the_network_is_asked(world):
    place(world.cache, {"cifar-100-binary.tar.gz": ARCHIVE})
    assert_is_cifar(world.load())
    assert world.said == [f"CIFAR-100: getting it from {world.cache}"]


@pytest.mark.parametrize("inside", ["", "cifar-100-binary"])
def test_a_folder_with_the_files_is_taken_with_a_warning_as_their_order_is_unknown(world, inside):
    place(world.named / inside)
    assert_is_cifar(world.load(world.named))
    assert world.warnings() == [SAME_IMAGES.format(world.named / inside)]


AS_IT_IS = "taken as it is, and results compare with those of the same copy only"
SAME_IMAGES = (
    "warning: {} holds CIFAR-100's images, but not with the original's sum, so perhaps in another order: " + AS_IT_IS
)
OTHER_IMAGES = "warning: {} has files of the right sizes, but not with CIFAR-100's sums: " + AS_IT_IS


def test_the_same_records_in_another_order_are_told_from_records_that_differ(world):
    place(world.named, {**FILES, "test.bin": records("test", IMAGES["test"][::-1], LABELS["test"][::-1])})
    np.testing.assert_array_equal(world.load(world.named).test.images, IMAGES["test"][::-1])
    place(world.named, {"test.bin": records("test", 255 - IMAGES["test"])})
    np.testing.assert_array_equal(world.load(world.named).test.images, 255 - IMAGES["test"])
    assert world.warnings() == [sentence.format(world.named) for sentence in (SAME_IMAGES, OTHER_IMAGES)]


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(tar(members())),
        gzip.compress(tar(members(folder=""))),
        gzip.compress(tar(members(folder="./cifar-100-binary/"))),
        gzip.compress(tar(WITH_FOLDER, tarfile.PAX_FORMAT)),
        tar(WITH_FOLDER),
    ],
    ids=["no folder member", "at the top", "with a dot", "pax", "not packed"],
)
def test_a_repacked_archive_is_taken_with_a_warning(world, data):
    named = place(world.named, {"mine.tgz": data}) / "mine.tgz"
    assert_is_cifar(world.load(named))
    assert world.warnings() == [SAME_IMAGES.format(named)]


def test_a_repacked_archive_that_the_user_placed_in_the_cache_is_taken_with_a_warning_too(world):
    place(world.cache, {"cifar-100-binary.tar.gz": tar(WITH_FOLDER)})
    assert_is_cifar(world.load())
    assert world.warnings() == [SAME_IMAGES.format(world.cache / "cifar-100-binary.tar.gz")]


def test_the_names_of_the_superclasses_are_not_needed(world):
    assert_is_cifar(world.load(place(world.named, {**FILES, "coarse_label_names.txt": b""})))


def test_what_the_user_names_takes_the_place_of_what_was_kept(world):
    world.load(place(world.named))
    place(world.named, {"test.bin": records("test", 255 - IMAGES["test"])})
    assert_is_cifar(world.load())
    world.load(world.named)
    np.testing.assert_array_equal(world.load().test.images, 255 - IMAGES["test"])


TRAIN = "cifar-100-binary/train.bin"
UNSAFE = {
    "a symbolic link": ([special(TRAIN, tarfile.SYMTYPE, "/etc/passwd")], f"holds a link '{TRAIN}'"),
    "a hard link": ([special(TRAIN, tarfile.LNKTYPE, "../../secret")], f"holds a link '{TRAIN}'"),
    "a link for a folder": ([special("cifar-100-binary", tarfile.SYMTYPE, "/tmp")], "holds a link"),
    "an absolute path": ([regular("/train.bin", b"")], "holds a path that leads elsewhere, '/train.bin'"),
    "a path upward": ([regular("cifar-100-binary/../../x", b"")], "holds a path that leads elsewhere"),
    "a folder upward": ([special("..", tarfile.DIRTYPE)], "holds a path that leads elsewhere, '..'"),
    "a device": ([special(TRAIN, tarfile.CHRTYPE)], "which does not belong there"),
    "a pipe": ([special(TRAIN, tarfile.FIFOTYPE)], "which does not belong there"),
    "another file": ([regular("cifar-100-binary/setup.py", b"")], "holds 'cifar-100-binary/setup.py', which does not"),
    "another folder": ([special("elsewhere", tarfile.DIRTYPE)], "which does not belong there"),
    "a file twice": (members({"train.bin": FILES["train.bin"]}) * 2, "holds train.bin twice"),
    "a record too few": (
        members({"train.bin": FILES["train.bin"][3074:]}),
        "train.bin has 15,370 bytes, expected 18,444",
    ),
    "a byte too many": (
        members({"train.bin": FILES["train.bin"] + b"x"}),
        "train.bin has 18,445 bytes, expected 18,444",
    ),
    "long names": (
        members({"fine_label_names.txt": b"x" * 16_385}),
        "fine_label_names.txt has 16,385 bytes, expected 100 to 16,384",
    ),
    "long names of superclasses": (
        members({"coarse_label_names.txt": b"x" * 16_385}),
        "coarse_label_names.txt has 16,385 bytes, expected 0 to 16,384",
    ),
    "no names": (members({k: FILES[k] for k in ("train.bin", "test.bin")}), "fine_label_names.txt is not there"),
    "nothing": ([], "train.bin and test.bin and fine_label_names.txt is not there"),
}


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("case", UNSAFE)
def test_an_archive_with_anything_but_the_files_is_refused_and_nothing_is_unpacked(world, case, packed):
    inside, sentence = UNSAFE[case]
    data = tar(inside)
    named = place(world.named, {"mine.tar.gz": gzip.compress(data) if packed else data}) / "mine.tar.gz"
    with pytest.raises(UserError) as refused:
        world.load(named)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert world.left() == ["named/mine.tar.gz"]


@pytest.mark.parametrize("size", [0, 1, 600, len(ARCHIVE) // 2, len(ARCHIVE) - 4])
def test_an_archive_that_is_cut_short_is_refused(world, size):
    named = place(world.named, {"mine.tar.gz": ARCHIVE[:size]}) / "mine.tar.gz"
    with pytest.raises(UserError, match=r"cannot be unpacked|is not there"):
        world.load(named)
    assert world.left() == ["named/mine.tar.gz"]


def claiming(size):
    """A header that claims a file of `size` bytes, and zeros instead of it."""
    info = tarfile.TarInfo(TRAIN)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def long_header(kind):
    """A header of headers with 50 MB of text."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 50 << 20
    return info.tobuf(tarfile.GNU_FORMAT)


BOMBS = {
    "a file that claims too much": (claiming(50 << 20), "train.bin has 52,428,800 bytes, expected 18,444"),
    "a long name": (long_header(tarfile.GNUTYPE_LONGNAME), "unpacks to more than its members can be"),
    "a long pax header": (long_header(tarfile.XHDTYPE), "unpacks to more than its members can be"),
    "zeros behind the end": (tar(WITH_FOLDER), "unpacks to more than its members can be"),
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_bomb_is_refused_before_it_fills_the_memory(case):
    start, sentence = BOMBS[case]
    bomb = gzip.compress(start + bytes(50 << 20), 1)
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    with pytest.raises(UserError, match=sentence):
        untar(io.BytesIO(bomb), SIZES, "cifar-100-binary")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 << 20


PLAIN = tar(WITH_FOLDER)
HEADERS = [place for place in range(len(PLAIN)) if PLAIN[place - place % 512 : place - place % 512 + 5] == b"cifar"]


@given(changes=st.lists(st.tuples(st.sampled_from(HEADERS), st.integers(0, 255)), min_size=1, max_size=4))
def test_whatever_is_written_over_the_headers_only_the_files_come_out(changes):
    data = bytearray(PLAIN)
    for place_, value in changes:
        data[place_] = value
    for start in {place_ - place_ % 512 for place_, _ in changes}:  # with a valid checksum, so that it is read
        header = data[start : start + 512]
        header[148:156] = b" " * 8
        data[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    with contextlib.suppress(UserError):  # and nothing else is raised
        assert untar(io.BytesIO(bytes(data)), SIZES, "cifar-100-binary").items() <= FILES.items()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"train.bin": FILES["train.bin"][:-1]}, "train.bin has 18,443 bytes, expected 18,444"),
        ({"test.bin": b""}, "test.bin has 0 bytes, expected 12,296"),
        (
            {"train.bin": records("train", labels=[0, 0, 0, 100, 0, 0])},
            "train.bin has the fine label 100 in record 3, expected 0 to 99",
        ),
        ({"test.bin": records("test", coarse=20)}, "test.bin has the coarse label 20 in record 0, expected 0 to 19"),
        ({"fine_label_names.txt": b"a\n" * 100}, "fine_label_names.txt has 1 different names, expected 100"),
        ({"fine_label_names.txt": b"\xff" * 100}, "fine_label_names.txt has 1 different names, expected 100"),
        (
            {"fine_label_names.txt": FILES["fine_label_names.txt"].replace(b"class_7", b"\x1b[2J", 1)},
            "fine_label_names.txt has 100 different names, expected 100 of printable letters",
        ),
        ({"test.bin": None}, "test.bin is not there"),
    ],
)
def test_a_folder_with_other_than_whole_records_of_known_classes_is_refused(world, changes, sentence):
    files = {name: data for name, data in {**FILES, **changes}.items() if data is not None}
    with pytest.raises(UserError, match=sentence):
        world.load(place(world.named, files))
    assert not world.cache.exists() or world.left() == sorted(f"named/{name}" for name in files)


def test_records_of_a_wrong_length_are_refused():
    with pytest.raises(UserError, match=r"x\.bin has 6,147 bytes, expected a multiple of 3,074"):
        cifar100.parse("x.bin", bytes(2 * 3074 - 1))


@pytest.mark.parametrize("name", ["none", "x" * 300, "nul\0"])
def test_a_place_where_there_is_nothing_is_named(world, name):
    with pytest.raises(
        UserError, match=r"^there is no file or folder .+: name cifar-100-binary\.tar\.gz, or the folder"
    ):
        world.load(world.named / name)


def test_a_folder_without_the_files_is_told(world):
    with pytest.raises(UserError, match=r"neither cifar-100-binary\.tar\.gz nor a folder with train\.bin"):
        world.load(place(world.named, {}))


@pytest.mark.parametrize("named", ["", "cifar-100-python", "cifar-100-python.tar.gz"])
def test_the_python_version_is_refused_and_the_binary_one_named(world, named):
    place(world.named / "cifar-100-python", dict.fromkeys(("train", "test", "meta"), b"a pickle"))
    place(world.named, {"cifar-100-python.tar.gz": b"an archive"})
    with pytest.raises(UserError, match=r"is the Python version of CIFAR-100, .* get the binary version, http"):
        world.load(world.named / named)


def test_a_cached_file_that_was_altered_is_refused_with_the_remedy(world):
    world.load(place(world.named))
    path = world.cache / "cifar100.h5"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        UserError, match=r"cifar100\.h5 is cut short: delete it and start again, it is then fetched anew"
    ):
        world.load()


@pytest.mark.parametrize(
    "change",
    [
        {"test_labels": np.zeros(3, np.uint8)},
        {"more": np.zeros(3)},
        {"classes": "\n".join(NAMES[1:])},
        {"classes": "\n".join(["\x1b[2J", *NAMES[1:]])},
        {"classes": None},
    ],
    ids=["other labels", "more", "a class less", "a name that is no text", "no names"],
)
def test_a_cached_file_of_another_form_is_refused_however_well_formed(world, change):
    world.load(place(world.named))
    path = world.cache / "cifar100.h5"
    arrays, attributes = read_arrays(path, kind="cifar100", version=1)
    changed = {**arrays, **attributes, **change}
    arrays = {name: value for name, value in changed.items() if isinstance(value, np.ndarray)}
    attributes = {name: value for name, value in changed.items() if isinstance(value, str)}
    write_arrays(path, arrays, attributes, kind="cifar100", version=1)
    with pytest.raises(UserError) as refused:
        world.load()
    assert str(refused.value) == (
        f"{path}: does not hold CIFAR-100's images, labels and names: delete it and start again, it is then fetched anew"
    )
