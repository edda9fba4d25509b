"""What a run shows on a terminal: tables, and a live view of the epoch."""

import re
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from tests.cldl import tiny
from tests.cldl.reporting.displays import columns, on_terminal, piped, plain_terminal, screen, show_all, text, walk
from tests.cldl.synthetic import digits


def test_a_terminal_shows_the_network_the_progress_and_a_table_of_the_epochs(trainer, clock):
    display = on_terminal()
    show_all(display, trainer)
    shown = text(display)
    for part in (
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


def test_on_a_terminal_the_plan_is_the_labelled_lines(trainer):
    display = plain_terminal(160)
    display.plan(trainer, tiny.opened("runs/one", seed=3))
    lines = [line.rstrip() for line in text(display).splitlines() if line.strip()]
    assert [columns(line)[0] for line in lines] == [*("recipe", "data", "network", "loss", "training", "device", "run")]
    assert lines[-1] == "run       runs/one, seed 3"


def test_on_a_terminal_the_numbers_of_the_layers_are_aligned_to_the_right(trainer):
    display = plain_terminal(160)
    display.layers(trainer.network)
    lines = [line.rstrip() for line in text(display).splitlines() if line.strip()]
    assert lines[0].split() == ["layer", "output", "parameters", "multiply-adds"]
    assert len({len(line) for line in (lines[0], *lines[2:])}) == 1
    assert lines[2].startswith("  block1.0")


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
        "training: loss 0.5000, error 1 12.50%, fused 10.00%; learning rate 0",
        "1,234 images/s, 30 s left of the epoch, 1 min 30 s of the run",
    ]


def test_the_live_view_tells_the_best_epoch_so_far_and_the_last_ones(trainer, clock):
    display = plain_terminal(120)
    for error in (5.0, 3.0, 2.5, 4.0, 3.5):
        display.epoch(tiny.metrics(1)[0] | {"test_error": {"1": 9.0, "fused": error}})
    trainer.epoch = 5
    assert display._picture(trainer, None).renderables[-1].plain == (
        "tested: best 2.50% after epoch 3, last 3.00%, 2.50%, 4.00%, 3.50%"
    )


def test_the_bar_of_the_live_view_grows_with_the_steps(trainer, clock):
    grown = []
    for steps in (0, 5, 5):
        walk(trainer, steps)
        display = plain_terminal()
        bar = display._picture(trainer, None).renderables[1]
        (progress,) = bar.columns[1].cells
        grown.append(progress.percentage_completed)
    assert grown == [0, 50, 100]


def test_the_screen_shows_the_last_frame_until_the_next_is_due(trainer, clock):
    display, seen = plain_terminal(), []
    for _ in range(4):
        walk(trainer)
        display.step(trainer)
        seen.append([line.split()[-1] for line in screen(display) if line.startswith("epoch 1/2 ")])
        clock[0] += 0.15
    assert seen == [["1/10"], ["1/10"], ["3/10"], ["3/10"]]


def test_the_first_frame_is_shown_at_once_on_a_machine_that_has_just_started(trainer, clock):
    clock[0] = 0.0
    display = plain_terminal()
    display.step(trainer)
    assert "step 0/10" in text(display)


def test_the_screen_shows_the_speed_and_what_is_left(trainer, clock):
    display = plain_terminal()
    for _ in range(9):
        clock[0] += 2
        walk(trainer)
        display.step(trainer)
    # 4 and 40 images to go, and 20 to be tested once or twice at three times the speed
    assert screen(display)[3] == "2 images/s, 5 s left of the epoch, 29 s of the run"


def test_rows_stand_above_the_live_view_and_nothing_is_left_of_it_at_the_end(trainer, clock):
    display = plain_terminal(120)
    with display:
        walk(trainer, 10)
        display.step(trainer)
        display.epoch(tiny.metrics(1)[0])
        rows = screen(display)
        assert [line.split()[0] for line in rows if line][-4:] == ["1/0", "epoch", "training:", "testing"]
    assert [line.split()[0] for line in screen(display) if line] == ["test", "epoch", "1/0"]


def test_the_live_view_is_drawn_by_the_steps_and_by_no_thread(trainer, clock):
    threads = threading.active_count()
    with plain_terminal() as display:
        display.step(trainer)
        assert threading.active_count() == threads


