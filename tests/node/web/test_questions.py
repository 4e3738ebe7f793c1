"""What a new administrator asked of a running node, and the page did not say at first."""

from __future__ import annotations

import pytest
from browsing import words
from pydicom import dcmread
from road import Road, changed
from simple_models import BUNDLE
from sqlalchemy import select

from config.peers import DicomDestination
from config.web import Role
from models.types.birads import AssessmentSource, Category
from node.audit.actors import Actor
from node.audit.refusals import Refusals
from node.audit.refused_callers import MOST as MOST_CALLERS
from node.audit.refused_callers import count_refused, refused_callers
from node.demo.studies import DemoStudy
from node.operations.accounts import add
from node.operations.acts import Act, Deed, note
from node.operations.day import DAY_S, usual_latency, view_day, view_disk
from node.store.database import read_only
from node.store.states import DeliveryState
from node.store.tables import Delivery, Instance, ReceivedAssessment, Study

pytestmark = pytest.mark.slow

PACS = DicomDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=1, dead_after_s=3600)


def test_what_a_destination_that_is_down_has_not_got_is_listed_and_until_when_it_is_tried(
    browse, road: Road, mammogram_study: DemoStudy
):
    road.all_of_it(*mammogram_study.files)
    with road.sessions.begin() as session:
        for delivery in session.scalars(select(Delivery)):
            delivery.created_at, delivery.error = road.clock(), "nothing listens at this port"
    browser = browse(road, destinations=(PACS,))
    today = browser.text("/")
    assert "5 results wait for pacs: nothing listens at this port . It is tried again by itself" in today
    assert "what is older than 1 h is given up" in today
    assert "the oldest is given up 2023-11-14 23:1" in today
    missing = "/studies?destination=pacs&undelivered=on"
    assert browser.get("/").text.count(f'href="{missing}"'.replace("&", "&amp;")) == 2
    assert 'href="/studies/1"' in browser.get(missing).text


def test_what_every_destination_got_is_not_among_what_is_not_delivered(browse, road: Road, mammogram_study: DemoStudy):
    road.all_of_it(*mammogram_study.files)
    with road.sessions.begin() as session:
        for delivery in session.scalars(select(Delivery)):
            delivery.state, delivery.sent_at = DeliveryState.SENT, road.clock()
    browser = browse(road, destinations=(PACS,))
    assert 'href="/studies/1"' in browser.get("/studies?destination=pacs").text
    for query in ("undelivered=on", "destination=pacs&undelivered=on"):
        assert "No study is like this" in browser.text(f"/studies?{query}")


def test_of_a_study_without_a_readable_image_nobody_says_that_it_was_read(
    browse, road: Road, mammogram_study: DemoStudy
):
    blank = [changed(file, PixelData=bytes(len(dcmread(file).PixelData))) for file in mammogram_study.files[:2]]
    road.all_of_it(*blank)
    shown = browse(road).text("/studies/1")
    assert "No image of it could be read, and its report says so; 1 result still to go to pacs." in shown
    assert "Not read: right CC, left CC: The image is blank: all its pixels have the same value. " in shown


def test_the_bundle_that_read_a_study_is_named_where_its_facts_are(browse, reported: Road):
    shown = browse(reported).text("/studies/1")
    assert f"Read by {BUNDLE}" in shown


@pytest.mark.parametrize(
    ("left", "right", "says"),
    [
        (Category.TWO, Category.SIX, "AI alone recalls"),
        (Category.FIVE, Category.ZERO, "radiologist alone recalls"),
        (Category.FIVE, Category.ONE, "by breast: see the study"),
    ],
)
def test_of_studies_on_which_models_and_radiologist_disagree_it_is_listed_who_recalls(
    browse, road: Road, left, right, says
):
    with road.sessions.begin() as session:
        study = Study(
            study_instance_uid="1.2.3", source="PACS", first_received_at=0.0, last_received_at=0.0, opened_at=0.0,
            discordant=True,
        )  # fmt: skip
        session.add(study)
        session.flush()
        for side, category in (("L", left), ("R", right)):
            session.add(
                ReceivedAssessment(
                    study_id=study.id, laterality=side, category=category, source=AssessmentSource.HL7,
                    document=f"of {side}", assessed_at=None, received_at=road.clock(),
                )
            )  # fmt: skip
    assert says in words(browse(road).get("/agreement").text)


def test_how_long_reports_took_in_the_week_before_is_told_besides_today(reported: Road):
    with read_only(reported.sessions) as session:
        now = reported.clock()
        assert usual_latency(session, now) is None
        assert usual_latency(session, now + 3 * DAY_S) == view_day(session, ("pacs",), now).latency
        assert usual_latency(session, now + 9 * DAY_S) is None


def test_the_disk_of_a_new_node_is_not_said_to_last_for_a_week_that_it_has_not_received(reported: Road):
    with read_only(reported.sessions) as session:
        received = session.scalars(select(Instance.path)).all()
        a_day = sum((reported.data_dir / path).stat().st_size for path in received)
        disk = view_disk(session, reported.data_dir, 0, reported.clock())
        assert disk.days_left == pytest.approx(disk.free_bytes / a_day)


def test_who_was_refused_is_shown_for_a_week_with_the_reason_and_how_often(browse, road: Road):
    refusals = Refusals(road.clock)
    for _ in range(3):
        refusals.note("192.0.2.9", "association", "association refused: 'NEW' at 192.0.2.9 is not among the senders")
    refusals.enter_due(road.sessions)
    browser = browse(road)
    told = "192.0.2.9 Association refused: 'NEW' at 192.0.2.9 is not among the senders 3 2023-11-14"
    assert told in browser.text("/")
    road.clock.seconds += 8 * DAY_S
    assert "192.0.2.9" not in browser.text("/")


def test_of_very_many_callers_who_are_refused_those_that_called_last_are_kept(road: Road):
    with road.sessions.begin() as session:
        for number in range(MOST_CALLERS + 5):
            count_refused(session, f"address {number}", "refused", 1, road.clock() + number)
        callers = refused_callers(session, road.clock())
    assert [caller.address for caller in callers] == [f"address {number}" for number in range(MOST_CALLERS + 4, 4, -1)]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_operators_see_on_a_studys_road_who_retried_it(browse, road: Road, mammogram_study: DemoStudy, role):
    road.all_of_it(mammogram_study.files[0])
    with road.sessions.begin() as session:
        add(session, "ann", role, "a long enough one", road.clock())
        note(session, Act(Deed.RELEASED, Actor("account 7", "olga"), study=1), road.clock())
    browser = browse(road)
    browser.send("/sign-in", "/sign-in", name="ann", password="a long enough one")
    shown = browser.text("/studies/1")
    assert "Released from quarantine" in shown
    assert ("Released from quarantine by olga" in shown) is (role is Role.OPERATOR)
