"""What each recipe changes of the one that it is made from, typed a second time, and where its values come from.

The recipes are made anew by their modules, so the functions that make them run here, and not only when they are first imported.
"""

import re
from importlib.util import find_spec, module_from_spec

import pytest

from cldl.recipes import FAMILIES, families
from cldl.recipes.recipe import COMMAND_LINE
from cldl.recipes.spec import KINDS


@pytest.fixture
def recipes():
    """All recipes by name; the kinds of models stay those of the first import."""
    kinds, made = dict(KINDS["model"]), {}
    for family in FAMILIES:
        spec = find_spec(f"{families.__name__}.{family}")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        made |= {recipe.name: recipe for recipe in module.RECIPES}
    KINDS["model"].update(kinds)
    return made


ONE = {"model.classifiers": 1, "loss.weights": (1.0,)}
AUGMENTED = {"data.augment": True}
SGD = {
    "optimiser.momentum": 0.9,
    "optimiser.nesterov": False,
    "schedule.warmup": 0.0,
}
NIN = SGD | {
    "model.initialisation": "published",
    "model.relu_on_logits": True,
    "model.bias_lr_mult": 2.0,
    "schedule.milestones": (200.0, 230.0),
    "schedule.gamma": 0.1,
    "schedule.epochs": 260,
    "schedule.batch_size": 128,
}
DSN = {
    "model.companion_lr_mult": 0.0005,
    "model.companion_gamma": 0.0,
    "model.companion_power": 0.75,
    "loss.weights": (1.0, 1.0, 1.0, 1.0),
}
DSN_PUBLISHED = SGD | {
    "model.initialisation": "published",
    "model.bias_lr_mult": 2.0,
    "model.top_lr_mult": 0.1,
    "model.companion_lr_mult": 0.001,
    "model.companion_gamma": 1e-4,
    "optimiser.weight_decay": 5e-4,
    "schedule.learning_rate": 0.025,
    "schedule.gamma": 0.004,
    "schedule.batch_size": 100,
}
MAXOUT = {
    "model.initialisation": "published",
    "model.input_dropout": 0.2,
    "model.conv_lr_mult": 1.0,
    "optimiser.weight_decay": 0.0,
}
MAXOUT_PUBLISHED = SGD | {"optimiser.momentum": 0.5, "schedule.batch_size": 128}
CLASSIC = {  # SGD as for ImageNet, on crops less the mean colour
    "data.preprocessing": "rgb_mean",
    "data.augment": True,
    "data.mirror": True,
    "data.colour_shift": 0.0,
    "data.partition": 1,
    "model.initialisation": "published",
    "model.bias_lr_mult": 2.0,
    "model.lower_lr_mult": 1.0,
    "model.body_lr_mult": 1.0,
    "schedule.learning_rate": 0.01,
} | SGD
WARPED = {"data.resize": "warp", **dict.fromkeys(("data.min_scale", "data.max_scale", "data.test_scale"), 256)}
IN_STEPS = {"schedule.gamma": 0.1, "schedule.batch_size": 256, "optimiser.weight_decay": 5e-4}


def few(dataset, classes, epochs):
    """What a recipe for few images changes of one for Places205."""
    milestones = {"schedule.milestones": (epochs / 4, epochs / 2, 3 * epochs / 4)}
    own = {"data.dataset": dataset, "data.n_classes": classes, "schedule.epochs": epochs}
    return own | milestones | {"schedule.batch_size": 64}


