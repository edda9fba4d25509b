"""The page in a browser, drawn on by mouse, finger and keyboard."""

import threading

import numpy as np
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions import interaction
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_actions import PointerActions
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.keys import Keys

from tests.cldl.web.browser import SECONDS, WIDE, logged, resize
from tests.cldl.web.page import BAR, BLANK, COLOUR, FOUR, Page, of_photos
from tests.cldl.web.serving import served

RECEIVED = "Network.responseReceived"
WATCH = """
    window.seen = [];
    const told = document.getElementById("told");
    new MutationObserver(() => (window.seen = [...window.seen, told.textContent])).observe(told, { childList: true });
    document.addEventListener("pointerup", () => (window.seen = [...window.seen, "up"]), true);
"""


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
