"""What the report says of a run's numbers, case by case; and what it does not say, because the numbers do not carry it."""

import pytest

from cldl.reporting.claims import (
    Facts,
    answering,
    claims,
    division,
    fitting,
    standard_error,
    starving,
    stopped,
    together,
)

THIRDS = {"1": 30.0, "2": 30.0, "3": 40.0}


def facts(fused=1.0, alone=(5.0, 3.0, 2.0), images=10_000, **others):
    errors = {str(m): error for m, error in enumerate(alone, 1)} | {"fused": fused}
    return Facts(images=images, errors=errors, **{"shares": THIRDS, **others})


def test_the_standard_error_is_that_of_a_share_of_independent_images():
    assert standard_error(10, 900) == pytest.approx(1.0)
    assert standard_error(90, 900) == pytest.approx(1.0)


@pytest.mark.parametrize("error", [0, 100])
def test_no_error_at_all_is_not_certain(error):
    assert standard_error(error, 100) == pytest.approx(standard_error(1, 100))
    assert standard_error(1, 100) > 0.9


@pytest.mark.parametrize(  # 81 images are 9 points of 900, and the standard error of the difference is 1
    ("fused", "best", "sentence"),
    [
        (10.0, 10.9, "Neither is ahead:"),
        (10.0, 9.1, "Neither is ahead:"),
        (10.0, 11.1, "Together they seem better:"),
        (10.0, 8.1, "Together they seem worse:"),
        (10.0, 12.1, "Together they are better:"),
        (10.0, 7.9, "Together they are worse:"),
    ],
)
def test_all_together_against_the_best_single_one_by_standard_errors_of_the_difference(fused, best, sentence):
    said = together(facts(fused, (best + 5, best), 900, shares={"1": 50.0, "2": 50.0}, apart={"1": 7, "2": 81}))
    assert said.startswith(sentence)
    assert f"{fused:.2f} % wrong" in said
    assert f"classifier 2 (top), {best:.2f} %" in said
    assert ("may be chance" in said) == ("seem" in said)


def test_of_one_mind_neither_is_ahead():
    said = together(facts(2.0, (5.0, 2.0), 900, shares={"1": 50.0, "2": 50.0}, apart={"1": 27, "2": 0}))
    assert said.endswith("classifier 2 (top), 2.00 %, and on the same images.")


def test_one_that_decides_nearly_all_answers_nearly_alone():
    assert answering(facts(shares={"1": 1.0, "2": 3.0, "3": 96.0})) == (
        "Classifier 3 (top) answers nearly alone: it decides 96.0 % of the images."
    )


def test_where_several_answer_each_is_told_and_who_hardly_does():
    assert answering(facts(shares={"1": 0.4, "2": 40.0, "3": 59.6})) == (
        "Several answer: classifier 1 (bottom) decides 0.4 % of the images, classifier 2 40.0 %, classifier 3 (top) 59.6 %; "
        "classifier 1 (bottom) hardly answers."
    )
    assert "hardly" not in answering(facts())


def test_who_is_poor_and_is_left_hardly_any_loss_starves():
    f = facts(alone=(70.0, 15.0, 0.6), left={"1": 0.04, "2": 0.05, "3": 0.5})
    assert f.starved == ["1", "2"]
    assert starving(f) == (
        "Classifier 1 (bottom), 70.00 % wrong by itself, and classifier 2, 15.00 % wrong by itself, starve: the others leave "
        "them 4.0 % and 5.0 % of the loss, as T is small on every image that one of them gets right."
    )
    assert "starves: the others leave it 4.0 %" in starving(facts(alone=(70.0, 1.0), left={"1": 0.04, "2": 0.5}))


@pytest.mark.parametrize(
    ("alone", "left"),
    [
        ((70.0, 1.0), 0.9),  # poor, but its loss is left to it: it has few layers, or learns slowly
        ((4.0, 0.5), 0.01),  # eight times the best one's error, but good by itself
        ((60.0, 50.0), 0.01),  # all are poor
    ],
)
def test_who_is_good_or_left_its_loss_does_not_starve(alone, left):
    assert starving(facts(alone=alone, left={"1": left, "2": 0.9})) is None


