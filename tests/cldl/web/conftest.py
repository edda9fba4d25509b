import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("selenium")

from cldl.web.answer import Answerer
from tests.cldl import tiny
from tests.cldl.web.browser import WIDE, chromium, prefer, resize
from tests.cldl.web.page import Page
from tests.cldl.web.serving import served


@pytest.fixture(scope="package")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        run = tiny.run(tmp_path_factory.mktemp("web") / "run", patch)
        answerer = Answerer(run, run.model(threads=1))
        with served(answerer, answerer.about) as port:
            yield f"http://localhost:{port}/"


@pytest.fixture
def page(browser, address):
    """The page, newly opened."""
    resize(browser, WIDE)
    prefer(browser, "light")
    return Page(browser, address)
