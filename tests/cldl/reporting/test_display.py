import io
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from cldl.recipes.families.nin import MNIST_NIN
from cldl.reporting.display import Display
from cldl.reporting.explain import Cost
from cldl.training import throughput as pace
from cldl.training.throughput import Throughput
from cldl.training.trainer import Trainer
from tests.cldl import tiny
from tests.cldl.synthetic import digits


@pytest.fixture
def trainer(monkeypatch):
    """A trainer of 40 images in steps of 4, which is moved by hand."""
    monkeypatch.setattr("cldl.recipes.recipe.Recipe.build_network", lambda recipe: tiny.network())
    return Trainer.from_recipe(tiny.RECIPE.changed(batch_size=4), digits(40, 20), threads=1)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    time = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: time[0])
    return time


@pytest.fixture(autouse=True)
def no_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)


def piped():
    return Display(Console(file=io.StringIO(), force_terminal=False))


def on_terminal():
    return Display(Console(file=io.StringIO(), force_terminal=True, width=100, height=40, legacy_windows=False))


def text(display):
    return display.console.file.getvalue()


def walk(trainer, steps=1):
    trainer.step += steps
    trainer.metrics.samples += 4 * steps


def show_all(display, trainer):
    with display:
        display.say("getting [it]")
        display.plan(trainer, tiny.opened("runs/[one]", seed=3))
        for _ in range(10):
            walk(trainer)
            display.step(trainer)
        for line in tiny.metrics(2):
            display.epoch(line)
        display.statistics([("conv1.weight", 1.5, float("nan"), 7)])
        display.result(tiny.metrics(2)[-1])


def test_piped_there_are_plain_unbroken_lines_whatever_the_environment_says(trainer, monkeypatch, capsys):
    for name, value in (("FORCE_COLOR", "1"), ("TTY_COMPATIBLE", "1"), ("COLUMNS", "20"), ("CLICOLOR_FORCE", "1")):
        monkeypatch.setenv(name, value)
    show_all(Display(), trainer)
    out = capsys.readouterr().out
    assert out.isascii()
    assert not {"\x1b", "\r"} & set(out)
    lines = out.splitlines()
    assert lines[0] == "getting [it]"
    assert "run       runs/[one], seed 3" in lines
    assert (
        "data      squares, 40 images to train on and 20 to test on, 28 x 28 x 1, 10 classes; preprocessing scale"
        in lines
    )
    assert "network   2 classifiers, 15,700 parameters, 15,680 multiply-adds an image" in lines
    assert "loss      CLDL, M = 2, lambda = 1, 1, g = 1" in lines


def test_piped_an_epoch_is_one_line_that_says_what_each_number_is(trainer):
    display = piped()
    display.plan(trainer, tiny.opened("runs/one", seed=0))
    planned = text(display)
    display.epoch(tiny.metrics(1)[0])
    assert text(display).removeprefix(planned) == (
        "epoch 1/2  loss 1.0000  error 1 50.00%  error 2 25.00%  error 3 16.67%  fused 12.50%  "
        "T 1 0.8000  T 2 0.8000  T 3 0.8000  images/s 1,234  time 61s\n"
    )


def test_a_terminal_of_a_ci_gets_plain_lines_too(trainer, monkeypatch):
    monkeypatch.setenv("CI", "true")
    display = on_terminal()
    show_all(display, trainer)
    assert "\x1b" not in text(display)


def test_a_terminal_shows_the_network_the_progress_and_a_table_of_the_epochs(trainer, clock):
    display = on_terminal()
    show_all(display, trainer)
    shown = text(display)
    for part in (
        "head2.1              Linear",
        "7,850",
        "step 10/10",
        "testing on 20 images",
        "runs/[one], seed 3",
        "CLDL",
        "0.28",
    ):
        assert part in shown
    assert shown.count("images/s") == 1  # the table's head


def test_a_terminal_gets_its_cursor_back_when_the_run_breaks_off(trainer):
    display = on_terminal()

    def break_off():
        with display:
            walk(trainer)
            display.step(trainer)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    shown = text(display)
    assert shown.count("\x1b[?25l") == 1
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_the_terminal_is_drawn_five_times_a_second_at_most(trainer, clock, monkeypatch):
    display, drawn = on_terminal(), []
    monkeypatch.setattr(display._live, "update", lambda picture, refresh: drawn.append(clock[0]))
    trainer.dataset = digits(4004, 20)
    for _ in range(1000):
        clock[0] += 0.01
        walk(trainer)
        display.step(trainer)
    assert 45 <= len(drawn) <= 50
    assert min(np.diff(drawn)) >= 0.2


