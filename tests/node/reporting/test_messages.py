"""Messages in the whole node: what is written, what replaces it, and what a report that fails says."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import ComputedRadiographyImageStorage
from road import Road, changed
from sqlalchemy import select

from dicom_io.results.profiles import MESSAGES, ResultKind
from node.demo.studies import DemoStudy
from node.operations.retry import retry_study
from node.store.database import read_only
from node.store.states import JobState, StudyState
from node.store.tables import Result

pytestmark = pytest.mark.slow


def messages(road: Road) -> list[str]:
    with read_only(road.sessions) as session:
        paths = session.scalars(select(Result.path).order_by(Result.id)).all()
    return [(road.data_dir / path).read_text(encoding="utf-8") for path in paths]


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_report_that_cannot_be_written_is_told_and_later_replaced(
    tmp_path: Path, mammogram_study: DemoStudy, kind: ResultKind
):
    road = Road(tmp_path, profile=kind.lower())
    road.receive(*mammogram_study.files)
    road.read()
    road.close()
    masks = road.data_dir / str(road.instances()[0].masks_path)
    whole = masks.read_bytes()
    masks.write_bytes(b"no masks any more")
    road.report()
    assert road.jobs()[-1].state is JobState.FAILED
    (notice,) = messages(road)
    assert "its report could not be written" in notice
    assert "P_00820" in notice
    masks.write_bytes(whole)
    with road.sessions.begin() as session:
        assert retry_study(session, road.study().id, road.clock())
    road.report()
    assert (road.study().state, road.study().revision) == (StudyState.REPORTED, 2)
    _, report = messages(road)
    assert "This is revision 2: it replaces all earlier reports" in report
    assert "could not be written" not in report
    old, new = road.deliveries()
    assert (old.error, new.error) == ("replaced by revision 2", "")


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_study_without_a_breast_image_gives_no_message(tmp_path: Path, mammogram_study: DemoStudy, kind: ResultKind):
    road = Road(tmp_path, profile=kind.lower())
    chest = {"SOPClassUID": ComputedRadiographyImageStorage, "Modality": "CR", "BodyPartExamined": "CHEST"}
    road.all_of_it(changed(mammogram_study.files[1], **chest))
    assert road.study().state is StudyState.NOT_READ
    assert (messages(road), road.deliveries()) == ([], [])


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_study_of_which_nothing_could_be_read_gives_a_message_that_says_so(
    tmp_path: Path, mammogram_study: DemoStudy, kind: ResultKind
):
    road = Road(tmp_path, profile=kind.lower())
    road.all_of_it(changed(mammogram_study.files[0], BitsAllocated=64))
    (message,) = messages(road)
    assert "Nothing in this study could be read: this report says nothing about the breasts." in message