DEEP = {
    ("mnist_nin", "imagenet_googlenet"): CLASSIC
    | WARPED
    | {
        "data.dataset": "imagenet",
        "data.size": 224,
        "data.n_classes": 1000,
        "model.definition": "googlenet",
        "model.dropout": 0.4,
        "optimiser.weight_decay": 2e-4,
        "schedule.power": 0.5,
        "schedule.epochs": 60,
        "schedule.batch_size": 32,
    },
    ("imagenet_googlenet", "imagenet_googlenet_softmax"): {
        "loss.weights": (0.3, 0.3, 1.0),
        "loss.companion_epochs": None,
    },
    ("imagenet_googlenet_softmax", "places205_googlenet"): {
        "data.dataset": "places205",
        "data.n_classes": 205,
        "schedule.epochs": 125,
        "schedule.batch_size": 128,
    },
    ("mnist_nin", "places205_alexnet"): CLASSIC
    | WARPED
    | IN_STEPS
    | {
        "data.dataset": "places205",
        "data.size": 227,
        "data.n_classes": 205,
        "model.definition": "places_alexnet",
        "model.classifiers": 1,
        "schedule.milestones": (10.45, 20.91, 31.36, 41.82),
        "schedule.epochs": 47,
    },
    ("places205_alexnet", "places205_cnds8"): {
        "model.definition": "cnds8",
        "model.classifiers": 2,
        "loss.weights": (0.4, 1.0),
        "loss.companion_epochs": None,
    },
    ("mnist_nin", "places205_vgg11"): CLASSIC
    | IN_STEPS
    | {
        "data.dataset": "places205",
        "data.size": 224,
        "data.resize": "short",
        "data.min_scale": 256,
        "data.max_scale": 512,
        "data.test_scale": 384,
        "data.n_classes": 205,
        "model.definition": "vgg11",
        "schedule.milestones": (10.0, 20.0, 30.0),
        "schedule.epochs": 39,
    },
    ("places205_vgg11", "places205_vgg11_softmax"): ONE,
    ("places205_vgg11_softmax", "places205_vgg13"): {"model.definition": "vgg13"},
    ("places205_vgg11_softmax", "places205_vgg16"): {"model.definition": "vgg16"},
    ("places205_vgg11", "mit67_vgg11"): few("mit67", 67, 200),
    ("places205_vgg11", "sun397_vgg16"): few("sun397", 397, 100) | {"model.definition": "vgg16"},
    ("mit67_vgg11", "mit67_vgg11_softmax"): ONE,
    ("sun397_vgg16", "sun397_vgg16_softmax"): ONE,
    ("mit67_vgg11", "mit67_dag_cnn"): {"model.definition": "dag_vgg19"},
    ("sun397_vgg16", "sun397_dag_cnn"): {"model.definition": "dag_vgg19"},
}
FEATURES = {
    "data.augment": False,
    "model.dropout": 0.0,
    "model.bias_lr_mult": 1.0,
    "model.body_lr_mult": 0.0,
    "loss.weights": (1.0,),
    "loss.companion_epochs": None,
    "optimiser.nesterov": True,
    "optimiser.weight_decay": 1e-4,
    "schedule.learning_rate": 0.5,
    "schedule.min_lr_ratio": 0.0,
    "schedule.decay_epochs": None,
    "schedule.epochs": 50,
    "schedule.batch_size": 64,
}
BODIES = {  # what a features' recipe is made from, and the layer that gives them
    "alexnet": ("places205_alexnet", "places_alexnet", "fc6_relu"),
    "cnds8": ("places205_cnds8", "cnds8", "fc6_relu"),
    "googlenet": ("places205_googlenet", "googlenet", "head_top.mean"),
    **{f"vgg{depth}": ("places205_vgg11", f"vgg{depth}", "fc6_relu") for depth in (11, 13, 16, 19)},
}
ON_FEATURES = {
    (base, f"{dataset}_{name}_features"): FEATURES
    | {"data.dataset": dataset, "data.n_classes": classes, "model.definition": network, "model.layer": layer}
    for dataset, classes in (("mit67", 67), ("sun397", 397))
    for name, (base, network, layer) in BODIES.items()
}
CHANGES = DEEP | {
    ("mnist_nin", "mnist_nin_softmax"): ONE,
    ("mnist_nin", "mnist_nin_shared"): {
        "model.lower_dropout": 0.5,
        "model.lower_lr_mult": 1.0,
        "loss.unweighted_share": 0.5,
    },
    ("mnist_nin", "mnist_nin_published"): NIN
    | {"model.top_lr_mult": 0.1, "optimiser.weight_decay": 1e-4, "schedule.learning_rate": 0.1},
    ("mnist_nin", "cifar100_nin"): {
        "data.dataset": "cifar100",
        "data.preprocessing": "gcn_zca",
        "model.definition": "cifar",
        "model.lower_head": "mean",
        "model.lower_lr_mult": 1.0,
        "schedule.learning_rate": 0.001,
        "schedule.warmup": 1.0,
        "schedule.epochs": 60,
    },
    ("cifar100_nin", "cifar100_nin_softmax"): ONE,
    ("cifar100_nin", "cifar100_nin_augmented"): AUGMENTED,
    ("cifar100_nin_softmax", "cifar100_nin_augmented_softmax"): AUGMENTED,
    ("cifar100_nin", "cifar100_nin_published"): NIN | {"optimiser.weight_decay": 5e-4, "schedule.learning_rate": 0.02},
    ("cifar100_nin", "folder"): {
        "data.dataset": "folder",
        "data.preprocessing": "rgb_standard",
        "data.augment": True,
        **dict.fromkeys(("data.size", "data.min_scale", "data.max_scale", "data.test_scale", "data.n_classes")),
        "data.resize": "short",
        "data.mirror": True,
        "data.colour_shift": 0.0,
        "data.partition": 1,
        "loss.unweighted_share": 0.5,
        "model.dropout": 0.2,
        "schedule.learning_rate": 0.0007,
        "schedule.warmup": 0.25,
        "schedule.epochs": 30,
        "schedule.batch_size": 32,
    },
    ("mnist_nin", "mnist_dsn"): DSN | {"loss.companion_epochs": 4.0},
    ("cifar100_nin", "cifar100_dsn"): DSN | {"data.preprocessing": "gcn", "loss.companion_epochs": 20.0},
    ("mnist_dsn", "mnist_dsn_published"): DSN_PUBLISHED
    | {"loss.companion_epochs": 83.0, "schedule.milestones": (200.0,), "schedule.epochs": 250},
    ("cifar100_dsn", "cifar100_dsn_published"): DSN_PUBLISHED
    | {"loss.companion_epochs": 100.0, "schedule.milestones": (240.0,), "schedule.epochs": 300},
    ("mnist_nin", "mnist_maxout"): MAXOUT,
    ("cifar100_nin", "cifar100_maxout"): MAXOUT,
    ("mnist_maxout", "mnist_maxout_published"): MAXOUT_PUBLISHED
    | {
        "schedule.learning_rate": 0.05,
        "schedule.gamma": pytest.approx(1.00004**-469),
        "schedule.min_lr_ratio": pytest.approx(0.000001 / 0.05),
        "schedule.momentum_ramp": (0.5, 0.7, 250.0),
        "schedule.epochs": 300,
    },
    ("cifar100_maxout", "cifar100_maxout_published"): MAXOUT_PUBLISHED
    | {
        "model.conv_lr_mult": 0.05,
        "schedule.learning_rate": 0.17,
        "schedule.power": 1.0,
        "schedule.min_lr_ratio": 0.01,
        "schedule.decay_epochs": 500.0,
        "schedule.momentum_ramp": (0.5, 0.6, 250.0),
        "schedule.epochs": 785,
    },
}


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_a_recipe_changes_these_values_and_no_others(recipes, old, new):
    before, after = recipes[old].leaves, recipes[new].leaves
    assert changed(before, after) == CHANGES[old, new]


