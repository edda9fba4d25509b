"""Training by a recipe: same bits for the same seed, resumed or not, and what each epoch reports."""

import math

import numpy as np
import pytest

from cldl.recipes import find
from cldl.training.metrics import EpochMetrics
from cldl.training.trainer import DivergedError, Trainer
from data.dataset import Dataset, read_images
from engine.errors import UserError
from engine.random import Key
from tests.cldl.synthetic import digits

SMALL = {"epochs": 2, "batch_size": 16, "warmup": 0.0}


def trainer(seed=0, threads=2, **values):
    return Trainer.from_recipe(find("mnist_nin").changed(**(SMALL | values)), digits(), seed=seed, threads=threads)


def weights(t):
    return np.concatenate([p.value.ravel() for p in t.network.parameters()])


def run(t, epochs=2):
    lines = []
    for _ in range(epochs):
        for _ in t.steps():
            pass
        lines.append(t.end_epoch()[0])
    return lines


def timeless(line):
    return {k: v for k, v in line.items() if k not in ("seconds", "images_per_second")}


def test_two_runs_of_one_seed_have_the_same_bits():
    a, b = trainer(), trainer()
    assert list(map(timeless, run(a))) == list(map(timeless, run(b)))
    assert np.array_equal(weights(a), weights(b))


def test_another_seed_gives_another_run():
    a, b = trainer(seed=0), trainer(seed=1)
    assert not np.array_equal(weights(a), weights(b))


def test_training_lowers_the_loss():
    t = trainer(dropout=0.0, schedule="constant", learning_rate=0.001, epochs=20)
    lines = run(t, 20)
    assert lines[-1]["train_loss"] < 0.5 * lines[0]["train_loss"]


def test_every_step_of_a_run_has_a_learning_rate_and_a_key_of_its_own():
    t = trainer(schedule="cosine", warmup=0.5)
    step, seen = t.train_step, []

    def noted(batch, key, learning_rate, objective, next_batch):
        seen.append((key.word, learning_rate))
        return step(batch, key, learning_rate, objective, next_batch)

    t.train_step = noted
    run(t)
    steps = t.steps_per_epoch
    assert [rate for _, rate in seen] == [t.schedule.learning_rate_at(u / steps) for u in range(2 * steps)]
    assert len({key for key, _ in seen}) == len({rate for _, rate in seen}) == 2 * steps


def test_a_step_is_told_the_samples_of_the_next_one_and_the_last_of_an_epoch_of_none():
    t = trainer(epochs=1)
    step, batches, told = t.train_step, [], []

    def noted(batch, key, learning_rate, objective, next_batch):
        batches.append(batch.tolist())
        told.append(next_batch.tolist())
        return step(batch, key, learning_rate, objective, next_batch)

    t.train_step = noted
    run(t, 1)
    assert len(batches) == 3
    assert told == [*batches[1:], []]


def test_training_on_after_the_schedules_end_is_refused():
    t = trainer(epochs=1)
    run(t, 1)
    with pytest.raises(UserError, match=r"the 1 epochs of the schedule are over: train with a longer one\."):
        next(t.steps())


def test_a_trainers_model_predicts_what_its_evaluation_counts():
    t = trainer()
    run(t, 1)
    test = t.dataset.test
    images = read_images(test, range(len(test)))
    assert np.array_equal(t.model().predict(images), t.evaluate().predictions)
    assert t.model().class_names == t.dataset.class_names


@pytest.mark.parametrize("stop", [(0, 1), (0, 3), (1, 0), (1, 2)])
def test_a_run_restored_at_any_step_ends_with_the_bits_of_the_run_that_never_stopped(stop):
    whole = trainer()
    lines = run(whole)

    part = trainer()
    epoch, step = stop
    kept = run(part, epoch)
    steps = part.steps()
    for _ in range(step):
        next(steps)
    arrays, numbers = part.state()
    arrays = {k: v.copy() for k, v in arrays.items()}

    again = trainer()
    again.restore(arrays, numbers)
    kept += run(again, 2 - epoch)
    assert list(map(timeless, kept)) == list(map(timeless, lines))
    assert np.array_equal(weights(again), weights(whole))


