"""Chromium without a window, driven by Selenium: nothing is downloaded for it."""

import json
import shutil
from contextlib import contextmanager

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException

SECONDS = 60  # to wait at most for what is to happen
WIDE = {"width": 1200, "height": 1400, "deviceScaleFactor": 1, "mobile": False}
PHONE = {"width": 375, "height": 812, "deviceScaleFactor": 1, "mobile": True}


@contextmanager
def chromium():
    """A browser that logs its requests; the test is skipped where there is none, or it does not start."""
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("there is no Chromium with its chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    try:
        started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    except WebDriverException as error:
        pytest.skip(f"Chromium does not start here: {error.msg}")
    try:
        yield started
    finally:
        started.quit()


def logged(browser, method):
    """The events of this kind since the last call, of the browser's protocol."""
    events = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return [event["params"] for event in events if event["method"] == method]


def requested(browser):
    """The addresses that were asked for since the last call."""
    return [event["request"]["url"] for event in logged(browser, "Network.requestWillBeSent")]


def prefer(browser, scheme):
    """Have the user prefer light or dark."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def resize(browser, size):
    """Give the page so many pixels."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
