"""A real Chromium without a window, and what axe-core finds wrong with a page for people who use it otherwise."""

import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

from radiarch_testkit.require import require

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """The browser of this machine."""
    path = shutil.which("chromium")
    require(path is not None, "chromium is not on the PATH")
    async with async_playwright() as playwright:
        # Root, as in a container, has no sandbox.
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        await browser.close()


async def wrong_for_people(page: Page) -> list[str]:
    """Rules of WCAG 2.2 AA and good practice that a page breaks, each with the elements that do."""
    found: dict[str, Any] = (await Axe().run(page, options=RULES)).response
    return [f"{rule['id']}: {node['html']}" for rule in found["violations"] for node in rule["nodes"]]


async def is_wider_than_the_screen(page: Page) -> bool:
    """Whether one must scroll sideways to read a page."""
    return bool(await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
