"""Every algorithm is timed on every convolution, and choices that were not the fastest are reported."""

import sys

import pytest

from benchmarks import convolutions
from benchmarks.convolutions import Chosen, Seconds, algorithms, fitting, lost, report
from benchmarks.shapes import Geometry, geometries
from engine.codegen.simd import LANES
from engine.ops.fused_linear import Window

SMALL = Geometry(6, 5, 2, 3, Window(3, 1, 1))


def test_the_convolutions_are_those_of_recipes_and_of_three_known_networks():
    names = geometries()
    assert {name.split()[0] for name in names.values()} >= {
        "mnist_maxout",
        "cifar100_maxout",
        "VGG",
        "GoogLeNet",
        "AlexNet",
    }
    assert sum(name.startswith("VGG") for name in names.values()) == 9
    assert Geometry(14, 14, 512, 512, Window(3, 1, 1)) in names
    assert Geometry(13, 13, 384, 256, Window(3, 1, 1), 2) in names
    assert Geometry(14, 14, 32, 128, Window(5, 1, 2)) in names


def test_the_algorithms_are_those_that_can_be_used():
    assert algorithms(SMALL, 2) == ["patches", "fft", "winograd"]
    assert algorithms(SMALL._replace(window=Window(5, 1, 2)), 2) == ["patches", "fft"]
    assert algorithms(SMALL._replace(window=Window(3, 2, 1)), 2) == ["patches"]
    grouped = Geometry(6, 6, 2 * LANES, 4 * LANES, Window(3, 1, 1), 2)
    assert algorithms(grouped, 2) == ["patches", "fft", "winograd"]


def test_of_large_images_fewer_are_measured():
    assert fitting(SMALL, 128) == 128
    assert 1 < fitting(Geometry(224, 224, 64, 64, Window(3, 1, 1)), 128) < 64


def test_a_choice_loses_where_another_was_faster():
    seconds = {"patches": Seconds(1.0, 3.0), "fft": Seconds(2.0, 2.0)}
    assert lost(seconds, Chosen("patches", "patches")) == {"step": 1.5}
    assert lost(seconds, Chosen("fft", "fft")) == {"forward": 2.0}
    assert lost(seconds, Chosen("patches", "fft")) == {}


def test_the_worst_choice_is_told_first():
    assert report([]) == "The choice was the fastest everywhere."
    lines = report([(1.1, "step", "VGG", 1), (1.5, "forward", "NIN", 128)]).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["1.50", "1.10"]
    assert lines[1].endswith("forward of NIN, batch 128")


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_command_prints_a_line_for_a_convolution_and_batch(threads, monkeypatch, capsys):
    monkeypatch.setattr(convolutions, "geometries", lambda: {SMALL: "small", SMALL._replace(width=7): "other"})
    assert convolutions.main(["--batch", "1", "3", "--seconds", "0", "--only", "small", "--threads", threads]) == 0
    _, one, three, *_ = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in (one, three)] == [["small", "1"], ["small", "3"]]
    for name in ("patches", "fft", "winograd"):
        assert name in one


class TwiceAsLong:
    """A PyTorch that takes a second forward, two for a step, and half of that in its other layout."""

    def ask(self, method, **arguments):
        return {"default": (1.0, 2.0), "channels_last": (0.5, 1.0)} if method == "seconds" else None


def test_beside_pytorch_the_ratio_to_its_faster_layout_is_printed_and_the_mean(monkeypatch, capsys):
    monkeypatch.setattr(convolutions, "geometries", lambda: {SMALL: "small", SMALL._replace(window=Window(1)): "pixel"})
    monkeypatch.setattr(convolutions, "pytorch", lambda options, stack: TwiceAsLong())
    monkeypatch.setattr(convolutions, "_runs", lambda *_: (lambda: None, lambda: None))
    monkeypatch.setattr(convolutions, "least_of_three", lambda work, clock: 0.25)
    assert convolutions.main(["--batch", "1", "--seconds", "0", "--chosen"]) == 0
    small, pixel, mean = capsys.readouterr().out.splitlines()[1:4]
    for line in (small, pixel):
        assert line.endswith("PyTorch  500.00 1000.00   2.00  4.00 times as long")
    assert mean.startswith("PyTorch takes 2.00 times as long forward and 4.00 times in a step")


def test_beside_pytorch_every_convolution_is_timed(capsys):
    pytest.importorskip("torch")
    arguments = ["--batch", "1", "--seconds", "0", "--only", "inception_5b.1x1", "--torch-python", sys.executable]
    assert convolutions.main(arguments) == 0
    assert "PyTorch takes" in capsys.readouterr().out
