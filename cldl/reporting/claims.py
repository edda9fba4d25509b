"""What a run's numbers support, in sentences: which classifiers decide or starve, whether it still improved, whether it overfits.

An error rate p over N images is uncertain by its binomial standard error, sqrt(p (1 - p) / N). Two classifiers on the
same images differ in those that only one of them gets right: with n such images, the difference of the two error rates has the
standard error sqrt(n) / N if neither is better (McNemar, Psychometrika 12, 1947). A difference of less than CLEAR standard errors
is not called one. Each claim is a function of `Facts`, and a sentence or nothing; the thresholds are stated once, here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

from cldl.reporting.poster import classifier_names

CLEAR = 2.0  # standard errors: smaller differences are not reported
SOLE = 95.0  # % of the images: a classifier that decides more decides nearly alone
IDLE = 1.0  # %: a classifier that decides fewer hardly decides
STARVED_LEFT = 0.2  # a classifier starves if the others leave less than this share of its loss,
STARVED_TIMES, STARVED_POINTS = 5.0, 5.0  # and its error exceeds the best one's by this factor and by these points
QUARTER = 4  # the last quarter of the epochs is what "still" means


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The numbers that the claims stand on; errors and shares in %, by the names "1" to "M" and "fused".

    images            -- N, those that were tested
    errors            -- of each classifier by itself, and of the prediction
    apart             -- of each classifier: the images that either it or the prediction gets right, and not both
    left              -- the mean share of each one's loss that the others leave, in 0..1; empty where there is none
    shares            -- the share of the images that each classifier decides; empty where they do not predict jointly
    easiest, hardest  -- the same, of the tenth of the images that is easiest and hardest
    tests, trainings  -- the errors of the prediction after each epoch, on test images and in training
    planned           -- the epochs that the run is to have
    """

    images: int
    errors: Mapping[str, float]
    apart: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, float] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    easiest: Mapping[str, float] = field(default_factory=dict)
    hardest: Mapping[str, float] = field(default_factory=dict)
    tests: Sequence[float] = ()
    trainings: Sequence[float] = ()
    planned: int = 0

    @property
    def alone(self) -> dict[str, float]:
        """The errors of the classifiers by themselves."""
        return {name: error for name, error in self.errors.items() if name != "fused"}

    @property
    def names(self) -> dict[str, str]:
        """What a reader calls each classifier, by "1" to "M"."""
        return dict(zip(self.alone, classifier_names(len(self.alone)), strict=True))

    @property
    def best(self) -> str:
        """The classifier with the smallest error by itself, the top one of equals."""
        return min(reversed(self.alone), key=self.alone.__getitem__)

    @property
    def uncertainty(self) -> float:
        """The standard error of the prediction's error, in points."""
        return standard_error(self.errors["fused"], self.images)

    @property
    def is_stopped(self) -> bool:
        """Whether epochs are missing."""
        return len(self.tests) < self.planned

    @property
    def before(self) -> int:
        """The epoch that the last quarter of the epochs, at least one, follows on."""
        return len(self.tests) - max(1, len(self.tests) // QUARTER)

    @property
    def improves(self) -> bool:
        """Whether the error fell clearly in the last quarter of the epochs."""
        return len(self.tests) > 1 and self._since(self.before - 1) > CLEAR

    @property
    def overfits(self) -> bool:
        """Whether the error rose clearly above that of an earlier epoch, while it fell in training."""
        if len(self.tests) < 2:
            return False
        best = self.best_epoch - 1
        return self._since(best) < -CLEAR and self.trainings[-1] < self.trainings[best]

    @property
    def starved(self) -> list[str]:
        """The classifiers that are poor by themselves, and to which the others leave hardly any of their loss."""
        least = self.alone[self.best]
        return [
            name
            for name, left in self.left.items()
            if left < STARVED_LEFT and self.alone[name] > max(STARVED_TIMES * least, least + STARVED_POINTS)
        ]

    @property
    def best_epoch(self) -> int:
        """The epoch with the smallest test error, the last of equals."""
        return 1 + min(range(len(self.tests)), key=lambda i: (self.tests[i], -i))

    def _since(self, epoch: int) -> float:
        """How far the test error has fallen since this index, in standard errors of a difference of two rates."""
        before, now = self.tests[epoch], self.tests[-1]
        return (before - now) / sqrt(standard_error(before, self.images) ** 2 + standard_error(now, self.images) ** 2)


def standard_error(error: float, images: int) -> float:
    """The standard error, in points, of an error rate in %; at 0% or 100% as if one image were of the other kind.

    >>> f"{standard_error(0.5, 10_000):.2f}", f"{standard_error(50, 10_000):.2f}", f"{standard_error(0, 100):.1f}"
    ('0.07', '0.50', '1.0')
    """
    p = min(max(error / 100, 1 / images), max(1 - 1 / images, 0.5))
    return 100 * sqrt(p * (1 - p) / images)


def stopped(f: Facts) -> str | None:
    """That epochs are missing."""
    if f.is_stopped:
        return f"The run was stopped after {len(f.tests)} of {f.planned} epochs: these are numbers on the way, not its result."
    return None


def together(f: Facts) -> str | None:
    """Whether all classifiers together are better than the best of them."""
    if not f.shares:
        return None
    joint, single, apart = f.errors["fused"], f.alone[f.best], f.apart[f.best]
    pair = f"all classifiers together get {joint:.2f} % wrong, the best by itself, {f.names[f.best]}, {single:.2f} %"
    if apart == 0:
        return f"Neither is ahead: {pair}, and on the same images."
    error = 100 * sqrt(apart) / f.images
    sizes = abs(joint - single) / error
    if sizes < 1:
        return f"Neither is ahead: {pair}. That is less than {error:.2f}, the standard error of the difference."
    sure, better = sizes >= CLEAR, joint < single
    verb, doubt = ("are", "") if sure else ("seem", ", which may be chance")
    return (
        f"Together they {verb} {'better' if better else 'worse'}: {pair}. That is {sizes:.1f} standard errors{doubt}."
    )


def answering(f: Facts) -> str | None:
    """Who answers: one nearly alone, or several, and who hardly does."""
    if not f.shares:
        return None
    most = max(f.shares, key=f.shares.__getitem__)
    if f.shares[most] >= SOLE:
        return f"{_upper(f.names[most])} answers nearly alone: it decides {f.shares[most]:.1f} % of the images."
    (first, share), *others = f.shares.items()
    each = "".join(f", {f.names[name]} {part:.1f} %" for name, part in others)
    idle = [f.names[name] for name, part in f.shares.items() if part < IDLE]
    rest = f"; {_and(idle)} hardly answer{'s' if len(idle) == 1 else ''}" if idle else ""
    return f"Several answer: {f.names[first]} decides {share:.1f} % of the images{each}{rest}."


def starving(f: Facts) -> str | None:
    """Who is poor by itself because the others leave it hardly anything to learn."""
    if not f.starved:
        return None
    errors = _and([f"{f.names[name]}, {f.alone[name]:.2f} % wrong by itself," for name in f.starved])
    left = _and([f"{100 * f.left[name]:.1f} %" for name in f.starved])
    who, of_whom = ("starves", "it") if len(f.starved) == 1 else ("starve", "them")
    return (
        f"{_upper(errors)} {who}: the others leave {of_whom} {left} of the loss, as T is small on every image that one of "
        "them gets right."
    )


def division(f: Facts) -> str | None:
    """Whether the labour is divided by difficulty: the bottom classifier answers easy images rather than hard ones."""
    if not f.easiest or max(f.shares.values()) >= SOLE:
        return None  # one answers
    bottom = next(iter(f.shares))
    if f.shares[bottom] < IDLE:
        return None
    easy, hard = f.easiest[bottom], f.hardest[bottom]
    tenth = max(1, f.images // 10)
    error = sqrt(standard_error(easy, tenth) ** 2 + standard_error(hard, tenth) ** 2)
    numbers = (
        f"the bottom classifier decides {easy:.1f} % of the easiest tenth of the images and {hard:.1f} % of the hardest"
    )
    if abs(easy - hard) < CLEAR * error:
        return f"The labour is not divided by difficulty: {numbers}."
    if easy > hard:
        return f"The labour is divided by difficulty, as in the poster's first figure: {numbers}."
    return f"The labour is divided the other way round than in the poster's first figure: {numbers}."


def fitting(f: Facts) -> str | None:
    """Whether it over-fits, still improved when it ended, or no longer clearly; nothing where no image is wrong."""
    if len(f.tests) < 2 or not f.tests[-1]:
        return None
    now, best = f.tests[-1], f.best_epoch
    if f.overfits:
        return (
            f"It over-fits: the test error rose from {f.tests[best - 1]:.2f} % after epoch {best} to {now:.2f} %, while in "
            f"training it fell from {f.trainings[best - 1]:.2f} to {f.trainings[-1]:.2f} %."
        )
    before, earlier = f.before, f"{f.tests[f.before - 1]:.2f} %"
    if f.improves:
        return f"It still improved at the end: {earlier} wrong after epoch {before}, {now:.2f} % now."
    return f"It no longer improved clearly: {earlier} wrong after epoch {before}, {now:.2f} % now."


CLAIMS: tuple[Callable[[Facts], str | None], ...] = (stopped, together, answering, starving, division, fitting)


def claims(f: Facts) -> list[str]:
    """The sentences that these numbers carry."""
    return [sentence for claim in CLAIMS if (sentence := claim(f))]


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]
