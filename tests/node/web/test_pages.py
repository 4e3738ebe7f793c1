"""What the page shows of a queue."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from browsing import words
from road import Road, changed
from sqlalchemy import select

from config.peers import DicomDestination, Sender
from config.settings import load
from config.web import Role
from config.webhooks import Webhook
from node.demo.studies import DemoStudy
from node.operations.accounts import add
from node.reporting.weeks import week_of
from node.store.events import StudyEvent, Subscriber, subscribe
from node.store.states import DeliveryState, JobState, moved
from node.store.tables import Delivery, Job, Notice, ReadingWeek, ShadowReading, Study

pytestmark = pytest.mark.slow

PACS = DicomDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=1)


def test_an_empty_node_says_that_all_is_well_and_nothing_has_come(browse, road: Road):
    browser = browse(road)
    assert "Nothing. All is well." in browser.text("/")
    assert "No study has come so far." in browser.text("/studies")


def test_a_reported_study_is_shown_with_its_road_its_lesions_and_its_deliveries(browse, reported: Road):
    browser = browse(reported, destinations=(PACS,), senders=(Sender(ae_title="PACS"),))
    shown = browser.text("/studies/1")
    assert "It was read and reported; 5 results still to go to pacs." in shown
    for what in ("First image received from PACS", "Left MLO read", "Revision 1 reported", "4 SEG, 1 SR"):
        assert what in shown
    assert shown.count("score ") == 8, "four images, a lesion each"
    today = browser.text("/")
    assert "Received 4 images, 1 study" in today
    assert "Reported 1 study" in today
    assert "From the last image to the report" in today
    assert "5, the oldest since" in today


def test_nobody_sees_what_leads_to_a_patient_without_an_account(browse, reported: Road):
    browser = browse(reported, destinations=(PACS,))
    with reported.sessions.begin() as session:
        study = session.scalars(select(Study)).one()
        secrets = {study.study_instance_uid, *(image.patient_id for image in study.instances)}
        image = study.instances[0].id
    pages = [browser.get(address).text for address in ("/", "/studies", "/studies/1", "/settings")]
    assert not [secret for secret in secrets for page in pages if secret in page]
    assert browser.get(f"/studies/1/images/{image}.jpg").status_code == 403
    for secret in secrets:
        assert "No study is like this" in words(browser.send("/studies/find", "/studies", name=secret).text)


def test_what_failed_comes_first_and_says_why(browse, road: Road, mammogram_study: DemoStudy):
    road.all_of_it(*mammogram_study.files)
    with road.sessions.begin() as session:
        delivery = session.scalars(select(Delivery)).first()
        delivery.state = moved(delivery.state, DeliveryState.DEAD)
        delivery.error = "it refused the object"
    browser = browse(road, destinations=(PACS,))
    today = browser.text("/")
    assert "1 result did not reach pacs, and is given up" in today
    assert today.index("did not reach") < today.index("The last 24 hours")
    assert "but 1 result did not reach pacs: it refused the object." in browser.text("/studies?problems=on")


@pytest.mark.parametrize(
    ("query", "there"),
    [
        ("state=reported", True), ("state=open", False), ("source=PACS", True), ("source=OTHER", False),
        ("destination=pacs", True), ("destination=none", False), ("undelivered=on", True),
        ("destination=pacs&undelivered=on", True), ("destination=none&undelivered=on", False),
        ("score=0.0", True), ("score=1", False),
        ("since=2023-11-14&until=2023-11-14&zone=UTC", True), ("until=2023-11-13", False), ("discordant=on", False),
        ("problems=on", False), ("ids=1", True), ("ids=none", False),
    ],
)  # fmt: skip
def test_studies_are_filtered(browse, reported: Road, query, there):
    assert ('href="/studies/1"' in browse(reported).get(f"/studies?{query}").text) is there


@pytest.mark.parametrize("query", ["state=lost", "since=yesterday", "score=2", "zone=Nowhere"])
def test_a_filter_that_cannot_be_understood_is_refused_with_its_reason(browse, road: Road, query):
    answer = browse(road).get(f"/studies?{query}")
    assert answer.status_code == 400
    assert "Refused" in answer.text


def test_pages_of_many_studies_hold_each_once_and_in_order(browse, road: Road):
    with road.sessions.begin() as session:
        for number in range(120):
            session.add(
                Study(
                    study_instance_uid=f"1.2.{number}", source="PACS",
                    first_received_at=0.0, last_received_at=0.0, opened_at=0.0,
                )
            )  # fmt: skip
    browser, seen, address = browse(road), [], "/studies"
    while address:
        page = browser.get(address).text
        seen += [int(row.partition('"')[0]) for row in page.split('rowheader"><a href="/studies/')[1:]]
        address = page.partition(' rel="next"')[0].rpartition('href="')[2].rstrip('"') if ' rel="next"' in page else ""
    assert seen == list(range(120, 0, -1))


def test_a_study_in_quarantine_says_why_nothing_is_sent(browse, road: Road, mammogram_study: DemoStudy):
    first, second = mammogram_study.files[:2]
    road.receive(first, changed(second, PatientID="another"))
    with road.sessions.begin() as session:
        add(session, "ann", Role.OPERATOR, "a long enough one", road.clock())
    browser = browse(road)
    browser.send("/sign-in", "/sign-in", name="ann", password="a long enough one")
    shown = browser.text("/studies/1")
    assert "It is in quarantine:" in shown
    assert "Nothing is sent until a person has checked it" in shown
    assert f"{mammogram_study.patient_id}, born not stated: image 1" in shown
    assert "another, born not stated: image 2" in shown


def test_a_failed_report_says_why(browse, road: Road, mammogram_study: DemoStudy):
    road.receive(*mammogram_study.files)
    road.read()
    road.close()
    with road.sessions.begin() as session:
        job = session.scalars(select(Job).where(Job.kind == "REPORT")).one()
        job.state = moved(moved(job.state, JobState.RUNNING), JobState.FAILED)
        job.error = "it broke"
    browser = browse(road)
    assert "Its report could not be written: it broke. Retry it" in browser.text("/studies/1")
    assert "1 report could not be written" in browser.text("/")


def test_the_settings_are_shown_with_where_each_comes_from_and_without_a_password(browse, road: Road):
    browser = browse(road, receiver={"port": 4100})
    shown = browser.text("/settings")
    assert "port 4100 file" in shown
    assert "ae_title MAMMO_NODE default" in shown


def test_the_settings_of_tls_are_shown_of_the_listener_and_of_a_destination(browse, road: Road, tmp_path: Path):
    (tmp_path / "node.toml").write_text(
        """
