"""The page in a browser: drawn on by mouse, finger and keyboard, given files, in light and dark, on a phone."""

import base64
import io
import re
import threading

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("selenium")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions import interaction
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_actions import PointerActions
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from cldl.web.answer import Answerer
from tests.cldl import tiny
from tests.cldl.web.browser import PHONE, SECONDS, WIDE, chromium, logged, prefer, requested, resize
from tests.cldl.web.serving import served

BLANK = "Nothing has been drawn yet."
BAR = [(0, -90), (0, 0), (0, 90)]  # from the middle of the paper


@pytest.fixture(scope="module")
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


@pytest.mark.parametrize("kind", [interaction.POINTER_MOUSE, interaction.POINTER_TOUCH, interaction.POINTER_PEN])
def test_what_is_drawn_with_a_mouse_a_finger_or_a_pen_is_answered(page, kind):
    page.draw(BAR, kind)
    page.expect_bar()
    page.find("clear").click()
    page.expect(lambda: page.told == BLANK)
    assert not page.find("found").is_displayed()


@pytest.mark.parametrize("x", [-135, 135])
def test_a_digit_may_touch_the_edge_of_the_paper(page, x):
    page.draw([(x, -135), (x, 135)])
    page.expect_bar()


def test_of_two_fingers_the_first_draws(page):
    one, two = (PointerInput(interaction.POINTER_TOUCH, name) for name in ("one", "two"))
    both = ActionBuilder(page.browser, mouse=one, duration=20)
    both.devices.append(two)
    second = PointerActions(two, duration=20).pause(0.1).pause(0.1)  # once the first one is down
    for actions, points in ((both.pointer_action, BAR), (second, [(-100, 0), (0, 0), (100, 0)])):
        actions.move_to(page.find("paper"), *points[0]).pointer_down()
        for point in points[1:]:
            actions.move_to(page.find("paper"), *point)
        actions.pointer_up()
    both.perform()
    drawn = page.drawn
    assert drawn[140, 140]
    assert not drawn[140, :100].any()


def test_a_finger_draws_and_does_not_scroll(page):
    assert page.run("return getComputedStyle(document.getElementById('paper')).touchAction") == "none"


def test_the_keyboard_draws_and_clears(page):
    ActionChains(page.browser).send_keys(Keys.TAB).perform()
    paper = page.find("paper")
    assert page.browser.switch_to.active_element == paper
    assert page.run("return getComputedStyle(arguments[0]).outlineStyle", paper) == "solid"  # the focus is seen
    ActionChains(page.browser).send_keys(9 * Keys.UP, " ", 18 * Keys.DOWN, " ", 5 * Keys.RIGHT).perform()
    page.expect_bar()
    ActionChains(page.browser).send_keys(Keys.ESCAPE).perform()
    page.expect(lambda: page.told == BLANK)
    assert page.run("return document.activeElement.id") == "paper"


def test_two_arrow_keys_at_once_draw_diagonally_and_shift_makes_small_steps(page):
    page.find("paper").send_keys(" ")
    actions = ActionChains(page.browser).key_down(Keys.DOWN).key_down(Keys.RIGHT).key_up(Keys.DOWN).key_up(Keys.RIGHT)
    actions.key_down(Keys.SHIFT).send_keys(Keys.RIGHT).key_up(Keys.SHIFT).perform()
    rows, columns = np.nonzero(page.drawn)
    # a stroke 20 wide, from (140, 140) down by 10, down and right by 10, and right by 2
    assert (rows.min(), rows.max()) == pytest.approx((130, 170), abs=1)
    assert (columns.min(), columns.max()) == pytest.approx((130, 162), abs=1)


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


def test_readers_of_a_screen_are_told_the_answer(page):
    told = page.find("told")
    assert (told.get_dom_attribute("role"), told.get_dom_attribute("aria-live")) == ("status", "polite")
    named = page.run("""
        return [...document.querySelectorAll("canvas, button, input, img, section")].map((element) =>
          element.getAttribute("aria-label") || element.getAttribute("alt") || element.labels?.[0]?.textContent.trim() ||
          document.getElementById(element.getAttribute("aria-labelledby"))?.textContent || element.textContent);
    """)
    assert len(named) == 8
    assert all(named)