def test_dropout_does_not_depend_on_the_chunks():
    a, b, without = trainer(threads=1), trainer(threads=2), trainer(dropout=0.0)
    b.backend.chunk = 3
    for t in (a, b, without):
        next(t.steps())
    first, second, third = (t.backend.gradients.buffer for t in (a, b, without))
    size = np.abs(first).max()
    assert np.abs(first - second).max() < 1e-4 * size
    assert np.abs(first - third).max() > 1e-2 * size


def test_another_key_drops_other_units():
    t = trainer()
    batch, nothing = np.arange(16), np.arange(0)
    losses = [t.train_step(batch, Key(word), 1e-30, t.objective, nothing).losses for word in (1, 1, 2)]
    assert np.array_equal(losses[0], losses[1])
    assert not np.array_equal(losses[0], losses[2])


def test_an_epoch_reports_what_the_network_says_of_the_training_images_while_it_trains():
    t = trainer(dropout=0.0, learning_rate=1e-30, epochs=1)  # the weights stay as they are
    for parameter in t.network.parameters():
        if parameter.name.endswith("linear.weight"):  # which are 0, so that any step would change the answers
            parameter.value[...] = np.linspace(-0.1, 0.1, parameter.value.size).reshape(parameter.shape)
    (line,) = run(t, 1)
    seen = t.model().evaluate(t.dataset.train)
    assert line["train_error"] == pytest.approx(seen.errors)
    assert 0 < line["train_error"]["1"] < 100
    assert line["train_loss"] == pytest.approx(seen.loss)
    assert line["train_companions"] == pytest.approx(seen.companions)


def test_every_sample_is_seen_once_an_epoch():
    t = trainer()
    for _ in t.steps():
        pass
    assert t.metrics.samples == len(t.dataset.train.labels)


def test_a_loss_that_is_not_finite_stops_the_run_before_the_weights_change():
    t = trainer()
    t.network.parameters()[0].value[0, 0, 0, 0] = np.nan
    before = weights(t)
    with pytest.raises(DivergedError, match="epoch 1, step 1"):
        next(t.steps())
    assert np.array_equal(weights(t), before, equal_nan=True)
    name, _, _, bad = t.statistics()[0]
    assert name == "conv1.weight"
    assert bad > 0


def test_the_statistics_count_what_is_not_finite_in_weights_and_in_gradients():
    t = trainer()
    parameter = t.network.parameters()[0]
    parameter.value.flat[0] = np.nan
    t.backend.gradients.views[parameter].flat[:2] = np.inf
    assert [(name, bad) for name, _, _, bad in t.statistics()][:2] == [("conv1.weight", 3), ("conv1.bias", 0)]


def test_a_state_of_another_network_is_refused():
    arrays, numbers = trainer().state()
    other = Trainer.from_recipe(find("mnist_nin_softmax").changed(**SMALL), digits())
    with pytest.raises(UserError, match="another network"):
        other.restore(arrays, numbers)


def test_a_state_of_other_types_or_from_beyond_the_end_of_an_epoch_is_refused():
    arrays, numbers = trainer().state()
    name = next(iter(arrays))
    with pytest.raises(UserError, match="another network"):
        trainer().restore(arrays | {name: arrays[name].astype(np.float64)}, numbers)
    with pytest.raises(UserError, match=r"is after step 100 of an epoch of \d steps: restore the run's own\.$"):
        trainer().restore(arrays, numbers | {"step": 100})


def test_a_trainer_that_has_predicted_before_predicts_with_the_weights_that_are_restored():
    trained, other = trainer(), trainer()
    list(trained.steps())
    before = other.evaluate().loss
    other.restore(*trained.state())
    assert other.evaluate().loss == trained.evaluate().loss != before