def test_the_estimate_comes_once_after_the_first_steps_without_the_time_they_took_to_compile(trainer, clock):
    display = piped()
    for seconds in (60, 2, 2, 2, 2, 2):
        clock[0] += seconds
        walk(trainer)
        display.step(trainer)
    # 2 images a second: 24 and 40 images to go, and 20 to be tested twice at three times the speed
    assert text(display) == "estimate 39 s to the end of the run, 2 images/s\n"


def test_what_is_left_counts_the_tests_as_they_were_measured(trainer, clock):
    measured = Throughput()
    for _ in range(10):
        clock[0] += 1
        walk(trainer)
        measured.step(trainer)
    clock[0] += 7
    measured.epoch()
    trainer.epoch, trainer.step, trainer.metrics.samples = 1, 0, 0
    for _ in range(5):
        clock[0] += 1
        walk(trainer)
        measured.step(trainer)
    assert measured.left(trainer) == (5 + 7, 5 + 7)


def test_nothing_is_estimated_before_the_first_steps(trainer, clock):
    young = Throughput()
    for _ in range(pace.FIRST):
        clock[0] += 1
        walk(trainer)
        young.step(trainer)
        assert young.left(trainer) is None


def test_dead_units_are_told_of_with_the_size_of_their_layer_and_again_only_when_they_change(trainer, monkeypatch):
    shapes = {"conv3_relu": (7, 7, 128), "cccp5_relu": (7, 7, 96)}
    monkeypatch.setattr(trainer.network, "node_shapes", lambda: shapes)
    monkeypatch.setattr("cldl.reporting.display.summary", lambda *_: {})
    display = piped()
    display.plan(trainer, tiny.opened("runs/one", seed=0))
    line = tiny.metrics(1)[0]
    for dead in (0, 34, 34, 35, 0):
        display.epoch(line | {"dead_units": {"conv3_relu": dead, "cccp5_relu": 0}})
    told = [line for line in text(display).splitlines() if line.startswith("warning")]
    assert told == ["warning: dead units: conv3_relu 34 of 128", "warning: dead units: conv3_relu 35 of 128"]


def test_the_result_stands_beside_the_posters():
    display = piped()
    display.result({"test_error": {"1": 83.2, "2": 5.0, "3": 0.61, "fused": 0.5}})
    assert text(display).splitlines() == [
        "this run               test error in %  the poster  test error in %",
        "classifier 1 (bottom)            83.20  CLDL                   0.28",
        "classifier 2                      5.00  DSN                    0.39",
        "classifier 3 (top)                0.61  NIN                    0.42",
        "all together (fused)              0.50  Maxout                 0.47",
    ]


def test_one_classifier_has_one_row_and_a_data_set_that_is_not_on_the_poster_has_no_poster():
    display = piped()
    display.result({"test_error": {"1": 0.61, "fused": 0.61}}, {})
    assert text(display).splitlines() == ["this run        test error in %", "the classifier             0.61"]


def test_the_weights_of_a_diverged_run_are_shown_with_what_is_not_finite():
    display = piped()
    display.statistics([("conv1.weight", 1e30, float("nan"), 12)])
    assert text(display).splitlines()[1].split() == ["conv1.weight", "1e+30", "nan", "12"]


def test_the_plan_names_what_is_not_the_default(trainer):
    changed = MNIST_NIN.changed(classifiers=1, weights=(1.0,), warmup=0.5, weight_decay=0.01, epochs=1, batch_size=1)
    trainer.schedule = changed.schedule
    display = piped()
    display.plan(trainer, tiny.opened("runs/one", changed, seed=0))
    assert "loss      softmax cross-entropy (M = 1)\n" in text(display)
    assert "warm-up of 0.5 epochs, weight decay 0.01; 1 epoch of 40 steps of 1 image\n" in text(display)


def plain_terminal(width=100):
    """A terminal without colours, so that what it shows can be read."""
    file = io.StringIO()
    return Display(Console(file=file, force_terminal=True, color_system=None, width=width, legacy_windows=False))


def columns(line):
    """The cells of a line, which two blanks or more separate."""
    return [cell for cell in line.strip().split("  ") if cell]


