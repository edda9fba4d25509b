"""`tools/scene_folder.py`: ten classes of CIFAR-100 become folders of JPEG files that `cldl.train` takes."""

import numpy as np
from PIL import Image

from data.dataset import Dataset
from data.sources import cifar100
from tools import scene_folder

NAMES = tuple(f"class{i}" for i in range(100))


def colours(n: int) -> tuple[np.ndarray, np.ndarray]:
    """`n` images of each class, of one colour that tells the class."""
    labels = np.repeat(np.arange(100), n)
    return np.broadcast_to(labels[:, None, None, None] * 2, (len(labels), 32, 32, 3)).astype(np.uint8), labels


def test_each_image_of_the_ten_classes_is_a_file_of_twice_the_size_in_its_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cifar100, "load", lambda *_, **__: Dataset.from_arrays("c", *colours(3), *colours(1), NAMES))
    assert scene_folder.main([str(tmp_path)]) == 0
    assert [line.split(" in ")[0] for line in capsys.readouterr().out.splitlines()] == ["30 images", "10 images"]
    for part, number in (("train", 3), ("test", 1)):
        folders = sorted((tmp_path / part).iterdir())
        assert [folder.name for folder in folders] == sorted(f"class{i}" for i in scene_folder.SCENES)
        for folder in folders:
            files = list(folder.iterdir())
            assert len(files) == number
            for file in files:
                image = np.asarray(Image.open(file))
                assert image.shape == (64, 64, 3)
                np.testing.assert_allclose(image, 2 * int(folder.name.removeprefix("class")), atol=2)