data_dir = "data"
[receiver]
tls = { port = 2763, certificate = "node.pem", key = "node.key", ca_file = "ca.pem" }
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "192.0.2.1"
port = 104
tls = { server_name = "pacs.example" }
"""
    )
    given = load(tmp_path / "node.toml")
    shown = browse(road, receiver=given.receiver, destinations=given.destinations).text("/settings")
    assert "tls.port 2763 file" in shown
    assert "tls.client_certificates yes default" in shown
    assert "tls profile B.12, server_name pacs.example" in shown


def test_what_a_destination_could_have_is_shown_too_and_what_each_setting_does(browse, road: Road):
    browser = browse(road, destinations=(PACS,))
    assert "send_between not set" in browser.text("/settings")
    assert 'href="/settings/explained"' in browser.get("/settings").text
    explained = browser.get("/settings/explained").text
    assert "The hours in which results are sent that are not urgent" in explained


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ADMINISTRATOR])
def test_an_administrator_sees_who_may_sign_in_and_which_version_runs(browse, road: Road, role):
    with road.sessions.begin() as session:
        add(session, "ann", role, "a long enough one", road.clock())
    browser = browse(road)
    assert version("mammo-node") not in browser.text("/sign-in"), "not told to everybody"
    browser.send("/sign-in", "/sign-in", name="ann", password="a long enough one")
    shown = browser.text("/settings")
    assert f"mammo-node {version('mammo-node')}, whose page was started 2023-11-14" in shown
    sees_accounts = role is Role.ADMINISTRATOR
    assert ("ann administrator 2023-11-14 22:13 UTC with a password" in shown) is sees_accounts
    assert ("pictures are shown to: operator, administrator" in shown) is sees_accounts


def test_the_models_are_shown_with_their_figures(browse, road: Road):
    shown = browse(road).text("/models")
    assert "research-default" in shown
    assert "95 % CI" in shown


def test_a_scanner_that_drifts_is_named_on_its_page_and_needs_a_person(browse, road: Road):
    with road.sessions.begin() as session:
        for number in range(20):
            session.add(
                ReadingWeek(
                    week=week_of(road.clock()) - 20 + number, scanner="MAKER One", source="PACS", bundle="a 1",
                    images=100, score_sum=90.0 if number == 19 else 20 + number % 3, score_squares=20.0, findings=30,
                    exams=25, exams_above=1,
                )
            )  # fmt: skip
    browser = browse(road)
    sentence = "MAKER One from PACS: the mean score was 0.90 in the week of 2023-11-06, and"
    assert sentence in browser.text("/models")
    assert sentence in browser.text("/")
    page = browser.get("/models").text
    assert (page.count('class="dot outside"'), page.count('<polygon class="band"')) == (1, 3)


def test_shadow_readings_are_shown_side_by_side(browse, road: Road):
    with road.sessions.begin() as session:
        for number in range(1, 4):
            times = {"first_received_at": 0.0, "last_received_at": 0.0, "opened_at": 0.0}
            session.add(Study(study_instance_uid=f"1.2.{number}", source="PACS", **times))
            session.flush()
            session.add(
                ShadowReading(
                    study_id=number, revision=1, read_at=0.0, bundle="a 1", other_bundle="b 2", score=0.2,
                    other_score=0.2 + number / 10, category="3", other_category="4A" if number == 3 else "3",
                    findings_kept=1, findings_new=0, findings_gone=0,
                )
            )  # fmt: skip
    shown = browse(road).text("/models")
    assert "b 2 beside a 1 3 studies. The other score is +0.200 on average; 1 category changed: 3 → 4A (1)." in shown
    assert shown.index("0.20 0.50 3 → 4A") < shown.index("0.20 0.40 3 → 3"), "what changed comes first"


def test_what_is_not_there_is_not_found(browse, road: Road):
    browser = browse(road)
    assert [browser.get(address).status_code for address in ("/studies/7", "/nothing", "/studies/x")] == [404] * 3


def test_a_webhook_is_shown_with_its_last_word_and_what_it_did_not_take(browse, road: Road, mammogram_study: DemoStudy):
    with road.sessions.begin() as session:
        subscribe(session, [Subscriber("ris", (StudyEvent.REPORTED,), None)])
    road.all_of_it(mammogram_study.files[0])
    with road.sessions.begin() as session:
        notice = session.scalars(select(Notice)).one()
        notice.state = moved(notice.state, DeliveryState.DEAD)
        notice.error = "it does not answer"
    webhook = Webhook(name="ris", url="https://ris.example", secret_file="secret")
    browser = browse(road, webhooks=(webhook,))
    today = browser.text("/")
    assert "1 notice did not reach ris, and is given up" in today
    assert "mammo-node webhooks retry ris" in today
    assert "ris has taken nothing in the last 30 days" in today
    assert "Not told webhook ris: reported (revision 1) it does not answer" in browser.text("/studies/1")
