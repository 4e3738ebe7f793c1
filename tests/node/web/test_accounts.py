"""Signing in, what each role may do, and what is noted of it."""

from __future__ import annotations

import logging

import pytest
from browsing import ORIGIN, Browsing, words
from road import Road, changed
from sqlalchemy import select

from config.peers import DicomDestination
from config.web import Role
from node.demo.studies import DemoStudy
from node.operations.accounts import AccountRefused, add, from_provider, remove, set_password, with_password
from node.store.states import DeliveryState, moved
from node.store.tables import Account, Delivery

pytestmark = pytest.mark.slow

PASSWORD = "a long enough one"
PACS = DicomDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=1)


def make(road: Road, *roles: Role) -> None:
    with road.sessions.begin() as session:
        for role in roles:
            add(session, f"the-{role}", role, PASSWORD, road.clock())


def sign_in(browser: Browsing, role: Role, password: str = PASSWORD, to: str = "/"):
    return browser.send("/sign-in", "/sign-in", name=f"the-{role}", password=password, to=to)


@pytest.fixture
def dead(road: Road, mammogram_study: DemoStudy) -> Road:
    """A study of which one result is a dead letter."""
    road.receive(mammogram_study.files[0])
    road.read()
    road.close()
    road.report()
    with road.sessions.begin() as session:
        delivery = session.scalars(select(Delivery)).first()
        delivery.state = moved(delivery.state, DeliveryState.DEAD)
    return road


def test_with_an_account_everybody_signs_in_and_is_led_to_what_was_asked_for(browse, road: Road):
    make(road, Role.VIEWER)
    browser = browse(road)
    asked = browser.get("/studies?state=open", headers={"Accept": "text/html"})
    assert "Sign in" in asked.text
    assert browser.get("/events").status_code == 401
    signed_in = sign_in(browser, Role.VIEWER, to="/studies?state=open")
    assert signed_in.url.path == "/studies"
    assert "the-viewer , viewer" in words(signed_in.text)


@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_signing_in_leads_to_no_other_site(browse, road: Road, to):
    make(road, Role.VIEWER)
    assert sign_in(browse(road), Role.VIEWER, to=to).url == f"{ORIGIN}/"


