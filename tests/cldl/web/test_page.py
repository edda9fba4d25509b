"""The page in a browser, as anybody can read it: aloud, in light and dark, on a phone; and it asks no other host."""

import re

import numpy as np
import pytest

from tests.cldl.web.browser import PHONE, prefer, requested, resize
from tests.cldl.web.page import BAR, FOUR


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
    lines = """
        const label = document.getElementById("label");
        label.className = "label long";
        label.textContent = "skyscraper";
        return label.getBoundingClientRect().height / parseFloat(getComputedStyle(label).lineHeight);
    """
    assert page.run(lines) == pytest.approx(1, rel=0.01)  # a word is not broken


def test_no_request_leaves_the_host(page, address):
    page.draw(BAR)
    page.expect_bar()
    urls = [url for url in requested(page.browser) if not url.startswith("data:")]
    assert {address, f"{address}page.js", f"{address}api/run", f"{address}api/predict"} <= set(urls)
    assert all(url.startswith(address) for url in urls)
    severe = [entry for entry in page.browser.get_log("browser") if "status of 422" not in entry["message"]]
    assert severe == []  # no script failed, and the policy had nothing to refuse
