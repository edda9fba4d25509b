import gc
import json
import os
import sys
import tracemalloc
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.errors import UserError
from engine.io import storage
from engine.io.storage import MAX_HEADER, VersionError, read_arrays, write_arrays

ARRAYS = {
    "conv/weights": np.arange(12, dtype=np.float32).reshape(3, 4),
    "conv/block/bias": np.array([-0.0, np.nan, np.inf]),
    "labels": np.array([3, -1], dtype=">i8"),
    "mask": np.array([True, False]),
    "step": np.array(7),
    "empty": np.zeros((0, 3), np.uint8),
}
ATTRIBUTES = {"epoch": 3, "rate": 0.1, "recipe": "é", "key": 2**64 - 1, "best": 1e300}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.h5"
    write_arrays(path, ARRAYS, ATTRIBUTES, kind="test", version=1)
    return path


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.h5"
    write_arrays(path, {"g/a": np.arange(3)}, {"epoch": 3}, kind="test", version=1)
    return path


def read(path):
    return read_arrays(path, kind="test", version=1)


def same(found, expected):
    return set(found) == set(expected) and all(
        found[name].dtype == expected[name].dtype
        and found[name].shape == expected[name].shape
        and found[name].tobytes() == expected[name].tobytes()
        for name in expected
    )


def test_nothing_is_left_that_complains_when_it_is_collected(tmp_path, monkeypatch):
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    write_arrays(tmp_path / "a.h5", {"x": np.arange(3)}, {}, kind="test", version=1)
    gc.collect()
    assert not complaints


def test_arrays_and_attributes_come_back_bit_for_bit(path):
    arrays, attributes = read(path)
    assert same(arrays, ARRAYS)
    assert attributes == ATTRIBUTES
    assert {name: type(value) for name, value in attributes.items()} == {k: type(v) for k, v in ATTRIBUTES.items()}


DTYPES = (
    hnp.boolean_dtypes() | hnp.integer_dtypes(endianness="?") | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
)


@settings(max_examples=40, deadline=None)
@given(
    arrays=st.dictionaries(
        st.text("abc", min_size=1, max_size=3),
        hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0, max_side=3)),
        max_size=4,
    ),
    attributes=st.dictionaries(
        st.text(max_size=5), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
    ),
)
def test_any_shape_and_dtype_of_numbers_comes_back(tmp_path_factory, arrays, attributes):
    path = tmp_path_factory.mktemp("any") / "a.h5"
    write_arrays(path, arrays, attributes, kind="test", version=1)
    found, found_attributes = read(path)
    assert same(found, arrays)
    assert found_attributes == attributes


def test_other_programs_read_the_file_with_plain_hdf5(path):
    with h5py.File(path, "r") as file:
        np.testing.assert_array_equal(file["conv/weights"][:], ARRAYS["conv/weights"])


@pytest.mark.parametrize("array", [np.arange(24).reshape(4, 6)[::2, ::-3].T, np.arange(6)[::2]])
def test_an_array_that_is_not_contiguous_comes_back(tmp_path, array):
    write_arrays(tmp_path / "a.h5", {"a": array}, {}, kind="test", version=1)
    np.testing.assert_array_equal(read(tmp_path / "a.h5")[0]["a"], array)


def test_a_long_text_comes_back(tmp_path):
    write_arrays(tmp_path / "a.h5", {}, {"config": "x" * 300_000}, kind="test", version=1)
    assert read(tmp_path / "a.h5")[1] == {"config": "x" * 300_000}


@pytest.mark.parametrize("array", [np.array([None]), np.array(["a"]), np.array([1j]), np.zeros(2, "f4,i4")])
def test_only_numbers_are_written(path, array):
    with pytest.raises(TypeError, match="expected booleans, integers or floats"):
        write_arrays(path, {"a": array}, {}, kind="test", version=1)
    assert same(read(path)[0], ARRAYS)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_attribute_that_json_does_not_have_is_not_written(path, value):
    with pytest.raises(ValueError, match="JSON"):
        write_arrays(path, {}, {"loss": value}, kind="test", version=1)
    assert same(read(path)[0], ARRAYS)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    def replace(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(UserError, match="free some space"):
        write_arrays(path, {}, {}, kind="test", version=1)
    assert same(read(path)[0], ARRAYS)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("capacity", [0, 100, 3000, 10_000])
def test_on_a_full_disk_the_old_file_stays_and_the_reason_is_told(path, monkeypatch, capacity):
    make, large = storage.atomic_write, {f"a{i}": np.arange(1000.0) for i in range(4)}

    class Full:
        """A file that takes so many bytes."""

        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            if self.file.tell() + memoryview(data).nbytes > capacity:
                raise OSError(28, "No space left on device")
            return self.file.write(data)

    @contextmanager
    def full(*arguments):
        with make(*arguments) as file:
            yield Full(file)

    monkeypatch.setattr(storage, "atomic_write", full)
    with pytest.raises(UserError, match=r"No space left on device.*free some space"):
        write_arrays(path, large, {}, kind="test", version=1)
    assert same(read(path)[0], ARRAYS)
    assert os.listdir(path.parent) == [path.name]


def test_a_file_is_written_without_a_second_copy_of_its_arrays(tmp_path):
    large = {"a": np.zeros(2**20), "b": np.ones(2**20)}
    tracemalloc.start()
    try:
        write_arrays(tmp_path / "large.h5", large, {}, kind="test", version=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    assert same(read(tmp_path / "large.h5")[0], large)


def test_every_cut_is_refused(small):
    whole = small.read_bytes()
    for size in range(len(whole)):
        small.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"small\.h5 (is not an HDF5 file|is cut short|is damaged): delete it"):
            read(small)


def test_a_file_without_its_last_byte_is_said_to_be_cut_short(path):
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"a\.h5 is cut short: delete it or put an intact copy in its place$"):
        read(path)


