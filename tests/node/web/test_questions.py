"""What a new administrator asked of a running node, and the page did not say at first."""

from __future__ import annotations

import pytest
from browsing import words
from pydicom import dcmread
from road import Road, changed
from simple_models import BUNDLE
from sqlalchemy import select

from config.peers import DicomDestination
from models.types.birads import AssessmentSource, Category
from node.demo.studies import DemoStudy
from node.operations.day import DAY_S, usual_latency, view_day, view_disk
from node.store.database import read_only
from node.store.states import DeliveryState
from node.store.tables import Delivery, Instance, ReceivedAssessment, Study

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