def test_a_loss_of_the_test_images_that_is_not_finite_stops_the_run_before_the_epoch_ends():
    t = trainer()
    list(t.steps())
    t.network.parameters()[0].value[0, 0, 0, 0] = np.nan
    with pytest.raises(DivergedError, match="the loss of the test images became nan in epoch 1: lower"):
        t.end_epoch()
    assert t.epoch == 0


def test_images_of_another_size_are_refused():
    d = digits()
    small = Dataset.from_arrays(
        "small", d.train.images[:, :20], d.train.labels, d.test.images[:, :20], d.test.labels, d.class_names
    )
    with pytest.raises(UserError, match="choose another recipe"):
        Trainer.from_recipe(find("mnist_nin"), small)


def test_the_metrics_line_has_what_others_rely_on():
    line = run(trainer(), 1)[0]
    assert line["epoch"] == 1
    assert set(line["test_error"]) == {"1", "2", "3", "fused"}
    assert all(0 <= e <= 100 for e in line["test_error"].values())
    assert math.isclose(sum(line["test_share"].values()), 100)
    assert line["images_per_second"] > 0


def test_the_speed_leaves_out_the_first_step_of_a_process_which_may_compile():
    metrics = EpochMetrics(100, 0.0, np.zeros(2), np.zeros(1), seconds=25.0, first_step=(20, 15.0))
    assert metrics.images_per_second == 8
    metrics.samples, metrics.seconds = 20, 15.0  # no other step
    assert metrics.images_per_second == 20 / 15
    t = trainer()
    next(t.steps())
    assert t.metrics.first_step == (t.metrics.samples, t.metrics.seconds)
    run(t, 1)
    next(t.steps())
    assert t.metrics.first_step == (0, 0.0)


def test_dead_units_are_counted():
    t = trainer()
    bias = next(p for p in t.network.parameters() if p.name == "conv2.bias")
    bias.value[:5] = -1e6
    line, _ = t.end_epoch()
    assert line["dead_units"]["conv2_relu"] >= 5


def test_companions_that_are_left_out_no_longer_learn():
    plain = {"optimiser": "sgd", "learning_rate": 1e-5, "momentum": 0.0, "weight_decay": 0.0}
    recipe = find("mnist_dsn").changed(**SMALL, **plain, companion_epochs=1.0, companion_lr_mult=1.0)
    t = Trainer.from_recipe(recipe, digits(), threads=2)
    moved = []
    for _ in range(2):
        before = {p.name: p.value.copy() for p in t.network.parameters()}
        run(t, 1)
        moved.append({p.name for p in t.network.parameters() if not np.array_equal(p.value, before[p.name])})
    companions = {p.name for p in t.network.parameters() if p.name.startswith("head_conv")}
    assert len(companions) == 6
    assert moved[0] >= companions
    assert moved[1]
    assert not moved[1] & companions


def test_the_momentum_rises_and_no_column_outgrows_its_bound():
    recipe = find("mnist_maxout_published").changed(**SMALL, momentum_ramp=(0.5, 0.7, 1.0), initialisation="he")
    t = Trainer.from_recipe(recipe, digits(), threads=2)
    seen = []
    for _ in t.steps():
        seen.append(t.optimiser.momentum)
        bounded = [p for p in t.network.parameters() if p.max_norm < math.inf]
        norms = [np.linalg.norm(p.value.reshape(-1, p.shape[-1]), axis=0).max() / p.max_norm for p in bounded]
        assert max(norms) <= 1 + 1e-6
    assert max(norms) > 0.99
    assert seen == pytest.approx([0.5, 0.5 + 0.2 / 3, 0.5 + 0.4 / 3])


@pytest.mark.parametrize(
    ("name", "values"), [("mnist_dsn", {"companion_epochs": None}), ("mnist_maxout", {"input_dropout": 0.0})]
)
def test_the_other_methods_learn_too(name, values):
    values = {**SMALL, "epochs": 20, "dropout": 0.0, "schedule": "constant", "learning_rate": 0.001, **values}
    t = Trainer.from_recipe(find(name).changed(**values), digits(), threads=2)
    lines = run(t, 20)
    assert lines[-1]["train_loss"] < 0.5 * lines[0]["train_loss"]