def test_every_changed_byte_is_refused(small):
    whole = small.read_bytes()
    told = (
        "is not an HDF5 file",
        "is cut short",
        "is damaged",
        "was altered after it was written",
        "is a file of kind .*",
    )
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        small.write_bytes(changed)
        with pytest.raises(UserError, match=rf"small\.h5 ({'|'.join(told)}): delete it"):
            read(small)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.h5 is not there"):
        read(tmp_path / "none.h5")
    with pytest.raises(UserError, match="is not a file"):
        read(tmp_path)


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    (tmp_path / "a.h5").write_text("hello")
    with pytest.raises(UserError, match=r"a\.h5 is not an HDF5 file: delete it"):
        read(tmp_path / "a.h5")


def test_another_kind_is_refused(path):
    with pytest.raises(UserError, match=r"a\.h5 is a file of kind 'test', expected 'mnist': delete it") as refusal:
        read_arrays(path, kind="mnist", version=1)
    assert not isinstance(refusal.value, VersionError)


def test_another_version_is_refused_and_can_be_told_apart(path):
    with pytest.raises(
        VersionError, match=r"a\.h5 has version 1 of the format 'test', expected 2: delete it"
    ) as refusal:
        read_arrays(path, kind="test", version=2)
    assert refusal.value.found == 1


def test_a_file_that_another_program_has_locked_is_read(path):
    fcntl = pytest.importorskip("fcntl")
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert same(read(path)[0], ARRAYS)


@pytest.mark.parametrize(
    ("error", "predicate"),
    [
        (PermissionError(13, "Permission denied"), f"may not be read: {storage.REMEDY}"),
        (MemoryError(), "does not fit into memory: close other programs"),
    ],
    ids=str,
)
def test_a_file_that_cannot_be_opened_or_held_is_told(path, monkeypatch, error, predicate):
    def open_file(*arguments, **options):
        raise error

    monkeypatch.setattr(h5py, "File", open_file)
    with pytest.raises(UserError) as refusal:
        read(path)
    assert str(refusal.value) == f"{path} {predicate}"


def test_the_fingerprint_is_that_in_the_file_whatever_the_order_of_arrays_and_attributes(path):
    with h5py.File(path) as file:
        written = json.loads(file.attrs["header"])["sha256"]
    arrays, attributes = (dict(reversed(items.items())) for items in (ARRAYS, ATTRIBUTES))
    assert storage.fingerprint(arrays, attributes, kind="test", version=1) == written
    others = [
        storage.fingerprint(arrays | {"step": np.array(8)}, attributes, kind="test", version=1),
        storage.fingerprint(arrays, attributes | {"epoch": 4}, kind="test", version=1),
        storage.fingerprint(arrays, attributes, kind="other", version=1),
        storage.fingerprint(arrays, attributes, kind="test", version=2),
    ]
    assert len({written, *others}) == 5


def test_the_caller_can_name_the_remedy(path):
    with pytest.raises(UserError, match=r"expected 2: train again$"):
        read_arrays(path, kind="test", version=2, remedy="train again")


def test_claims_above_the_limit_are_refused_before_memory_is_taken(path, monkeypatch):
    monkeypatch.setattr(storage, "MAX_BYTES", 98)
    assert same(read(path)[0], ARRAYS)
    monkeypatch.setattr(storage, "MAX_BYTES", 97)
    with pytest.raises(UserError, match="claims 98 bytes of arrays, more than it can hold"):
        read(path)


def virtual(file):
    layout = h5py.VirtualLayout((2,), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "a", (2,))
    file.create_virtual_dataset("odd", layout)


def bomb(file):
    file.create_dataset("bomb", (1 << 40,), "f8", compression="gzip")


def changed_value(file):
    file["conv/weights"][0, 0] = 1


def renamed(file):
    file.move("labels", "tables")


def reshaped(file):
    del file["conv/weights"]
    file["conv/weights"] = ARRAYS["conv/weights"].reshape(4, 3)


def changed_attribute(file):
    header = file.attrs["header"]
    file.attrs.modify("header", np.bytes_(header.replace(b'"epoch": 3', b'"epoch": 4')))


def changed_header(file, **values):
    header = json.loads(file.attrs["header"])
    file.attrs.create("header", np.bytes_(json.dumps(header | values).encode()))


