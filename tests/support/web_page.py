"""The node's page in a real browser."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, Route

AXE = files("axe_playwright_python") / "axe.min.js"
"""Deque's axe-core, as the Python package has it."""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

_CALLED = "(e => (e.labels && e.labels[0] || e).innerText.trim() || e.getAttribute('aria-label') || e.tagName)"


class WebPage:
    """A browser window at the page's address. `faults`: errors on the console and addresses of other hosts."""

    def __init__(
        self, browser: Browser, address: str, *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> None:
        self._context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            timezone_id="Europe/Berlin",
        )
        self.page: Page = self._context.new_page()
        self.address = address
        self.faults: list[str] = []
        self.page.set_default_timeout(400_000)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        self.page.route("**/*", self._at_home)

    def close(self) -> None:
        self._context.close()

    def go(self, path: str) -> None:
        self.page.goto(self.address + path, wait_until="load")

    def sign_in(self, name: str, password: str) -> None:
        self.go("/sign-in")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("button", name="Sign out").wait_for()

    def shows(self, text: str) -> Locator:
        """Waits until the page shows a text, without being loaded again by the test."""
        found = self.page.get_by_text(text).first
        found.wait_for()
        return found

    def violations(self) -> list[str]:
        """What axe-core finds wrong with the page."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("rules => axe.run(document, { runOnly: { type: 'tag', values: rules } })", RULES)
        return [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]

    @property
    def overflows_by(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.scrollingElement.scrollWidth - document.documentElement.clientWidth"))

    @property
    def focused(self) -> str:
        """What the element with the focus is called: its text, or its label."""
        return str(self.page.evaluate(f"{_CALLED}(document.activeElement)"))

    def waits_for_focus(self, name: str) -> None:
        """Waits until something called so has the focus."""
        self.page.wait_for_function(f"name => {_CALLED}(document.activeElement) === name", arg=name)

    def tab_to(self, name: str, most: int = 60) -> None:
        """Presses Tab until something called so has the focus."""
        for _ in range(most):
            self.page.keyboard.press("Tab")
            if self.focused == name:
                return
        raise AssertionError(f"{name} is not reached by Tab")

    def screenshot(self, path: Path) -> None:
        self.page.screenshot(path=path, full_page=True)

    def _at_home(self, route: Route) -> None:
        if route.request.url.startswith(self.address):
            route.continue_()
        else:
            self.faults.append(f"the page asked for {urlsplit(route.request.url).netloc}")
            route.abort()
