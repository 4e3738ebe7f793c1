"""Who signed in, saw or took what, and changed what is in the audit trail, with the name of the account or token."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest
from audit_messages import assert_events_valid, entered
from browsing import Browsing
from fastapi import FastAPI
from fastapi.testclient import TestClient
from programs import token_of
from road import Road
from sqlalchemy import delete

from config.peers import DicomDestination
from config.web import Role
from dicom_io.audit import codes
from dicom_io.audit.message import Action, AuditMessage, Outcome
from node.demo.studies import DemoStudy
from node.operations.accounts import add, remove, set_password
from node.store.tables import AuditEvent

pytestmark = pytest.mark.slow

PASSWORD = "a long enough one"
PACS = DicomDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=1)


@pytest.fixture
def reported(road: Road, mammogram_study: DemoStudy) -> Road:
    road.all_of_it(*mammogram_study.files)
    return road


def since(road: Road, act: Callable[[], object]) -> list[AuditMessage]:
    """The events that something enters."""
    before = len(entered(road.sessions))
    act()
    return entered(road.sessions)[before:]


def make(road: Road, role: Role) -> None:
    with road.sessions.begin() as session:
        add(session, "anna", role, PASSWORD, road.clock())


def sign_in(browser: Browsing, password: str = PASSWORD):
    return browser.send("/sign-in", "/sign-in", name="anna", password=password)


def kinds(messages: list[AuditMessage]) -> list[tuple[str, ...]]:
    return [(message.event.meaning, *(kind.meaning for kind in message.types)) for message in messages]


def test_signing_in_and_out_and_failing_to(browse, road: Road, tmp_path: Path):
    make(road, Role.OPERATOR)
    browser = browse(road)
    (failed,) = since(road, lambda: sign_in(browser, "a wrong password"))
    assert kinds([failed]) == [("User Authentication", "Login")]
    assert (failed.outcome, failed.participants[0].user, failed.participants[0].address) == (
        Outcome.MINOR,
        "anna",
        "127.0.0.1",
    )
    (signed_in,) = since(road, lambda: sign_in(browser))
    who = signed_in.participants[0]
    assert (signed_in.outcome, who.user, who.alternative) == (Outcome.SUCCESS, "anna", "account 1")
    assert kinds(since(road, lambda: browser.send("/sign-out", "/"))) == [("User Authentication", "Logout")]
    assert_events_valid(road.sessions, tmp_path)


def test_an_account_that_is_made_changed_and_removed(road: Road, tmp_path: Path):
    make(road, Role.VIEWER)
    with road.sessions.begin() as session:
        set_password(session, "anna", "another long enough one", road.clock())
        remove(session, "anna", road.clock())
    messages = entered(road.sessions)
    assert kinds(messages) == [("Security Alert", "User Security Attributes Changed")] * 3
    assert {message.objects[0].id for message in messages} == {"anna"}
    assert [message.participants[1].alternative for message in messages] == ["the command line"] * 3
    assert_events_valid(road.sessions, tmp_path)


def test_a_study_that_is_opened_is_one_event_for_each_who_opens_it_however_often_the_page_refreshes(
    browse, reported: Road, tmp_path: Path
):
    make(reported, Role.OPERATOR)
    browser = browse(reported)
    sign_in(browser)
    (seen,) = since(reported, lambda: [browser.text("/studies/1") for _ in range(3)])
    assert (seen.event, seen.action, seen.participants[0].user) == (codes.INSTANCES_ACCESSED, Action.READ, "anna")
    study = reported.study()
    assert [audited.id for audited in seen.objects] == [study.study_instance_uid, reported.instances()[0].patient_id]
    picture = browser.get("/studies/1/images/1.jpg")
    assert picture.status_code == 200
    reported.clock.seconds += 601
    assert len(since(reported, lambda: browser.get("/studies/1/images/1.jpg"))) == 1
    assert_events_valid(reported.sessions, tmp_path)


def test_who_may_not_see_patients_opens_a_study_without_an_event(browse, reported: Road):
    make(reported, Role.VIEWER)
    browser = browse(reported, web={"shows_patients_to": ["operator"]})
    sign_in(browser)
    assert since(reported, lambda: browser.text("/studies/1")) == []


def test_what_an_operator_does_to_a_study(browse, reported: Road, tmp_path: Path):
    make(reported, Role.OPERATOR)
    browser = browse(reported, destinations=(PACS,))
    sign_in(browser)
    browser.text("/studies/1")
    (retried,) = since(reported, lambda: browser.send("/studies/1/retry", "/studies/1"))
    (sent,) = since(reported, lambda: browser.send("/studies/1/resend", "/studies/1", to="pacs"))
    assert [message.types[0] for message in (retried, sent)] == [
        codes.Coded("RETRIED", "99MAMMONODE", "retried"),
        codes.Coded("SENT_AGAIN", "99MAMMONODE", "sent again: pacs"),
    ]
    assert {message.action for message in (retried, sent)} == {Action.UPDATE}
    assert_events_valid(reported.sessions, tmp_path)


def test_what_a_program_searches_sees_and_takes(program: Callable[..., TestClient], reported: Road, tmp_path: Path):
    asking = program(reported, Role.OPERATOR)
    patient_id = reported.instances()[0].patient_id
    uid = reported.study().study_instance_uid
    with reported.sessions.begin() as session:
        session.execute(delete(AuditEvent))
    asking.get("/dicom-web/studies", params={"PatientID": patient_id})
    asking.post("/api/v1/search", json={"identifier": patient_id})
    asking.get("/api/v1/studies/1")
    asking.get(f"/dicom-web/studies/{uid}/metadata")
    asking.get(f"/dicom-web/studies/{uid}")
    result = asking.get("/api/v1/studies/1/results").json()["results"][0]["id"]
    assert asking.get(f"/api/v1/studies/1/results/{result}").status_code == 200
    messages = entered(reported.sessions)
    assert kinds(messages) == [
        ("Query",),
        ("Query",),
        ("DICOM Instances Accessed",),
        ("DICOM Instances Transferred",),
        ("DICOM Instances Transferred",),
    ]
    who = {participant.user for message in messages for participant in message.participants if participant.alternative}
    assert who == {"the-operator"}
    assert b64decode(messages[0].objects[0].query or "").decode() == f"PatientID={patient_id}"
    assert sum(count for _, count in messages[3].objects[0].sop_classes) == 5
    assert_events_valid(reported.sessions, tmp_path)


def test_a_program_with_a_token_that_is_not_known_is_counted(program: Callable[..., TestClient], road: Road):
    asking = program(road, None)
    token_of(road, Role.VIEWER)
    before = len(entered(road.sessions))
    for _ in range(3):
        assert asking.get("/api/v1/studies", headers={"Authorization": "Bearer mammo_wrong"}).status_code == 401
    application = asking.app
    assert isinstance(application, FastAPI)
    application.state.desk.refusals.enter_due(road.sessions)
    (alert,) = entered(road.sessions)[before:]
    assert kinds([alert]) == [("Security Alert", "Node Authentication")]
    assert alert.objects[0].id == "192.0.2.7"
    assert alert.objects[0].details[0][1] == "a program was refused: its token is not known (3 refusals)"