ODD = {
    "has an external link 'odd'": lambda file: file.update(odd=h5py.ExternalLink("other.h5", "/a")),
    "has an external link 'conv/odd'": lambda file: file["conv"].update(odd=h5py.ExternalLink("other.h5", "/a")),
    "has a soft link 'odd'": lambda file: file.update(odd=h5py.SoftLink("/labels")),
    "has a second link 'zoo' to one object": lambda file: file.update(zoo=file["labels"]),
    "has a second link 'conv/up' to one object": lambda file: file["conv"].update(up=file["/"]),
    "keeps the array 'odd' in another file": lambda file: file.create_dataset("odd", (2,), "f8", external="other.raw"),
    "has a virtual array 'odd'": virtual,
    "has an array 'odd' in chunks or with filters": lambda file: file.create_dataset(
        "odd", data=np.ones(4), chunks=(2,)
    ),
    "has an array 'bomb' in chunks or with filters": lambda file: file.create_dataset(
        "bomb", (1 << 40,), "f8", compression="gzip"
    ),
    "claims more bytes for the array 'odd' than it has": lambda file: file.create_dataset("odd", (1 << 50,), "f8"),
    "claims more bytes for the array 'none' than it has": lambda file: file.update(none=h5py.Empty("f8")),
    "has an array 'text' that is not of numbers": lambda file: file.update(text="hello"),
    "has an array 'opaque' that is not of numbers": lambda file: file.update(opaque=np.array([b"ab"], "V2")),
    "has an array 'pair' that is not of numbers": lambda file: file.update(pair=np.zeros(2, "f4,i4")),
    "has an array 'vlen' that is not of numbers": lambda file: file.create_dataset("vlen", (2,), h5py.vlen_dtype("i4")),
    "has an array 'ref' that is not of numbers": lambda file: file.create_dataset("ref", (2,), h5py.ref_dtype),
    "has an object 'type' that is no array": lambda file: file.update(type=np.dtype("f8")),
    "was not written by this program": lambda file: file.attrs.clear(),
    "has a header that has no attributes": lambda file: file.attrs.create("header", np.bytes_(b"{}")),
    "has a header that is not JSON (character 2)": lambda file: file.attrs.create("header", np.bytes_(b"{")),
    "has a header that is nested": lambda file: file.attrs.create("header", np.bytes_(b"[" * 50_000)),
    "has a header that has version '1', expected": lambda file: changed_header(file, version="1"),
    "has a header that has attributes.a [1], expected": lambda file: changed_header(file, attributes={"a": [1]}),
    "has a header that has 'future', which this version": lambda file: changed_header(file, future=1),
    "has a header that has the number NaN": lambda file: changed_header(file, attributes={"epoch": float("nan")}),
}


@pytest.mark.parametrize("sentence", ODD)
def test_whatever_is_not_a_plain_array_is_refused_with_its_own_sentence(path, sentence):
    with h5py.File(path, "r+") as file:
        ODD[sentence](file)
    with pytest.raises(UserError) as refused:
        read(path)
    text = str(refused.value)
    assert text.startswith(f"{path} {sentence}")
    assert text.endswith("delete it or put an intact copy in its place")


@pytest.mark.parametrize(
    "header",
    [h5py.Empty("f8"), 1.0, [b"{}", b"{}"], (MAX_HEADER + 1) * b" "],
    ids=["empty", "number", "texts", "too long"],
)
def test_a_header_that_is_not_one_short_text_is_refused(path, header):
    with h5py.File(path, "r+") as file:
        file.attrs["header"] = header if isinstance(header, (h5py.Empty, float)) else np.array(header)
    with pytest.raises(UserError, match=r"a\.h5 has a header that is not a text: delete it"):
        read(path)


def test_arrays_that_share_their_bytes_claim_more_than_the_file_holds(path):
    """Files of HDF5's first format have no checksums: where an array lies can be written over."""
    size = 1 << 20
    with h5py.File(path, "r") as file, h5py.File(path.with_name("shared"), "w", libver="earliest") as shared:
        shared.attrs.create("header", file.attrs["header"])
        first = shared.create_dataset("first", data=np.ones(size, np.uint8))
        shared.create_dataset("second", (size,), "u1")  # not written, so it lies nowhere yet
        own = first.id.get_offset().to_bytes(8, "little")
    image, nowhere = path.with_name("shared").read_bytes(), b"\xff" * 8 + size.to_bytes(8, "little")
    assert image.count(nowhere) == 1
    path.write_bytes(image.replace(nowhere, own + size.to_bytes(8, "little")))
    with h5py.File(path, "r") as file:
        assert (file["second"][...] == 1).all()
    with pytest.raises(UserError, match=f"claims {2 * size} bytes of arrays, more than it can hold"):
        read(path)


@pytest.mark.parametrize(
    "alter",
    [changed_value, renamed, reshaped, changed_attribute, lambda f: f.update(more=1.0), lambda f: f.pop("mask")],
)
def test_an_altered_file_is_refused(path, alter):
    with h5py.File(path, "r+") as file:
        alter(file)
    with pytest.raises(UserError, match=r"a\.h5 was altered after it was written: delete it"):
        read(path)
