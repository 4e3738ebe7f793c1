"""Who is let in, and what browsers are told."""

from __future__ import annotations

import pytest
from browsing import asking
from road import Road

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("address", "host", "header"),
    [
        ("192.0.2.7", "192.0.2.1:8080", None),
        ("127.0.0.1", "evil.example", None),
        ("127.0.0.1", "127.0.0.1:8080", "X-Forwarded-For"),
        ("127.0.0.1", "127.0.0.1:8080", "Forwarded"),
    ],
)
def test_without_accounts_only_this_machine_sees_the_page(road: Road, address, host, header):
    answer = asking(road, address, host).get("/", headers={header: "192.0.2.7"} if header else {})
    assert answer.status_code == 403
    assert "no accounts yet" in answer.text


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://127.0.0.1:9"])
def test_a_form_of_another_site_does_nothing(road: Road, origin):
    answer = asking(road).post("/check", headers={"Origin": origin} if origin else {})
    assert answer.status_code == 403
    assert "not made by a page of this node" in answer.text


@pytest.mark.parametrize("token", ["", "made-up"])
def test_a_form_without_this_nodes_token_does_nothing(road: Road, token):
    answer = asking(road).post("/check", data={"csrf": token}, headers={"Origin": "http://127.0.0.1:8080"})
    assert answer.status_code == 403
    assert "Nothing was done" in answer.text


@pytest.mark.parametrize("address", ["/", "/studies/7", "/nothing", "/static/style.css"])
def test_every_answer_forbids_scripts_and_frames_of_others(road: Road, address):
    headers = asking(road).get(address).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_pages_have_no_script_or_style_of_their_own(road: Road):
    browser = asking(road)
    pages = [browser.get(address).text for address in ("/", "/studies", "/models", "/settings", "/check")]
    assert not [page for page in pages if " style=" in page or "<style" in page or "onclick" in page]
    assert all(page.count("<script") == 1 for page in pages)
