"""CLDL by scikit-learn's conventions: scikit-learn's digits, or drawn ones where it is not installed.

python examples/05_digits_by_scikit_learn.py
"""

import numpy as np

from cldl import CldlClassifier


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 8, 8), from 0 to 16, and what they show."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        return drawn(1000)
    return load_digits().images, load_digits().target


def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Seven-segment digits in noise, each a pixel or so from the middle."""
    rng, labels = np.random.default_rng(0), np.arange(count) % 10
    images = rng.uniform(0, 8, (count, 8, 8))
    # by their bits: top, upper left, upper right, middle, lower left, lower right, bottom
    lit = [0b1110111, 0b0010010, 0b1011101, 0b1011011, 0b0111010, 0b1101011, 0b1101111, 0b1010010, 0b1111111, 0b1111011]
    strokes = [np.s_[0, 0:4], np.s_[0:4, 0], np.s_[0:4, 3], np.s_[3, 0:4], np.s_[3:7, 0], np.s_[3:7, 3], np.s_[6, 0:4]]
    for image, label in zip(images, labels, strict=True):
        row, column = rng.integers(0, [2, 5])
        for bit, stroke in enumerate(strokes):
            if lit[label] >> (6 - bit) & 1:
                image[row : row + 7, column : column + 4][stroke] = 16
    return images, labels


def main(epochs: int = 15) -> float:
    """Train on three images in four, and return the share of the others that is recognised."""
    X, y = digits()
    order = np.random.default_rng(1).permutation(len(X))
    train, test = order[len(X) // 4 :], order[: len(X) // 4]
    classifier = CldlClassifier("nin", epochs=epochs, random_state=0, verbose=True).fit(X[train], y[train])
    score = classifier.score(X[test], y[test])
    print(f"best epoch {classifier.best_epoch_}; {score:.1%} of {len(test)} other images are recognised")
    print(f"the first: {classifier.predict(X[test[:1]])[0]}, P = {classifier.predict_proba(X[test[:1]]).max():.2f}")
    return score


if __name__ == "__main__":
    main()
