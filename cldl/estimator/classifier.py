"""`CldlClassifier`: `fit(X, y)`, `predict`, `predict_proba` and `score`, as in scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from cldl.estimator.conventions import DataError, Estimator, refuse_unfitted
from cldl.estimator.fitting import held_out, split_of, train_to_best
from cldl.estimator.inputs import Inputs
from cldl.estimator.labels import check_y, find_classes, shown_classes
from cldl.estimator.networks import check_model, draw, make_network
from cldl.estimator.settings import PREPROCESSINGS, STANDARD, find_preprocessing, seed_of
from cldl.inference import deciding_exits, softmax
from cldl.objective import Objective
from cldl.training.trained import TrainedModel
from cldl.training.trainer import WEIGHTS, Trainer
from data.dataset import Dataset, part_of
from data.fetch.download import quiet
from data.transforms.preprocessing import Preprocessing
from engine.codegen.jit import COMPILING, told_of_compilation
from engine.device import choose
from engine.errors import UserError
from engine.optim import AdamW, Cosine
from engine.random import Key
from engine.runtime.cpu import MAX_THREADS
from engine.typing import Array, is_real, is_whole
from layers.network import Network

WATCHED = 100  # training samples that are evaluated instead of validation samples if none are held out


class CldlClassifier(Estimator):
    """Several classifiers on one network, trained by CLDL, that predict jointly.

        classifier = CldlClassifier("nin", epochs=12).fit(images, labels)
        classifier.predict(images), classifier.predict_proba(images), classifier.score(images, labels)

    model               -- None: linear layers on vectors; "nin" or another name of `cldl.models`, for images; or a `Network`, of
                           which a copy is trained, starting from its weights if it has some
    epochs, batch_size  -- the number of epochs, and of samples in a step
    classifiers         -- M, the number of classifiers, from the top downwards; a Network has its own
    exponent            -- g of the loss; None: 1 / (M - 1); 0: deep supervision, every classifier learns every sample
    unweighted_share    -- the share of each loss that the other classifiers do not weigh down (see `cldl.objective`); 0 is the
                           paper's loss, with which classifiers may divide a few easy classes among themselves
    hidden              -- the sizes of the hidden layers, where model is None
    model_options       -- further arguments of a network by name, such as {"width": 0.5}
    preprocessing       -- "standard", by the mean and the deviation of each channel or feature; for images in bytes "scale",
                           "gcn" and "gcn_zca", too, or an object of `data.transforms.preprocessing`
    learning_rate, weight_decay -- AdamW's; the rate rises for half an epoch, then falls as half a cosine
    validation_fraction -- the share of the samples held out to choose the best epoch; 0: the last epoch is kept
    patience            -- training ends after so many epochs without a better one; None: it does not end early
    random_state        -- an integer, a NumPy generator, or None: different random numbers each time
    threads             -- of the CPU; None: one per processor
    device              -- "cpu", "cuda" (bytes only) or "auto"
    verbose             -- whether a line is printed after each epoch, and one before if kernels are compiled

    After `fit`: classes_, model_ (a `TrainedModel`), history_ (an entry per epoch), best_epoch_, n_features_in_ for vectors.

    >>> X = np.array([[0.0], [0.2], [0.9], [1.0]] * 10)
    >>> classifier = CldlClassifier(hidden=(8,), classifiers=1, random_state=0).fit(X, ["low", "low", "high", "high"] * 10)
    >>> classifier.predict([[0.1], [0.95]]).tolist()
    ['low', 'high']
    """

    def __init__(
        self,
        model: str | Network | None = None,
        *,
        epochs: int = 20,
        classifiers: int = 3,
        exponent: float | None = None,
        unweighted_share: float = 0.5,
        hidden: Sequence[int] = (64, 64, 64),
        model_options: dict | None = None,
        preprocessing: str | Preprocessing = "standard",
        batch_size: int = 32,
        learning_rate: float = 0.0015,
        weight_decay: float = 0.05,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        random_state: Any = None,
        threads: int | None = None,
        device: str = "cpu",
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.classifiers = classifiers
        self.exponent = exponent
        self.unweighted_share = unweighted_share
        self.hidden = hidden
        self.model_options = model_options
        self.preprocessing = preprocessing
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.threads = threads
        self.device = device
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> Self:
        """Train on samples X and their labels y (N,), of any type.

        Raises:    UserError, a ValueError where it is X or y that does not fit.
        """
        self._check_parameters()
        inputs, samples = Inputs.find(X, self.model, self.preprocessing != STANDARD)
        classes, labels = find_classes(check_y(y, len(samples)))
        key = Key(seed_of(self.random_state))
        network = make_network(
            self.model,
            inputs.shape,
            len(classes),
            classifiers=self.classifiers,
            hidden=self.hidden,
            options=self.model_options,
        )
        draw(network, key.fold(WEIGHTS))
        trained, held = held_out(labels, self.validation_fraction, key)
        train = split_of(samples[trained], labels[trained])
        test = split_of(samples[held], labels[held]) if len(held) else part_of(train, 0, WATCHED)
        trainer = self._trainer(network, Dataset("X", train, test, tuple(map(str, classes))), key)
        say = print if self.verbose else quiet
        with told_of_compilation(lambda: say(COMPILING)):
            found = train_to_best(trainer, self.patience, validates=len(held) > 0, say=say)
        self._become(trainer.model(), classes, inputs)
        self.history_, self.best_epoch_ = found.history, found.best_epoch
        return self

    def predict(self, X: Any) -> Array:
        """The labels (N,), as all classifiers predict them jointly."""
        logits = self._logits(X)
        return self.classes_[self.model_.objective.predictions(logits)]

    def predict_proba(self, X: Any) -> Array:
        """The probability of each of `classes_`, (N, K), of which the predicted one is the largest; see `Objective`."""
        logits = self._logits(X)
        return self.model_.objective.probabilities(logits)

    def predict_proba_each(self, X: Any) -> list[Array]:
        """The probabilities of `classes_` by each classifier alone, M arrays (N, K), from the bottom one to the top one."""
        return [softmax(z.astype(np.float64)) for z in self._logits(X)]

    def decided_by(self, X: Any) -> Array:
        """The classifier that decides each sample, (N,), from 0, the bottom one, to M - 1: the one most sure of the answer."""
        logits = self._logits(X)
        return deciding_exits(logits, self.model_.objective.predictions(logits))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of the samples that are predicted right, 0 to 1.

        Raises:    DataError where no label is a class of the classifier's.
        """
        predicted = self.predict(X)
        labels = check_y(y, len(predicted))
        if not np.isin(labels, self.classes_).any():
            known = shown_classes(self.classes_)
            raise DataError(
                f"y has labels such as {labels.tolist()[0]!r}, and the classifier knows {known}: give these."
            )
        if sample_weight is not None and (np.shape(sample_weight) != labels.shape or not np.sum(sample_weight) > 0):
            raise DataError(
                f"sample_weight has shape {np.shape(sample_weight)} and the sum {np.sum(sample_weight):g}: give one weight to "
                f"each of the {len(labels)} samples, not all of them 0."
            )
        return float(np.average(predicted == labels, weights=sample_weight))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _logits(self, X: Any) -> list[Array]:
        if not hasattr(self, "model_"):
            refuse_unfitted(self)
        samples = self._inputs.take(X)
        logits = self.model_.split_logits(split_of(samples, np.zeros(len(samples), np.int64)))  # no label is read
        if not all(np.isfinite(z).all() for z in logits):
            raise DataError(
                f"X has numbers as large as {np.abs(samples).max():.3g}, so far from those of the training that the network's "
                "answer is not finite: bring them to that range."
            )
        return logits

    def _become(self, model: TrainedModel, classes: Array, inputs: Inputs) -> None:
        """Take over what was learned."""
        self.model_, self.classes_, self._inputs = model, classes, inputs
        found: dict[str, Any] = {
            "n_features_in_": inputs.shape[0] if len(inputs.shape) == 1 else None,
            "feature_names_in_": None,
        }
        if inputs.names:
            found["feature_names_in_"] = np.array(inputs.names, object)
        for name, value in found.items():
            vars(self).pop(name, None)
            if value is not None:
                setattr(self, name, value)

    def _trainer(self, network: Network, dataset: Dataset, key: Key) -> Trainer:
        objective = Objective(
            (1.0,) * len(network.exits), exponent=self.exponent, unweighted_share=self.unweighted_share
        )
        optimiser = AdamW(network.parameters(), weight_decay=self.weight_decay)
        schedule = Cosine(
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            batch_size=self.batch_size,
            warmup=min(0.5, self.epochs / 2),
        )
        return Trainer(
            network,
            objective,
            optimiser,
            dataset,
            schedule,
            preprocessing=find_preprocessing(self.preprocessing, dataset),
            seed=key.word,
            threads=self.threads,
            device=choose(self.device),
        )

    def _check_parameters(self) -> None:
        """Raise UserError for a parameter that is out of range."""
        check_model(self.model)
        whole = {"epochs": 1, "batch_size": 1}
        for name in (*whole, "patience", "threads"):
            value = getattr(self, name)
            if not (is_whole(value) and value >= 1) and not (value is None and name not in whole):
                raise UserError(
                    f"{name} is {value!r}; give a whole number of 1 or more" + ("." if name in whole else ", or None.")
                )
        if self.threads is not None and self.threads > MAX_THREADS:
            raise UserError(f"threads is {self.threads!r}; give at most {MAX_THREADS:,}, or None.")
        if self.model_options is not None and not isinstance(self.model_options, Mapping):
            raise UserError(
                f'model_options is {self.model_options!r}; give names and values, such as {{"width": 0.5}}.'
            )
        ranges = {"learning_rate": 1000, "weight_decay": 1, "validation_fraction": 0.9, "unweighted_share": 1}
        for name, most in ranges.items():
            value = getattr(self, name)
            if not is_real(value) or not 0 <= value <= most:
                raise UserError(f"{name} is {value!r}; give a number from 0 to {most}.")
        if isinstance(self.preprocessing, str) and self.preprocessing not in PREPROCESSINGS:
            raise UserError(f"preprocessing is {self.preprocessing!r}; choose one of {', '.join(PREPROCESSINGS)}.")
        if self.preprocessing != STANDARD and self.model is None:
            raise UserError(
                f"preprocessing is {self.preprocessing!r}, which is of images: choose 'standard' for vectors."
            )
        if self.model_options and not isinstance(self.model, str):
            raise UserError("model_options are of a network by name, such as 'nin': leave them out.")
        if self.patience is not None and not self.validation_fraction:
            raise UserError("patience needs samples that are held out: give a validation_fraction above 0.")