def test_on_a_terminal_the_plan_is_a_table_of_layers_and_the_labelled_lines(trainer):
    display = plain_terminal(160)
    display.plan(trainer, tiny.opened("runs/one", seed=3))
    lines = [line.rstrip() for line in text(display).splitlines() if line.strip()]
    assert lines[0].split() == ["layer", "output", "parameters", "multiply-adds"]
    ends = {len(line) for line in (lines[0], *lines[2:6])}
    assert len(ends) == 1  # numbers are aligned to the right
    assert lines[2].startswith("  block1.0")
    assert [columns(line)[0] for line in lines[-7:]] == [
        *("recipe", "data", "network", "loss", "training", "device", "run")
    ]
    assert lines[-1] == "run       runs/one, seed 3"


def test_on_a_terminal_the_epochs_are_a_table_with_one_head(trainer):
    display = plain_terminal(120)
    for line in tiny.metrics(2):
        display.epoch(line)
    title, head, first, second = text(display).strip().splitlines()
    assert title == "test errors; T: the mean weight that the companions put on each classifier's loss"
    assert len(head) == len(first) == len(second)
    assert first.split() == [
        *("1/0", "1.0000", "50.00%", "25.00%", "16.67%", "12.50%"),
        *("0.8000", "0.8000", "0.8000", "1,234", "61s"),
    ]
    for heading, number in (("loss", "1.0000"), ("fused", "12.50%"), ("images/s", "1,234"), ("time", "61s")):
        assert head.index(heading) + len(heading) == first.index(number) + len(number)


def test_a_long_line_on_a_terminal_is_left_to_it_so_that_a_path_can_be_copied():
    display = plain_terminal(20)
    display.say("/a/folder/with/a/long/name/and another one")
    assert text(display) == "/a/folder/with/a/long/name/and another one\n"


def test_the_live_view_tells_the_epoch_the_step_the_error_and_what_is_left(trainer, clock, monkeypatch):
    monkeypatch.setattr(
        type(trainer.metrics), "means", lambda metrics: {"train_loss": 0.5, "train_error": {"1": 12.5, "fused": 10.0}}
    )
    display = plain_terminal()
    display._throughput = SimpleNamespace(images_per_second=1234.0)
    picture = display._picture(trainer, (30.0, 90.0))
    display.console.print(picture)
    blank, bar, *lines = text(display).splitlines()
    assert blank == ""
    assert bar.startswith("epoch 1/2 ")
    assert bar.rstrip().endswith(" step 0/10")
    assert [line.rstrip() for line in lines] == [
        "training: loss 0.5000, error 1 12.50%, fused 10.00%",
        "1,234 images/s, 30 s left of the epoch, 1 min 30 s of the run",
    ]


def test_the_bar_of_the_live_view_grows_with_the_steps(trainer, clock):
    grown = []
    for steps in (0, 5, 5):
        walk(trainer, steps)
        display = plain_terminal()
        bar = display._picture(trainer, None).renderables[1]
        (progress,) = bar.columns[1].cells
        grown.append(progress.percentage_completed)
    assert grown == [0, 50, 100]


def test_deep_supervision_has_no_column_for_the_companions_weight():
    display = piped()
    line = tiny.metrics(1, 2)[0] | {"test_companions": {"1": 1.0, "2": 1.0}}
    display.epoch(line)
    assert " T 1 " not in text(display)
    assert text(display).endswith("fused 16.67%  images/s 1,234  time 61s\n")


def test_the_tables_of_a_diverged_run_and_of_costs_have_their_heads():
    display = piped()
    display.statistics([("conv1.weight", 1.5, 0.25, 0)])
    display.costs([Cost("conv1", "Conv2d", forward=0.1)], 2.5e9, 4)
    lines = text(display).splitlines()
    assert lines[0] == "parameter     largest |weight|  largest |gradient|  not finite"
    assert lines[1] == "conv1.weight               1.5                0.25           0"
    assert lines[-1] == (
        "a training step of 4 images on one thread; FLOPs of the direct convolution; the peak is that of a 1024x1024 matrix "
        "product of NumPy's, 2.5 GFLOP/s"
    )


def test_without_a_joint_prediction_the_result_has_no_row_for_it():
    display = piped()
    display.result({"test_error": {"1": 2.0, "2": 1.0, "fused": 1.0}}, {}, is_ensemble=False)
    assert [line.split("  ")[0] for line in text(display).splitlines()[1:]] == [
        "classifier 1 (bottom)",
        "classifier 2 (top)",
    ]
