"""What a run prints where its output is a pipe or a file: plain lines."""

from rich.console import Console

from cldl.reporting.display import Display
from cldl.reporting.explain import Cost
from cldl.training import throughput as pace
from cldl.training.throughput import Throughput
from tests.cldl import tiny
from tests.cldl.reporting.displays import on_terminal, piped, show_all, text, walk
from tests.cldl.synthetic import digits


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


def test_the_result_is_a_table_and_the_posters_a_line_below_it():
    display = piped()
    display.result({"test_error": {"1": 83.2, "2": 5.0, "3": 0.61, "fused": 0.5}})
    assert text(display).splitlines() == [
        "this run               test error in %",
        "classifier 1 (bottom)            83.20",
        "classifier 2                      5.00",
        "classifier 3 (top)                0.61",
        "all together (fused)              0.50",
        "on the poster: CLDL 0.28, DSN 0.39, NIN 0.42, Maxout 0.47",
    ]


def test_one_classifier_has_one_row_and_a_data_set_that_is_not_on_the_poster_has_no_poster():
    display = piped()
    display.result({"test_error": {"1": 0.61, "fused": 0.61}}, {})
    assert text(display).splitlines() == ["this run        test error in %", "the classifier             0.61"]


def test_the_weights_of_a_diverged_run_are_shown_with_what_is_not_finite():
    display = piped()
    display.statistics([("conv1.weight", 1e30, float("nan"), 12)])
    assert text(display).splitlines()[1].split() == ["conv1.weight", "1e+30", "nan", "12"]


def test_deep_supervision_has_no_column_for_the_companions_weight():
    display = piped()
    line = tiny.metrics(1, 2)[0] | {"test_companions": {"1": 1.0, "2": 1.0}}
    display.epoch(line)
    assert " T 1 " not in text(display)
    assert text(display).endswith("fused 16.67%  images/s 1,234  time 61s\n")


def test_the_tables_of_a_diverged_run_and_of_costs_have_their_heads():
    display = piped()
    display.statistics([("conv1.weight", 1.5, 0.25, 0)])
    display.costs([Cost("conv1", "Conv2d", forward=0.1)], [2.5e9], 4)
    lines = text(display).splitlines()
    assert lines[0] == "parameter     largest |weight|  largest |gradient|  not finite"
    assert lines[1] == "conv1.weight               1.5                0.25           0"
    assert lines[-1] == (
        "a training step of 4 images on one thread; FLOPs of the direct convolution; the peak is that of a 1024x1024 matrix "
        "product of NumPy's, 2.5 GFLOP/s"
    )


def test_on_a_busy_machine_the_shares_come_with_a_warning():
    display = piped()
    display.costs([Cost("conv1", "Conv2d", flops=10**9, forward=0.1)], [8e9, 10e9, 10e9], 4)
    assert "warning" not in text(display)
    display.costs([Cost("conv1", "Conv2d", flops=10**9, forward=0.1)], [4e9, 10e9, 12e9], 4)
    assert text(display).splitlines()[-1] == (
        "warning: the machine was busy, the peak varied from 4.0 to 12.0 GFLOP/s; times are rough"
    )
    assert "10.0 GFLOP/s" in text(display).splitlines()[-2]


def test_without_a_joint_prediction_the_result_has_no_row_for_it():
    display = piped()
    display.result({"test_error": {"1": 2.0, "2": 1.0, "fused": 1.0}}, {}, is_ensemble=False)
    assert [line.split("  ")[0] for line in text(display).splitlines()[1:]] == [
        "classifier 1 (bottom)",
        "classifier 2 (top)",
    ]


def test_a_line_can_be_read_as_soon_as_it_is_said(tmp_path):
    with open(tmp_path / "log", "w") as file:
        Display(Console(file=file, force_terminal=False)).say("epoch 1")
        assert (tmp_path / "log").read_text() == "epoch 1\n"


def test_all_dead_units_of_an_epoch_are_told_of_in_one_line():
    display = piped()
    display._units = {"conv1_relu": 96, "conv2_relu": 64}
    display.epoch(tiny.metrics(1)[0] | {"dead_units": {"conv1_relu": 20, "conv2_relu": 10}})
    assert text(display).splitlines()[-1] == "warning: dead units: conv1_relu 20 of 96, conv2_relu 10 of 64"


def test_a_few_dead_units_are_no_alarm():
    display = piped()
    display._units = {"conv1_relu": 96, "conv2_relu": 64}
    display.epoch(tiny.metrics(1)[0] | {"dead_units": {"conv1_relu": 4, "conv2_relu": 4}})
    assert text(display).splitlines()[-1] == "warning: dead units: conv2_relu 4 of 64"


def test_piped_there_is_a_line_a_minute_from_the_estimate_on(trainer, clock):
    trainer.dataset = digits(400, 20)
    display = piped()
    for _ in range(100):
        clock[0] += 2
        walk(trainer)
        display.step(trainer)
    estimate, *lines = text(display).splitlines()
    assert estimate.startswith("estimate ")
    assert len(lines) == 3
    assert [line.split("  ")[1] for line in lines] == ["step 34/100", "step 64/100", "step 94/100"]
    assert all(line.startswith("epoch 1/2  step ") and line.endswith(" left") for line in lines)
    assert all("; learning rate " in line for line in lines)


def test_what_is_compiled_is_said(trainer):
    display = piped()
    display.compiling()
    assert "compiling the kernels of this network" in text(display)


def test_the_layers_are_shown_when_they_are_asked_for(trainer):
    display = piped()
    display.layers(trainer.network)
    head, *rows = text(display).splitlines()
    assert head.split() == ["layer", "output", "parameters", "multiply-adds"]
    assert [row.split()[-1] for row in rows if row.startswith("head2.1 ")] == ["7,840"]
