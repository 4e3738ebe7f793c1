"""An open page that nobody uses shows the page for signing in, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium import chromium
from ports import held_port
from running import RunningNode, eventually
from web_page import WebPage

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

PASSWORD = "a long enough one"


def test_what_an_idle_page_shows_goes_without_a_reload_by_hand(tmp_path: Path) -> None:
    with held_port() as port, chromium() as browser:
        node = RunningNode(tmp_path, f"[web]\nport = {port}\nidle_minutes = 0.1\n[receiver]\n")
        (tmp_path / "password").write_text(PASSWORD)
        window = WebPage(browser, f"http://127.0.0.1:{port}")
        try:
            node.start()
            made = node.command(
                "users", "add", "ann", "--role", "viewer", "--password-file", str(tmp_path / "password")
            )
            assert made.returncode == 0, made.stderr
            eventually("the page answers", lambda: _answers(window))
            window.sign_in("ann", PASSWORD)
            window.go("/models")  # a page that refreshes itself only to see whether its session goes on
            window.page.get_by_role("button", name="Sign in").wait_for()
            assert window.page.url.endswith("/sign-in?to=%2Fmodels")
        finally:
            window.close()
            node.end()


def _answers(window: WebPage) -> bool:
    try:
        window.go("/health/live")
    except Exception:  # noqa: BLE001 - whatever the browser says while nobody listens
        return False
    return True
