"""The page in a browser, given image files by choosing, dropping and pasting, and what it answers."""

import io

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.by import By

from tests.cldl import tiny
from tests.cldl.web.browser import PHONE, WIDE, requested, resize
from tests.cldl.web.page import BAR, BLANK, COLOUR, FOUR, Page, of_photos, png
from tests.cldl.web.serving import served


def test_an_answer_says_who_decides_t_of_each_and_where_early_exit_stops(page):
    page.give("drop", FOUR)
    page.expect(lambda: page.told == "4, with 99.48 %, decided by classifier 2 (top).")
    assert page.find("label").text == "4"
    assert page.find("exit").text == "Early exit would ask them all: none below the top is sure enough."
    bottom, top = (card.text.splitlines() for card in page.browser.find_elements(By.CSS_SELECTOR, ".classifier"))
    assert bottom[:3] == ["classifier 1 (bottom)", "4", "45.09 %"]
    assert top[:4] == ["classifier 2 (top)", "decides", "early exit stops here", "4"]
    for card, T in ((bottom, "0.057174"), (top, "0.5491")):
        assert card[card.index("T") + 1] == T
    np.testing.assert_array_equal(page.given, tiny.bright(4)[..., 0])
    widths = page.run("return [...document.querySelectorAll('.classifier .fill')].map((bar) => bar.style.width)")
    assert [float(width.rstrip("%")) for width in widths[::5]] == pytest.approx([45.09, 94.28], abs=0.01)


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_file_is_dropped_or_pasted(page, event):
    page.give(event, FOUR)
    page.expect(lambda: page.told.startswith("4, with"))


def test_a_file_is_chosen_again_and_again(page, tmp_path):
    for k in (4, 7, 7):
        path = tmp_path / f"{k}.png"
        path.write_bytes(png(tiny.bright(k)))
        page.find("file").send_keys(str(path))
        page.expect(lambda k=k: page.told.startswith(f"{k}, with"))
        page.find("clear").click()
        page.expect(lambda: page.told == BLANK)


def test_a_kind_of_file_that_the_browser_cannot_show_is_answered_all_the_same(page):
    buffer = io.BytesIO()
    Image.fromarray(tiny.bright(5)[..., 0]).save(buffer, format="tiff")
    page.give("drop", buffer.getvalue(), "image/tiff")
    page.expect(lambda: page.told.startswith("5, with"))


def test_a_refusal_is_told_in_its_sentence_and_takes_the_old_answer_away(page):
    page.give("drop", FOUR)
    page.expect(lambda: page.told.startswith("4, with"))
    page.give("drop", b"text", "text/plain")
    page.expect(lambda: page.told.startswith("the image cannot be read as a PNG, JPEG, WebP, GIF, BMP or TIFF picture"))
    assert not page.find("found").is_displayed()
    assert not page.find("each").is_displayed()


def test_an_image_that_is_too_large_is_refused_before_it_is_sent(page):
    script = """
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(20_000_001)], "large.png", { type: "image/png" }));
        document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
    """
    requested(page.browser)
    page.run(script)
    page.expect(lambda: page.told.startswith("the image has more than 20,000,000 bytes"))
    assert not any("predict" in url for url in requested(page.browser))


def test_a_run_of_photographs_takes_images_and_no_drawings(browser):
    resize(browser, WIDE)
    with served(of_photos, COLOUR) as port:
        page = Page(browser, f"http://127.0.0.1:{port}/", "No image has been chosen yet.")
        assert page.find("input-title").text == "Show it an image"
        assert not page.find("clear").is_displayed()
        assert not page.find("keys").is_displayed()
        page.draw(BAR)
        picture = np.full((32, 48, 3), (200, 0, 0), np.uint8)
        page.give("drop", png(picture))
        page.expect(lambda: page.told == "a dog with a long name, with 100 %, decided by classifier 1.")
        assert sum("predict" in url for url in requested(browser)) == 1  # the drawing was not sent
        np.testing.assert_array_equal(page.given, picture)
        assert "T" not in page.browser.find_element(By.CSS_SELECTOR, ".classifier").text.splitlines()
        resize(browser, PHONE)
        assert page.run("return document.documentElement.scrollWidth") == 375


def test_where_early_exit_stops_and_who_decides_may_be_two(browser):
    names = ["classifier 1 (bottom)", "classifier 2 (top)"]
    rule = {"measure": "confidence", "threshold": 0.9, "temperatures": [1, 1], "measured": True}
    about = COLOUR | {"classifiers": names, "exit": rule, "loss": "cldl"}

    def early(data):
        found = of_photos(data)
        own = [
            found["classifiers"][0] | {"name": name, "cost": cost} for name, cost in zip(names, (0.4, 1), strict=True)
        ]
        exit = {"stops_at": names[0], "label": "cat", "cost": 0.4, "sureness": [0.95, 0.99]}
        return found | {"classifiers": own, "decided_by": names[1], "exit": exit}

    resize(browser, WIDE)
    with served(early, about) as port:
        page = Page(browser, f"http://127.0.0.1:{port}/", "No image has been chosen yet.")
        page.give("drop", FOUR)
        page.expect(lambda: "decided by classifier 2 (top)" in page.told)
        badges = [badge.text for badge in browser.find_elements(By.CSS_SELECTOR, ".badges")]
        assert badges == ["early exit stops here", "decides"]
        stopping = "Early exit would stop at classifier 1 (bottom), with 40 % of the multiply-adds. Its answer: cat."
        assert page.find("exit").text == stopping
        assert "a confidence of 0.9 or more, as cldl.evaluate --exit chose it for this run" in page.find("rule").text