def changed(before, after):
    """The values that are new or differ."""
    return {name: value for name, value in after.items() if name not in before or value != before[name]}


@pytest.mark.parametrize(("old", "new"), ON_FEATURES)
def test_a_recipe_on_features_differs_in_these_values_alone_from_the_one_whose_images_it_sees(recipes, old, new):
    before, after = recipes[old].leaves, recipes[new].leaves
    assert changed(before, after) == changed(before, ON_FEATURES[old, new])
    assert ON_FEATURES[old, new].items() <= after.items()


def test_every_recipe_but_one_is_made_from_another(recipes):
    assert {new for _, new in [*CHANGES, *ON_FEATURES]} == set(recipes) - {"mnist_nin"}


ORIGINS = (
    r"CLDL poster \(ECCV 2016\)",
    r"Lin et al\., ICLR 2014",
    r"Goodfellow et al\., ICML 2013",
    r"He et al\., ICCV 2015, eq\. 10",
    r"BVLC/caffe, models/bvlc_(alexnet|googlenet|reference_caffenet)(/(solver|quick_solver|train_val)\.prototxt)?",
    r"natanielruiz/net-archive, places205-(alexnet|googlenet)",
    r"lwwang/Places_CNDS_model, train_val\.prototxt",
    r"Wang, Lee, Tu and Lazebnik, arXiv 1505\.02496",
    r"wanglimin/Places205-VGGNet",
    r"Yang and Ramanan, ICCV 2015",
    r"Krizhevsky et al\., NIPS 2012, section 4\.1",
    r"Simonyan and Zisserman, ICLR 2015, section 3\.1",
    r"as the folder has it",
    r"Loshchilov and Hutter, ICLR 2019",
    r"mavenlin/cuda-convnet, NIN(/(mnist|cifar-100)_def)?",
    r"cuda-convnet's default",
    r"s9xie/DSN, (README|(examples/)?best_cifar10_9\.65)",
    r"lisa-lab/pylearn2, scripts/papers/maxout/(mnist|cifar10_no_aug)\.yaml",
    r"inferred(, untried)?",
    r"(chosen|tried) here",
    r"as mnist_nin, where it was chosen by trial",
)


def test_every_value_comes_from_a_publication_or_a_definition_or_was_inferred_or_chosen_here(recipes):
    origin = re.compile(rf"({'|'.join(ORIGINS)})($|[:;,]? .)")
    for recipe in recipes.values():
        assert set(recipe.sources) == {*recipe.leaves, "model", "loss", "optimiser", "schedule"}
        for name, source in recipe.sources.items():
            assert origin.match(source), (recipe.name, name, source)


def test_what_a_published_training_consists_of_comes_from_its_definition(recipes):
    definitions = {
        "mnist_nin_published": "mavenlin/cuda-convnet, NIN",
        "cifar100_nin_published": "mavenlin/cuda-convnet, NIN",
        "mnist_dsn_published": "s9xie/DSN, examples/best_cifar10_9.65",
        "cifar100_dsn_published": "s9xie/DSN, examples/best_cifar10_9.65",
        "mnist_maxout_published": "lisa-lab/pylearn2, scripts/papers/maxout/mnist.yaml",
        "cifar100_maxout_published": "lisa-lab/pylearn2, scripts/papers/maxout/cifar10_no_aug.yaml",
    }
    for name, definition in definitions.items():
        sources = recipes[name].sources
        for leaf in ("optimiser", "optimiser.momentum", "schedule", "schedule.learning_rate", "schedule.warmup"):
            assert sources[leaf].startswith(definition), (name, leaf)
        assert COMMAND_LINE not in sources.values()