def test_heads_and_labels_are_bold_warnings_yellow_and_all_else_plain(trainer):
    display = on_terminal()
    display.say("getting it")
    display.plan(trainer, tiny.opened("runs/one", seed=0))
    display._units = {"conv1_relu": 96}
    display.epoch(tiny.metrics(1)[0] | {"dead_units": {"conv1_relu": 30}})
    style = {re.sub(r"\x1b\[\d*m", "", line).split()[0]: line for line in text(display).splitlines() if line.strip()}
    for label in ("recipe", "data", "network", "loss", "training", "device", "run"):
        assert re.match(rf"\x1b\[1m{label} *\x1b\[0m  \S", style[label])
    assert style["epoch"].startswith("\x1b[1m epoch")
    assert style["warning:"] == "\x1b[33mwarning: dead units: conv1_relu 30 of 96\x1b[0m"
    assert style["getting"] == "getting it"
    assert "\x1b" not in style["1/2"]


@pytest.mark.parametrize("epochs", [2, 20, 200, 1000])
def test_the_table_of_the_epochs_lines_up_whatever_the_number_of_digits(trainer, epochs):
    trainer.schedule = tiny.RECIPE.changed(epochs=epochs).schedule
    display = plain_terminal(120)
    display.plan(trainer, tiny.opened("runs/one", seed=0))
    planned = text(display)
    for epoch in (1, epochs // 2, epochs):
        display.epoch(tiny.metrics(1, 2)[0] | {"epoch": epoch})
    _, _, head, *rows = text(display).removeprefix(planned).splitlines()
    margin = " " * max(0, 2 * len(str(epochs)) + 1 - 6)
    assert head == f"{margin} epoch   loss error 1 error 2  fused    T 1    T 2 images/s   time"
    tail = " 1.0000  50.00%  25.00% 16.67% 0.8000 0.8000    1,234    61s"
    width = len(margin) + 6
    assert rows == [f"{f'{epoch}/{epochs}':>{width}}{tail}" for epoch in (1, epochs // 2, epochs)]


def test_on_a_terminal_the_plan_has_no_blank_lines_between_its_labels(trainer):
    display = plain_terminal(160)
    display.plan(trainer, tiny.opened("runs/one", seed=3))
    assert all(line.strip() for line in text(display).splitlines()[-7:])


def test_on_a_terminal_names_begin_their_column_and_numbers_end_it():
    display = plain_terminal()
    display.statistics([("conv1.weight", 1.5, 0.25, 0), ("b", 100.0, 20.0, 1234)])
    head, first, second = (text(display).splitlines()[i] for i in (1, 3, 4))
    assert head.index("parameter") == first.index("conv1.weight") == second.index("b")
    for heading, number, other in (
        *(("largest |weight|", "1.5", "100"), ("largest |gradient|", "0.25", "20")),
        ("not finite", " 0", "1,234"),
    ):
        ends = {
            head.index(heading) + len(heading),
            first.rindex(number) + len(number),
            second.rindex(other) + len(other),
        }
        assert len(ends) == 1


def test_on_a_narrow_terminal_a_long_name_is_folded_and_not_cut():
    display = plain_terminal(60)
    name = "inception_of_the_fourth_block_with_five_branches.weight"
    display.statistics([(name, 1.5, 0.25, 0)])
    first_column = [line[2:].split(" ")[0] for line in text(display).splitlines()]
    assert name in "".join(first_column)


def test_on_a_narrow_terminal_the_bar_keeps_to_one_line(trainer):
    for width in (40, 20, 16):
        display = plain_terminal(width)
        display.console.print(display._picture(trainer, None).renderables[1])
        assert text(display).startswith("epoch")
        assert text(display).count("\n") == 1


def test_between_the_bar_and_its_words_is_one_blank(trainer):
    display = plain_terminal(40)
    walk(trainer, 10)
    display.console.print(display._picture(trainer, None).renderables[1])
    assert re.fullmatch(r"epoch 1/2 [^\w ]{19} step 10/10\n", text(display))


def test_the_story_is_wrapped_at_words_and_its_command_is_left_whole():
    display = plain_terminal(40)
    command = "python -m cldl.train mnist_nin --seed 1 --epochs 24"
    display.story(["Together they are better than each of them by itself.", "Next:"], command)
    lines = [line.rstrip() for line in text(display).splitlines()]
    assert lines == ["  Together they are better than each of", "  them by itself.", "  Next:", f"    {command}"]


def test_where_it_is_piped_the_story_is_a_sentence_a_line():
    display = piped()
    display.story(["Together they are better than each of them by itself.", "Next:"], "python -m cldl.train")
    assert text(display).splitlines() == [
        "Together they are better than each of them by itself.",
        "Next:",
        "    python -m cldl.train",
    ]
    display.story([])
    assert len(text(display).splitlines()) == 3
