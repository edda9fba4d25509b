"""What is no file of weights is refused in a sentence, and libraries are only imported where a file is read."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cldl.interop import files, load_weights
from engine.errors import UserError
from layers import Linear, Network, chain

ROOT = Path(__file__).parents[3]


def network():
    return Network(chain("x", [("top", Linear(3, 2))]), ["top"], (3,))


REFUSED = {
    "net.pth": "is a pickle, which can run any code when it is read: convert it where that does no harm, by safetensors.torch",
    "net.npz": "can hold pickles, which are not read: convert it by safetensors.numpy.save_file(dict(numpy.load(FILE, allow",
    "net.caffemodel.h5": "is no file of weights that is read: convert it to .safetensors, .onnx, .caffemodel.",
    "net": "is no file of weights that is read",
}


@pytest.mark.parametrize(("name", "sentence"), REFUSED.items(), ids=list(REFUSED))
def test_a_file_of_another_kind_is_refused_with_what_converts_it(name, sentence, tmp_path):
    (tmp_path / name).write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(UserError) as refused:
        load_weights(network(), tmp_path / name)
    assert str(refused.value).startswith(f"{tmp_path / name} {sentence}")


@pytest.mark.parametrize("name", ["none.onnx", "folder.onnx"])
def test_a_file_that_is_not_there_is_refused(name, tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(
        UserError, match=r"there is no file of weights .*: name a .safetensors, .onnx or .caffemodel file"
    ):
        load_weights(network(), tmp_path / name)


@pytest.mark.parametrize("suffix", files.SUFFIXES)
@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04K\x01.", b"PK\x03\x04" + bytes(60), b"\xff" * 64], ids=["", "pickle", "zip", "ff"]
)
def test_content_of_another_kind_is_refused_as_damaged(suffix, content, tmp_path):
    pytest.importorskip({".safetensors": "safetensors", ".onnx": "onnx", ".caffemodel": "google.protobuf"}[suffix])
    path = tmp_path / f"net{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"net{suffix} is damaged, or no {suffix} file.*: get an intact copy\.$"):
        load_weights(network(), path)


@pytest.mark.parametrize(
    ("suffix", "package"), [(".safetensors", "safetensors"), (".onnx", "onnx"), (".caffemodel", "protobuf")]
)
def test_a_library_that_is_missing_is_named_with_what_installs_it(suffix, package, tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(files, "import_module", missing)
    (tmp_path / f"net{suffix}").write_bytes(b"")
    with pytest.raises(UserError) as refused:
        load_weights(network(), tmp_path / f"net{suffix}")
    sentence = f"takes the package {package}, which is not installed: pip install 'cldl[weights]'."
    assert str(refused.value) == f"{tmp_path / f'net{suffix}'} {sentence}"


def test_a_file_too_large_for_its_format_is_not_read(tmp_path, monkeypatch):
    pytest.importorskip("google.protobuf")
    monkeypatch.setattr(files, "MOST_BYTES", 100)
    (tmp_path / "net.caffemodel").write_bytes(np.zeros(101, np.uint8))
    with pytest.raises(UserError, match="has 101 bytes, and 100 are the most of such a file: get an intact copy"):
        load_weights(network(), tmp_path / "net.caffemodel")


def test_no_library_of_a_format_is_imported_before_a_file_is_read():
    program = (
        "import sys, cldl.train, cldl.interop; cldl.train.parse(['mnist_nin']);"
        "print(*{'onnx', 'safetensors', 'google'} & {name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
