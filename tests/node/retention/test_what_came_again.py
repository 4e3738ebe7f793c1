"""What comes again for an old study is kept as long as what came first, whatever the node does with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from keeping import DAY_S, deliver, files, purge, reported_and_delivered
from pydicom import Dataset
from road import Road, changed

from dicom_io.network.answers import Status
from node.demo.studies import DemoStudy
from node.intake import receiving
from node.intake.received_again import Difference
from node.store.states import StudyState

pytestmark = pytest.mark.slow
QUARANTINE = {"quarantine_days": 30}


@pytest.fixture
def road(tmp_path: Path, queue_url: str) -> Road:
    return Road(tmp_path / "data", database_url=queue_url)


def dark(file: Path) -> Dataset:
    image = changed(file)
    image.PixelData = bytes(len(image.PixelData))
    return image


CONTRADICTIONS: dict[str, Callable[[Path], Dataset]] = {
    "other pixels": dark,
    "another patient": lambda file: changed(file, PatientID="OTHER"),
    "another study": lambda file: changed(file, StudyInstanceUID="1.2.3.4"),
}


@pytest.mark.parametrize("how", list(CONTRADICTIONS))
@pytest.mark.parametrize("is_old", [True, False])
def test_an_old_study_that_is_quarantined_today_waits_for_a_person_all_its_quarantine_days(
    road: Road, mammogram_study: DemoStudy, how: str, is_old: bool
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    if is_old:
        road.clock.seconds += 400 * DAY_S
    road.receive(CONTRADICTIONS[how](mammogram_study.files[0]))
    assert road.study().state is StudyState.QUARANTINED
    before = files(road, "archive")
    road.clock.seconds += 29 * DAY_S
    purge(road, **QUARANTINE)
    assert files(road, "archive") == before
    road.receive(CONTRADICTIONS[how](mammogram_study.files[1]))  # the days begin again
    before = files(road, "archive")
    road.clock.seconds += 29 * DAY_S
    purge(road, **QUARANTINE)
    assert files(road, "archive") == before
    road.clock.seconds += 2 * DAY_S
    purge(road, **QUARANTINE)
    assert not files(road, "archive")


def test_images_of_a_quarantined_study_stay_while_its_results_are_not_delivered(
    road: Road, mammogram_study: DemoStudy
) -> None:
    road.all_of_it(*mammogram_study.files)
    road.receive(dark(mammogram_study.files[0]))
    road.clock.seconds += 400 * DAY_S
    purge(road, **QUARANTINE)
    assert len(files(road, "archive")) == 4
    deliver(road)
    purge(road, **QUARANTINE)
    assert not files(road, "archive")


@pytest.mark.parametrize("changes", [{}, {"InstitutionName": "New"}, {"StudyDescription": "New"}, {"PatientID": "New"}])
def test_what_comes_again_for_an_old_study_and_is_acknowledged_is_kept_as_if_it_came_first(
    road: Road, mammogram_study: DemoStudy, changes: dict[str, str]
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    road.clock.seconds += 400 * DAY_S
    assert {each.status for each in road.receive(changed(mammogram_study.files[0], **changes))} == {Status.SUCCESS}
    road.all_of_it()
    deliver(road)
    before = files(road, "archive")
    assert len(before) == (5 if changes else 4)
    for setting in ("images_days", "quarantine_days"):
        purge(road, **{setting: 390})
    assert files(road, "archive") == before


def test_an_image_that_is_deleted_while_it_comes_again_is_not_acknowledged(
    road: Road, mammogram_study: DemoStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    road.clock.seconds += 400 * DAY_S

    def meanwhile(*_: object) -> Difference:
        purge(road, images_days=30)
        return Difference.NONE

    monkeypatch.setattr(receiving, "compare", meanwhile)
    (answer,) = road.receive(mammogram_study.files[0])
    assert answer.status is Status.NO_STORAGE
    assert not files(road, "archive")
    (answer,) = road.receive(mammogram_study.files[0])
    assert answer.status is Status.SUCCESS
    assert len(files(road, "archive")) == 1
