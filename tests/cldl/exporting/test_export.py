"""The command that exports a run."""

import sys

import numpy as np
import pytest

from cldl.export import main
from cldl.interop import load_weights
from cldl.training.run import Run
from cldl.training.trained import TrainedModel
from data.transforms.preprocessing import Whitening
from tests.cldl import tiny
from tests.cldl.exporting.models import RNG


@pytest.fixture
def run(tmp_path, monkeypatch):
    return tiny.run(tmp_path / "run", monkeypatch)


def test_a_run_is_written_as_each_of_the_three(run, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("safetensors")
    paths = {"onnx": tmp_path / "m.onnx", "torch": tmp_path / "m", "safetensors": tmp_path / "m.safetensors"}
    assert main([str(run.folder), *(str(word) for name, path in paths.items() for word in (f"--{name}", path))]) == 0
    assert capsys.readouterr().out == "".join(f"{name}: {path}\n" for name, path in paths.items())
    images = np.stack([tiny.bright(k) for k in (3, 8)])
    session = onnxruntime.InferenceSession(paths["onnx"])
    assert session.run(["label"], {"image": images})[0].tolist() == [3, 8]
    network = tiny.network()
    for parameter in network.parameters():
        parameter.value[...] = 7
    load_weights(network, paths["safetensors"])
    for own, other in zip(tiny.network().parameters(), network.parameters(), strict=True):
        np.testing.assert_array_equal(own.value, other.value)
    assert sorted(path.name for path in paths["torch"].iterdir()) == ["model.py", "weights.safetensors"]


def test_a_whitening_travels_with_the_file(run, tmp_path, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    matrix = np.eye(784, dtype=np.float32) + RNG.normal(size=(784, 784)).astype(np.float32) / 100
    whitening = Whitening(RNG.normal(size=784).astype(np.float32), matrix)
    loaded = Run.open(run.folder).model(whitening, threads=1, device="cpu")
    monkeypatch.setattr(Run, "model", lambda *_, **__: loaded)
    assert main([str(run.folder), "--onnx", str(tmp_path / "m.onnx")]) == 0
    images = RNG.integers(0, 256, (5, 28, 28, 1), dtype=np.uint8)
    _, P, labels = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"image": images})
    np.testing.assert_array_equal(labels, loaded.predict(images))
    z = loaded.logits(images)[1].astype(np.float64)
    expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(P, expected, rtol=1e-5, atol=1e-5)
    assert isinstance(loaded, TrainedModel)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "there is nothing to write: give --onnx FILE, --torch DIR or --safetensors FILE."),
        (["--onnx", "m.pb"], "the model is written as .onnx, not as m.pb: choose such a name."),
        (["--safetensors", "m.npz"], "weights are written as .safetensors, not as m.npz: choose such a name."),
    ],
)
def test_what_cannot_be_written_is_one_line(run, arguments, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([str(run.folder), *arguments]) == 2
    assert capsys.readouterr().err == f"error: {sentence}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_missing_package_is_named_before_anything_is_loaded(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main([str(tmp_path), "--onnx", "m.onnx"]) == 2
    expected = "error: the package onnx is needed, and not installed: pip install 'cldl[export]'.\n"
    assert capsys.readouterr().err == expected