@pytest.mark.parametrize("url", [None, "https://127.0.0.1:8080"])
def test_the_sessions_cookie_is_out_of_reach_of_scripts_and_with_https_of_http(browse, road: Road, url):
    make(road, Role.VIEWER)
    browser = browse(road, web={"url": url})
    browser.client.follow_redirects = False
    cookie = browser.send("/sign-in", "/sign-in", name="the-viewer", password=PASSWORD).headers["set-cookie"].lower()
    assert {"httponly", "samesite=lax", "path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "max-age" not in cookie, "it goes when the browser is closed"
    assert ("secure" in cookie, cookie.startswith("__host-session=")) == (bool(url), bool(url))


def test_a_session_ends_when_it_signs_out_when_its_time_is_over_and_with_its_account(browse, road: Road):
    def signed_in() -> Browsing:
        browser = browse(road)
        road.clock.seconds += 1
        sign_in(browser, Role.VIEWER)
        assert browser.get("/events.none").status_code == 404, "let in"
        return browser

    def ended(browser: Browsing) -> bool:
        return browser.get("/events.none").status_code == 401

    make(road, Role.VIEWER, Role.OPERATOR)
    first, second = signed_in(), signed_in()
    first.send("/sign-out", "/studies")
    assert ended(first)
    assert ended(second), "in every browser"
    third = signed_in()
    road.clock.seconds += 12 * 3600
    assert ended(third)
    fourth = signed_in()
    with road.sessions.begin() as session:
        set_password(session, "the-viewer", "another long enough one", road.clock() + 1)
    assert ended(fourth)
    with road.sessions.begin() as session:
        remove(session, "the-viewer", road.clock())
    assert ended(fourth)


def test_a_session_ends_when_its_person_does_nothing_and_pages_that_refresh_themselves_do_not_count(browse, road: Road):
    def opened(**headers: str) -> bool:
        return browser.get("/studies", headers={"Accept": "text/html", **headers}).url.path == "/studies"

    make(road, Role.VIEWER)
    browser = browse(road, web={"idle_minutes": 10})
    sign_in(browser, Role.VIEWER)
    for _ in range(5):
        road.clock.seconds += 599
        assert opened(), "whoever does something stays"
    for _ in range(2):
        road.clock.seconds += 299
        assert opened(**{"X-Refresh": "1"})
        assert browser.get("/static/icon.svg", headers={"Accept": "image/*"}).status_code == 200
    assert 'data-signed-out-in="2"' in browser.get("/studies", headers={"X-Refresh": "1"}).text
    road.clock.seconds += 2
    assert not opened(**{"X-Refresh": "1"}), "what the page shows goes with the session"
    assert not opened()
    assert browser.client.post("/check", headers={"Origin": ORIGIN}).status_code == 401


def test_being_busy_makes_no_session_longer_than_its_hours(browse, road: Road):
    make(road, Role.VIEWER)
    browser = browse(road, web={"session_hours": 1, "idle_minutes": 30})
    sign_in(browser, Role.VIEWER)
    for seconds, lets_in in ((1799, True), (1799, True), (2, False)):
        road.clock.seconds += seconds
        assert (browser.get("/studies", headers={"Accept": "text/html"}).url.path == "/studies") is lets_in


def test_when_another_session_was_busy_says_nothing_about_this_one(browse, road: Road):
    make(road, Role.VIEWER)
    idle, busy = browse(road), browse(road)
    for browser in (idle, busy):
        sign_in(browser, Role.VIEWER)
        road.clock.seconds += 1
    road.clock.seconds += 1700
    assert busy.get("/studies", headers={"Accept": "text/html"}).url.path == "/studies"
    idle.client.cookies.set("seen", busy.client.cookies["seen"], domain="127.0.0.1", path="/")
    road.clock.seconds += 200
    assert idle.get("/events.none").status_code == 401
    assert busy.get("/events.none").status_code == 404


@pytest.mark.parametrize("by_the_provider", [False, True])
def test_the_cookie_of_a_removed_account_does_not_open_the_next_one_which_gets_its_number(
    browse, road: Road, by_the_provider: bool
):
    make(road, Role.VIEWER)
    removed, its_own = browse(road), browse(road)
    sign_in(removed, Role.VIEWER)
    road.clock.seconds += 60
    with road.sessions.begin() as session:
        number = session.scalars(select(Account.id)).one()
        remove(session, "the-viewer", road.clock())
        session.flush()
        if by_the_provider:
            from_provider(session, "https://id.example", "1", "ann", Role.ADMINISTRATOR, "", road.clock())
        else:
            add(session, "the-administrator", Role.ADMINISTRATOR, PASSWORD, road.clock())
        assert session.scalars(select(Account.id)).one() == number
    assert removed.get("/settings").status_code == 401
    if not by_the_provider:
        sign_in(its_own, Role.ADMINISTRATOR)
        assert its_own.get("/settings").status_code == 200


def test_a_cookie_that_this_node_did_not_make_lets_nobody_in(browse, road: Road):
    make(road, Role.VIEWER)
    browser = browse(road)
    browser.client.cookies.set("session", "WzEsIDE3MDAwMDAwMDAuMF0.made-up")
    assert browser.get("/").status_code == 401


def test_whoever_tries_passwords_must_wait_longer_and_longer(browse, road: Road):
    make(road, Role.VIEWER)
    browser = browse(road)
    assert [sign_in(browser, Role.VIEWER, "wrong").status_code for _ in range(5)] == [403] * 5
    assert sign_in(browser, Role.VIEWER).status_code == 429, "also with the right one"
    road.clock.seconds += 2
    assert sign_in(browser, Role.VIEWER, "wrong").status_code == 403
    road.clock.seconds += 2
    assert sign_in(browser, Role.VIEWER).status_code == 429
    road.clock.seconds += 2
    assert sign_in(browser, Role.VIEWER).status_code == 200


def test_a_viewer_may_not_retry_and_an_operator_may_and_it_is_noted(browse, dead: Road, caplog):
    make(dead, Role.VIEWER, Role.OPERATOR)
    viewer, operator = browse(dead, destinations=(PACS,)), browse(dead, destinations=(PACS,))
    sign_in(viewer, Role.VIEWER)
    sign_in(operator, Role.OPERATOR)
    assert "Retry" not in words(viewer.get("/studies/1").text)
    refused = viewer.send("/studies/1/retry", "/studies")
    assert refused.status_code == 403
    assert "This needs the role operator" in words(refused.text)
    with caplog.at_level(logging.INFO):
        done = operator.send("/studies/1/retry", "/studies/1")
    assert "will be sent to pacs again" in words(done.text)
    assert "retried by account 2: study 1" in caplog.text
    with dead.sessions.begin() as session:
        assert DeliveryState.DEAD not in {delivery.state for delivery in session.scalars(select(Delivery))}


def test_a_study_of_two_patients_stays_in_quarantine_and_the_page_says_why(
    browse, road: Road, mammogram_study: DemoStudy
):
    first, second = mammogram_study.files[:2]
    road.receive(first, changed(second, PatientID="another"))
    make(road, Role.OPERATOR)
    browser = browse(road)
    sign_in(browser, Role.OPERATOR)
    answer = browser.send("/studies/1/retry", "/studies/1")
    assert answer.status_code == 409
    assert "stays in quarantine" in words(answer.text)


def test_who_may_see_patients_finds_a_study_by_each_identifier_and_its_pictures(browse, reported: Road):
    make(reported, Role.VIEWER, Role.OPERATOR)
    browser = browse(reported, web={"viewer_url": "https://pacs.example/?study={StudyInstanceUID}"})
    sign_in(browser, Role.OPERATOR)
    with reported.sessions.begin() as session:
        instance = session.scalars(select(Delivery)).first().result.study.instances[0]
        study, names = instance.study.study_instance_uid, (instance.patient_id, instance.study.study_instance_uid, "1")
    for name in names:
        assert browser.send("/studies/find", "/studies", name=name).url.path == "/studies/1"
    page = browser.get("/studies/1").text
    assert f"https://pacs.example/?study={study}" in page
    picture = browser.get(f"/studies/1/images/{instance.id}.jpg")
    assert picture.content.startswith(b"\xff\xd8")
    viewer = browse(reported)
    sign_in(viewer, Role.VIEWER)
    assert study not in viewer.get("/studies/1").text
    assert viewer.get(f"/studies/1/images/{instance.id}.jpg").status_code == 403


@pytest.mark.parametrize(
    ("name", "password"), [("x", "too short"), ("two words", PASSWORD), ("", PASSWORD), ("the-viewer", PASSWORD)]
)
def test_an_account_that_cannot_be_is_refused_with_its_reason(road: Road, name, password):
    make(road, Role.VIEWER)
    with pytest.raises(AccountRefused), road.sessions.begin() as session:
        add(session, name, Role.VIEWER, password, 0.0)


@pytest.mark.parametrize(
    "password",
    ["password1234", "Password1234!", "123456789012", "qwertyuiop12", "aaaaaaaaaaaa", "iloveyou1234", "mammo-node-1",
     "hospital2026!", "ann.mueller1", "SommerSommer1"],
)  # fmt: skip
def test_a_password_that_is_common_or_of_the_name_and_the_place_is_refused(road: Road, password: str):
    with pytest.raises(AccountRefused, match="This password is easy to guess"), road.sessions.begin() as session:
        add(session, "ann.mueller", Role.VIEWER, password, 0.0)
    make(road, Role.VIEWER)
    with pytest.raises(AccountRefused, match="This password is easy to guess"), road.sessions.begin() as session:
        set_password(session, "the-viewer", "the-viewer-1", 0.0)


def test_a_long_password_is_taken_and_is_kept_whole(road: Road):
    password = "correct horse battery staple " * 8
    with road.sessions.begin() as session:
        add(session, "ann", Role.VIEWER, password, 0.0)
    with road.sessions() as session:
        assert with_password(session, "ann", password) is not None
        assert with_password(session, "ann", password[:-1]) is None


def test_passwords_are_not_stored(road: Road):
    make(road, Role.VIEWER)
    with road.sessions.begin() as session:
        stored = session.scalars(select(Account)).one().password_hash
    assert stored.startswith("$argon2id$")
    assert PASSWORD not in stored


def test_an_operator_sends_the_results_of_a_study_again(browse, dead: Road):
    make(dead, Role.OPERATOR)
    browser = browse(dead, destinations=(PACS,))
    sign_in(browser, Role.OPERATOR)
    assert "1 result did not reach pacs" in browser.text("/studies/1")
    shown = words(browser.send("/studies/1/resend", "/studies/1", to="pacs").text)
    assert "2 results will be sent to pacs" in shown
    assert "2 results still to go to pacs" in shown
    refused = browser.send("/studies/1/resend", "/studies/1", to="nobody")
    assert (refused.status_code, "There is no destination nobody" in words(refused.text)) == (409, True)


def test_a_study_is_read_again_only_by_bundles_of_the_settings(browse, dead: Road):
    make(dead, Role.OPERATOR)
    browser = browse(dead, destinations=(PACS,), reader={"other_bundles": ["/bundles/candidate"]})
    sign_in(browser, Role.OPERATOR)
    assert "Read it again with research-default candidate" in browser.text("/studies/1")
    refused = browser.send("/studies/1/reread", "/studies/1", bundle="/tmp/other")
    assert (refused.status_code, "no such bundle" in words(refused.text)) == (409, True)
