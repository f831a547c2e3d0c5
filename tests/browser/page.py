"""The live page in headless Chromium, as the scripts beside this file look at it.

`AUTOTILER_BROWSER` names the folder with the packages of requirements.txt (tests/setup/install); Chromium is the
system's own.
"""

import contextlib
import os
import shutil
import sys

sys.path.insert(0, os.environ["AUTOTILER_BROWSER"])

from axe_playwright_python.sync_playwright import Axe  # noqa: E402  the path above has to be set first
from playwright.sync_api import expect, sync_playwright  # noqa: E402

WIDTHS = {"desktop": (1440, 900), "phone": (390, 844)}
THEMES = ("light", "dark")

# What is waited for comes at once, but on a busy machine.
expect.set_options(timeout=30_000)


def cue(text):
    """Says on standard output how far this walk has come, for whoever started it."""
    print(text, flush=True)


@contextlib.contextmanager
def chromium():
    """A browser."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        sys.exit("chromium is not installed: tests/setup/install test")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


class Visit:
    """One visit to the page, which must leave nothing on the console."""

    def __init__(self, browser, url, width="desktop", theme="light", **more):
        wide, high = WIDTHS[width]
        self.url = url
        self.context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=theme, **more)
        self.page = self.context.new_page()
        self.console = []
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.console.append(said.text))
        self.page.on("pageerror", lambda error: self.console.append(str(error)))

    def open(self, place=""):
        """Goes to a place of the page, as `#/devices/cam-0`, and waits until it is live."""
        self.page.goto(f"{self.url}/{place}")
        self.is_live()

    def is_live(self):
        expect(self.page.locator("#status")).to_have_text("live")

    def row(self, device):
        """The row of a device in the list."""
        link = self.page.get_by_role("link", name=device, exact=True)
        return self.page.locator("tbody tr").filter(has=link)

    def rows(self):
        return self.page.locator(".fleet tbody tr")

    def fits(self, width, theme):
        """Looks at the page in a width and a theme: nothing sticks out, and axe has nothing to say."""
        wide, high = WIDTHS[width]
        self.page.set_viewport_size({"width": wide, "height": high})
        self.page.emulate_media(color_scheme=theme)
        # Only now, for a frame of the screen may lie between.
        expect(self.page.locator("body")).to_be_visible()
        sticks_out = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert sticks_out <= 0, f"{width}: {sticks_out} px wider than the window"
        found = Axe().run(self.page)
        assert found.violations_count == 0, f"{width}, {theme}: {found.generate_report()}"

    def fits_everywhere(self):
        for width in WIDTHS:
            for theme in THEMES:
                self.fits(width, theme)

    def says_nothing(self):
        """Checks that nothing stands on the console."""
        assert not self.console, f"on the console: {self.console}"
