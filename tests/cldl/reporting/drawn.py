"""What can be read in a figure."""

from itertools import pairwise

import numpy as np

from cldl.objective import Objective
from cldl.training.evaluation import Evaluation


def words(axes):
    """Title, label of the x axis and of the y axis."""
    return axes.get_title(), axes.get_xlabel(), axes.get_ylabel()


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def bars(axes, side, length):
    """Where each part's bars begin, and how long they are, (M, positions)."""
    return [[[getattr(bar, f"get_{of}")() for bar in part] for part in axes.containers] for of in (side, length)]


def evaluation(K, decided):
    """Two classifiers; image i is of class i % K, and decided by decided[i]."""
    labels = np.arange(len(decided)) % K
    sure, unsure = 9.0 * np.eye(K)[labels], 3.0 * np.eye(K)[labels]
    top = np.array(decided)[:, None] == 1
    return Evaluation.of([np.where(top, unsure, sure), np.where(top, sure, unsure)], labels, Objective((1.0, 1.0)))


def tick_texts(axis):
    """The texts at the marks of an axis that are between its ends, once the figure is drawn."""
    axis.figure.draw_without_rendering()
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return [tick.label1.get_text() for tick in ticks if low <= tick.get_loc() <= high]


def boxes(texts):
    """Where the texts stand in their drawn figure, those that stand in it."""
    return [text.get_window_extent() for text in texts if text.get_text()]


def overlap(boxes):
    """Whether neighbours lie on one another."""
    return any(a.overlaps(b) for a, b in pairwise(boxes))


def legend_is_clear(figure):
    """Whether the legend lies in the figure and on none of its axes, with their titles and labels."""
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    inside = figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
    return inside and not any(box.overlaps(axes.get_tightbbox()) for axes in figure.axes)