@pytest.mark.parametrize(
    ("easy", "hard", "sentence"),
    [
        (60.0, 20.0, "The labour is divided by difficulty, as in the poster's first figure: the bottom"),
        (20.0, 60.0, "The labour is divided the other way round than in the poster's first figure:"),
        (42.0, 40.0, "The labour is not divided by difficulty:"),
    ],
)
def test_the_bottom_classifiers_part_of_easy_and_hard_images_tells_how_the_labour_is_divided(easy, hard, sentence):
    said = division(facts(easiest={"1": easy, "2": 100 - easy}, hardest={"1": hard, "2": 100 - hard}))
    assert said.startswith(sentence)
    assert f"decides {easy:.1f} % of the easiest tenth of the images and {hard:.1f} % of the hardest" in said


@pytest.mark.parametrize("shares", [{"1": 4.0, "2": 96.0}, {"1": 0.5, "2": 70.0, "3": 29.5}])
def test_where_one_answers_nearly_alone_or_the_bottom_one_hardly_no_labour_is_divided(shares):
    ends = {"easiest": {"1": 9.0, "2": 91.0}, "hardest": {"1": 0.0, "2": 100.0}}
    assert division(facts(shares=shares, **ends)) is None


def test_an_error_that_fell_clearly_in_the_last_quarter_still_improved():
    f = facts(tests=[50, 40, 30, 25, 20, 15, 12, 9.0], trainings=[50.0] * 8)
    assert f.improves
    assert fitting(f) == "It still improved at the end: 15.00 % wrong after epoch 6, 9.00 % now."


def test_an_error_that_moves_by_chance_no_longer_improves_clearly():
    f = facts(tests=[5, 2, 0.52, 0.45], trainings=[5.0, 2.0, 1.0, 0.5])
    assert (f.improves, f.overfits) == (False, False)
    assert fitting(f) == "It no longer improved clearly: 0.52 % wrong after epoch 3, 0.45 % now."
    assert fitting(facts(tests=[5, 2, 0.0, 0.0], trainings=[5.0, 2.0, 1.0, 0.5])) is None


def test_an_error_that_rose_while_that_in_training_fell_is_over_fitting():
    f = facts(tests=[30, 20, 25.0], trainings=[30.0, 15.0, 5.0])
    assert (f.overfits, f.best_epoch) == (True, 2)
    assert fitting(f) == (
        "It over-fits: the test error rose from 20.00 % after epoch 2 to 25.00 %, while in training it fell from 15.00 to 5.00 %."
    )


@pytest.mark.parametrize(
    ("tests", "trainings"),
    [([30, 20, 25.0], [30.0, 5.0, 15.0]), ([30, 20, 20.5], [30.0, 15.0, 5.0])],
    ids=["worse in training, too", "by chance"],
)
def test_otherwise_a_rise_is_no_over_fitting(tests, trainings):
    assert not facts(tests=tests, trainings=trainings).overfits


def test_after_one_epoch_nothing_is_said_of_its_course():
    f = facts(tests=[30.0], trainings=[40.0])
    assert (fitting(f), f.improves, f.overfits) == (None, False, False)


def test_a_run_that_lacks_epochs_was_stopped():
    assert stopped(facts(tests=[5.0, 4.0], trainings=[5.0, 4.0], planned=12)) == (
        "The run was stopped after 2 of 12 epochs: these are numbers on the way, not its result."
    )
    assert stopped(facts(tests=[5.0, 4.0], trainings=[5.0, 4.0], planned=2)) is None


def test_of_one_classifier_only_its_course_is_told():
    f = Facts(images=1000, errors={"1": 5.0, "fused": 5.0}, tests=[9.0, 5.0], trainings=[9.0, 5.0], planned=2)
    assert claims(f) == ["It still improved at the end: 9.00 % wrong after epoch 1, 5.00 % now."]
