"""The page as a person uses it, for tests."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.actions import interaction
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.cldl import tiny
from tests.cldl.web.browser import SECONDS, requested

BLANK = "Nothing has been drawn yet."
BAR = [(0, -90), (0, 0), (0, 90)]  # from the middle of the paper


class Page:
    """What a person does on the page, and sees of it."""

    def __init__(self, browser, address, blank=BLANK):
        self.browser = browser
        requested(browser)
        browser.get(address)
        self.expect(lambda: self.told == blank)

    def find(self, name):
        return self.browser.find_element(By.ID, name)

    @property
    def told(self):
        return self.find("told").text

    @property
    def given(self):
        """What the network was given, (H, W, C) or (H, W)."""
        data = self.find("given").get_dom_attribute("src").partition(",")[2]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))

    @property
    def drawn(self):
        """Where there is ink on the paper, (280, 280)."""
        context = "document.getElementById('paper').getContext('2d')"
        script = f"return [...{context}.getImageData(0, 0, 280, 280).data].filter((_, i) => i % 4 === 3)"
        return np.array(self.run(script)).reshape(280, 280) > 0

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def expect(self, is_so):
        """Wait until something is so."""
        WebDriverWait(self.browser, SECONDS, poll_frequency=0.1).until(lambda _: is_so())

    def expect_bar(self):
        """Wait until the network was given an upright bar."""
        self.expect(lambda: "decided by" in self.told)
        rows, columns = np.nonzero(self.given > 127)
        assert np.ptp(rows) == 19  # in a box of 20 pixels, in the middle
        assert rows.mean() == pytest.approx(13.5, abs=1)
        assert np.ptp(columns) < 4
        assert 12 <= columns.mean() <= 15

    def draw(self, points, kind=interaction.POINTER_MOUSE):
        """Draw a stroke through points, from the middle of the paper."""
        pointer, paper = PointerInput(kind, kind), self.find("paper")
        actions = ActionBuilder(self.browser, mouse=pointer, duration=20)
        actions.pointer_action.move_to(paper, *points[0]).pointer_down()
        for point in points[1:]:
            actions.pointer_action.move_to(paper, *point)
        actions.pointer_action.pointer_up()
        actions.perform()

    def give(self, event, data, kind="image/png"):
        """Drop or paste a file with these bytes."""
        script = """
            const [event, bytes, kind] = arguments;
            const data = new DataTransfer();
            data.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], "image", { type: kind }));
            const made = { bubbles: true, cancelable: true };
            document.body.dispatchEvent(
              event === "paste" ? new ClipboardEvent(event, { ...made, clipboardData: data })
                                : new DragEvent(event, { ...made, dataTransfer: data }));
        """
        self.run(script, event, base64.b64encode(data).decode(), kind)


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, format="png")
    return buffer.getvalue()


FOUR = png(tiny.bright(4))


COLOUR = {
    "run": "runs/photos",
    "recipe": "folder",
    "classes": ["cat", "a dog with a long name"],
    "input": {"height": 32, "width": 48, "channels": 3},
    "classifiers": ["classifier 1"],
    "loss": "hinge",
    "exponent": 1.0,
    "unweighted_share": 0.0,
    "exit": None,
}


def of_photos(data):
    """The answer of a run that learned photographs, with one classifier."""
    likeliest = [{"label": "a dog with a long name", "probability": 1.0}, {"label": "cat", "probability": 0.0}]
    own = {"name": "classifier 1", "likeliest": likeliest, "of_prediction": 1.0, "T": None, "cost": 1.0}
    given = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return {"label": likeliest[0]["label"], "likeliest": likeliest, "decided_by": "classifier 1", "cost": 1.0,
            "classifiers": [own], "exit": None, "given": given}  # fmt: skip
