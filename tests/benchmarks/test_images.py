import json

import pytest

from benchmarks import images


@pytest.mark.parametrize("arguments", [[], ["--reading"], ["--recipe", "imagenet_googlenet", "--size", "32"]])
def test_an_epoch_on_files_in_imagenets_layout_is_measured(tmp_path, capsys, arguments):
    options = ["--images", "40", "--folder", str(tmp_path), "--size", "8", "--width", "0.05", "--threads", "1"]
    assert images.main([*options, *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 40
    assert 0 <= found["waiting_seconds"] <= found["seconds"]
    assert found["peak"] > found["before"] > 0
    assert 20 < found["kilobytes"] < 400
    assert "40 JPEG files" in images.text(found)
    assert images.main([*options, "--reading"]) == 0  # they are made once
    assert "waiting" in capsys.readouterr().out


def test_the_images_have_the_sizes_of_photographs(tmp_path):
    images.make_tree(tmp_path, 40)
    paths = sorted(tmp_path.rglob("*.JPEG"))
    assert len(paths) == 44
    assert {images.Image.open(path).size[::-1] for path in paths} == set(images.SIZES)
