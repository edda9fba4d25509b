"""What the tests of the display, and those of the page, share."""

import pytest

from cldl.reporting import gallery
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
def plain_environment(monkeypatch):
    """No CI, and a terminal that can move its cursor and show colours."""
    for name in ("CI", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def undrawn(monkeypatch):
    """Pages with pictures of no size: their words are the same, and they are there at once."""
    monkeypatch.setattr("cldl.reporting.page.png", lambda figure: b"")
    monkeypatch.setattr("cldl.reporting.page.svg", lambda figure, name, alt: f'<svg aria-label="{alt}"></svg>')
    monkeypatch.setattr(gallery, "SHOWN", 5)
