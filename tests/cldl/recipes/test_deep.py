"""The recipes of the deep networks: what they build, and the published solvers, typed a second time in steps.

Sources: BVLC/caffe, models/bvlc_googlenet/quick_solver.prototxt and models/bvlc_alexnet/solver.prototxt; Simonyan and Zisserman,
ICLR 2015, section 3.1.
"""

import pytest

from cldl.recipes import find
from cldl.reporting import poster
from layers.dropout import Dropout

IMAGES = {"imagenet": 1_281_167, "places205": 2_448_873}


def at_step(recipe, step):
    """The learning rate after so many steps."""
    return recipe.schedule.learning_rate_at(step * recipe.schedule.batch_size / IMAGES[recipe.data.dataset])


def test_googlenet_learns_as_its_quick_solver_says():
    """base_lr 0.01, poly with power 0.5 over 2,400,000 steps."""
    for name, steps in (("imagenet_googlenet", 2_400_000), ("places205_googlenet", 2_400_000)):
        recipe = find(name)
        for part in (0, 0.25, 0.5, 0.9):
            assert at_step(recipe, part * steps) == pytest.approx(0.01 * (1 - part) ** 0.5, rel=0.02)


def test_alexnet_learns_as_its_solver_says():
    """base_lr 0.01, divided by 10 every 100,000 steps, 450,000 in all."""
    recipe = find("places205_alexnet")
    for step, rate in ((99_000, 1e-2), (101_000, 1e-3), (201_000, 1e-4), (301_000, 1e-5), (449_000, 1e-6)):
        assert at_step(recipe, step) == pytest.approx(rate), step
    assert recipe.schedule.epochs == round(450_000 * 256 / IMAGES["places205"])


def test_vgg_learns_for_370_000_steps_and_at_a_tenth_of_the_rate_three_times():
    recipe = find("places205_vgg11")
    assert recipe.schedule.epochs == round(370_000 * 256 / IMAGES["places205"])
    rates = [recipe.schedule.learning_rate_at(epoch) for epoch in (0, 15, 25, 38)]
    assert rates == pytest.approx([1e-2, 1e-3, 1e-4, 1e-5])


@pytest.mark.parametrize(
    ("name", "classifiers", "classes", "definition"),
    [
        ("imagenet_googlenet", 3, 1000, "googlenet"),
        ("imagenet_googlenet_softmax", 3, 1000, "googlenet"),
        ("mit67_vgg11", 3, 67, "vgg11"),
        ("sun397_vgg16", 3, 397, "vgg16"),
        ("places205_vgg11", 3, 205, "vgg11"),
        ("places205_vgg16", 1, 205, "vgg16"),
        ("places205_cnds8", 2, 205, "cnds8"),
        ("mit67_dag_cnn", 1, 67, "dag_vgg19"),
    ],
)
def test_a_recipe_builds_the_network_that_it_names(name, classifiers, classes, definition):
    recipe = find(name)
    network = recipe.build_network()
    assert (len(network.exits), network.classes) == (classifiers, classes)
    assert recipe.model.definition == definition
    assert network.input_shape == (recipe.data.size, recipe.data.size, 3)
    biases = [p for p in network.parameters() if p.name.endswith("bias")]
    assert all((p.lr_mult, p.decay_mult) == (2, 0) for p in biases)


def test_what_the_specs_say_reaches_the_network():
    changes = {"width": 0.5, "dropout": 0.25, "lower_lr_mult": 0.1, "classifiers": 2}
    network = find("places205_vgg11").changed(**changes).build_network()
    assert network.parameters()[0].shape == (3, 3, 3, 32)
    assert {node.layer.rate for node in network.nodes if isinstance(node.layer, Dropout)} == {0.25, 0.7}
    rates = {p.name: p.lr_mult for p in network.parameters()}
    assert rates["head_pool4.fc.weight"] == 0.1
    assert rates["head_pool4.fc.bias"] == 0.2
    dag = find("mit67_dag_cnn").changed(width=0.5, dropout=0.25, initialisation="he").build_network()
    assert dag.parameters()[0].shape == (3, 3, 3, 32)
    assert {node.layer.rate for node in dag.nodes if isinstance(node.layer, Dropout)} == {0.25}


def test_a_network_alone_has_the_name_under_which_it_was_published():
    methods = {name: find(name).model.method for name in ("places205_alexnet", "places205_vgg16", "mit67_dag_cnn")}
    assert methods == {"places205_alexnet": "Places-AlexNet", "places205_vgg16": "VGG16", "mit67_dag_cnn": "DAG-CNN"}
    assert find("places205_vgg11").model.method is None


def test_a_report_calls_a_network_as_it_was_published_unless_its_loss_is_cldl():
    names = ("imagenet_googlenet", "imagenet_googlenet_softmax", "places205_cnds8", "places205_vgg11", "mit67_dag_cnn")
    methods = [poster.method(find(name)) for name in names]
    assert methods == ["CLDL", "GoogLeNet", "Places-CNDS8", "CLDL", "DAG-CNN"]
    assert poster.method(find("places205_vgg11").changed(loss="softmax")) == "deep supervision, 3 classifiers"


def test_weights_that_a_loss_is_given_with_stay_and_others_are_as_many_as_classifiers():
    cnds = find("places205_cnds8")
    assert cnds.loss.weights == (0.4, 1.0)
    several = find("places205_alexnet").changed(loss="softmax", classifiers=3)
    assert several.loss.weights == (1.0, 1.0, 1.0)
    assert find("places205_vgg11").changed(classifiers=5).loss.weights == (1.0,) * 5