def luminance(colour):
    """The relative luminance of rgb(...), by WCAG 2.2."""
    channels = np.array([int(channel) for channel in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_in_light_and_in_dark(page, scheme):
    prefer(page.browser, scheme)
    page.give("drop", b"text", "text/plain")
    page.expect(lambda: page.told.startswith("the image cannot be read"))
    page.give("drop", FOUR)
    page.expect(lambda: page.told.startswith("4, with"))
    pairs = page.run("""
        const ground = (element) => {
          const own = getComputedStyle(element).backgroundColor;
          return own === "rgba(0, 0, 0, 0)" ? ground(element.parentElement) : own;
        };
        document.getElementById("told").classList.add("refused");
        const texts = [...document.querySelectorAll("body *")].filter((element) =>
          [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
        return texts.map((element) => [getComputedStyle(element).color, ground(element), element.textContent.trim()]);
    """)
    assert len(pairs) > 50
    grounds = [luminance(ground) for _, ground, text in pairs if text == "Answer"]
    assert grounds[0] < 0.02 if scheme == "dark" else grounds[0] > 0.9
    for colour, ground, text in pairs:
        darker, lighter = sorted((luminance(colour), luminance(ground)))
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, text


def test_a_phone_shows_it_all_without_scrolling_sideways(page):
    resize(page.browser, PHONE)
    sides = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    assert page.run(sides) == [375, 375]
    page.give("drop", FOUR)
    page.expect(lambda: page.told.startswith("4, with"))
    assert page.run(sides) == [375, 375]


def test_no_request_leaves_the_host(page, address):
    page.draw(BAR)
    page.expect_bar()
    urls = [url for url in requested(page.browser) if not url.startswith("data:")]
    assert {address, f"{address}page.js", f"{address}api/run", f"{address}api/predict"} <= set(urls)
    assert all(url.startswith(address) for url in urls)
    severe = [entry for entry in page.browser.get_log("browser") if "status of 422" not in entry["message"]]
    assert severe == []  # no script failed, and the policy had nothing to refuse


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


RECEIVED = "Network.responseReceived"
WATCH = """
    window.seen = [];
    const told = document.getElementById("told");
    new MutationObserver(() => (window.seen = [...window.seen, told.textContent])).observe(told, { childList: true });
    document.addEventListener("pointerup", () => (window.seen = [...window.seen, "up"]), true);
"""


def test_half_a_digit_is_not_refused_while_it_is_drawn(page):
    page.run(WATCH)
    mouse = ActionChains(page.browser).move_to_element(page.find("paper"))
    mouse.click_and_hold().perform()
    page.expect(lambda: any("predict" in event["response"]["url"] for event in logged(page.browser, RECEIVED)))
    page.browser.execute_async_script("setTimeout(arguments[0], 200)")  # in which it would be shown
    assert page.told == BLANK
    ActionChains(page.browser).release().perform()
    page.expect(lambda: page.told.startswith("the image shows no digit"))
    assert page.run("return window.seen[0]") == "up"


def test_what_was_cleared_meanwhile_is_not_answered(browser):
    is_asked, is_free = threading.Event(), threading.Event()

    def slow(data):
        is_asked.set()
        is_free.wait(SECONDS)
        return of_photos(data) | {"label": str(len(data))}

    resize(browser, WIDE)
    with served(slow, COLOUR | {"input": {"height": 28, "width": 28, "channels": 1}}) as port:
        page = Page(browser, f"http://127.0.0.1:{port}/")
        page.run(WATCH)
        page.draw(BAR)
        assert is_asked.wait(SECONDS)
        page.find("clear").click()
        page.give("drop", FOUR)  # which is asked after the drawing
        is_free.set()
        page.expect(lambda: "decided by" in page.told)
        answered = [text.split(",")[0] for text in page.run("return window.seen") if "decided by" in text]
        assert answered == [str(len(FOUR))]
