"""Training on images that are files: read ahead, cropped from keys, and to the same bits however they are read."""

import time
from threading import current_thread

import numpy as np
import pytest

from cldl.objective import Objective
from cldl.recipes import find
from cldl.training.evaluation import compute_logits
from cldl.training.run_data import load_data
from cldl.training.trainer import Trainer
from data.dataset import read_images
from data.disk.split import DiskSplit
from engine.context import Context
from engine.errors import UserError
from engine.optim import AdamW, Constant
from engine.runtime.communicator import ALONE
from tests.cldl.training.conftest import VIEW
from tests.cldl.training.test_own_training import small_network
from tests.cldl.training.test_trainer import run, timeless, weights


def trainer(photos, threads=2, view=VIEW, seed=0):
    network = small_network(shape=(12, 12, 3), classes=2)
    schedule, optimiser = Constant(epochs=2, batch_size=8, learning_rate=0.001), AdamW(network.parameters())
    return Trainer(
        network, Objective((1.0, 1.0)), optimiser, photos.dataset(view), schedule, threads=threads, seed=seed
    )


def timeless_lines(lines):
    return [{k: v for k, v in timeless(line).items() if k != "waiting_seconds"} for line in lines]


def test_two_runs_of_one_seed_have_the_same_bits(photos):
    a, b = trainer(photos), trainer(photos)
    assert timeless_lines(run(a)) == timeless_lines(run(b))
    np.testing.assert_array_equal(weights(a), weights(b))
    c = trainer(photos, seed=1)
    run(c)
    assert not np.array_equal(weights(a), weights(c))


def test_a_run_restored_in_the_middle_of_an_epoch_sees_the_same_crops(photos):
    whole, part, rest = (trainer(photos) for _ in range(3))
    run(whole)
    run(part, 1)
    next(part.steps())
    arrays, numbers = part.state()
    rest.restore({name: array.copy() for name, array in arrays.items()}, numbers)
    list(rest.steps())
    np.testing.assert_array_equal(weights(whole), weights(rest))


def test_what_is_seen_depends_on_the_seed_the_epoch_and_the_image_alone(photos, monkeypatch):
    seen, read = {}, DiskSplit.read

    def watched(self, indices, out):
        read(self, indices, out)
        if self.key is not None:
            for i, image in zip(indices, out, strict=True):
                seen.setdefault((self.key.word, int(i)), []).append(image.tobytes())

    monkeypatch.setattr(DiskSplit, "read", watched)
    for threads in (1, 3):
        run(trainer(photos, threads))
    assert len(seen) == 2 * 30  # epochs, images
    assert all(len(images) == 2 == 1 + len(images) - len(set(images)) for images in seen.values())
    by_epoch = {}
    for (_, i), images in seen.items():
        by_epoch.setdefault(i, set()).update(images)
    assert sum(len(images) == 2 for images in by_epoch.values()) > 20  # another crop in the other epoch


def test_every_image_of_an_epoch_is_decoded_once(photos, monkeypatch):
    decoded, image = [], DiskSplit._image
    monkeypatch.setattr(DiskSplit, "_image", lambda self, i: decoded.append(i) or image(self, i))
    t = trainer(photos)
    list(t.steps())
    ended = time.monotonic() + 30
    while len(decoded) < 30 + 8 and time.monotonic() < ended:  # and the first batch of the next epoch ahead of it
        time.sleep(0.01)
    assert sorted(decoded[:30]) == list(range(30))
    assert len(decoded) == 30 + 8
    t.epoch, t.step = 1, 0
    list(t.steps())
    assert sorted(decoded[30:]) == list(range(30))


def test_the_time_for_which_images_were_waited_is_told(photos):
    (line,) = run(trainer(photos), 1)
    assert 0 <= line["waiting_seconds"] <= line["seconds"]


def test_a_test_sees_the_crops_in_the_middle_whatever_the_number_of_threads(photos):
    one, two = trainer(photos, threads=1), trainer(photos, threads=2)
    np.testing.assert_allclose(one.evaluate().on_target, two.evaluate().on_target, rtol=1e-5)
    images = read_images(photos.dataset(VIEW).test)
    for a, b in zip(one.model().split_logits(one.dataset.test), one.model().logits(images), strict=True):
        np.testing.assert_array_equal(a, b)


class OneThread:
    """A backend that takes the chunks one after another, as a GPU's does."""

    comm = ALONE

    def __init__(self, backend):
        self.backend = backend

    def run(self, samples, work, **options):
        for start in range(0, samples, 4):
            work(Context(), start, min(start + 4, samples))


def test_where_one_thread_takes_the_chunks_others_read_ahead_for_it(photos, monkeypatch):
    t, read, images = trainer(photos), [], DiskSplit.read
    expected = t.model().split_logits(t.dataset.test)
    monkeypatch.setattr(
        DiskSplit, "read", lambda split, i, out: read.append(current_thread().name) or images(split, i, out)
    )
    found = compute_logits(t.network, t.dataset.test, t.preprocessing, OneThread(t.backend))
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert all(name.startswith("read") for name in read)


def test_a_file_that_goes_during_a_training_ends_it_with_its_name(photos):
    t = trainer(photos)
    path = photos.listing.root / photos.index.name(int(photos.train[0][3]))
    path.unlink()
    with pytest.raises(
        UserError, match=rf"{path} cannot be read \(No such file or directory\), though it was an image when"
    ):
        list(t.steps())


def test_a_run_goes_on_with_its_own_images_alone(photos, tmp_path):
    recipe, root = find("folder").changed(preprocessing="standard"), photos.listing.root
    data, preprocessing = load_data(recipe, cache=tmp_path / "cache", data=root)
    assert len(preprocessing.mean) == 3
    config = {"training_sha256": data.train.fingerprint, "preprocessing_sha256": preprocessing.sha256}
    load_data(recipe, config, cache=tmp_path / "cache", data=root)
    (root / "train" / "cat" / "3.jpg").unlink()
    with pytest.raises(UserError, match="the run was trained on other images or labels than this copy of pets has"):
        load_data(recipe, config, cache=tmp_path / "cache", data=root)
