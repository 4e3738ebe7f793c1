"""Corrected headers, in the whole node: what is reported is what a study that was right at once would have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import DigitalMammographyXRayImageStorageForProcessing
from road import Road, changed, texts

from node.demo.studies import DemoStudy
from node.reader.executor import Read, Unreadable
from node.store.states import JobState, StudyState

pytestmark = pytest.mark.slow

RAW = {
    "SOPClassUID": DigitalMammographyXRayImageStorageForProcessing,
    "PresentationIntentType": "FOR PROCESSING",
    "PixelIntensityRelationship": "LIN",
}


def reading_of(road: Road) -> dict[str, object]:
    (image,) = road.instances()
    return {key: value for key, value in (image.reading or {}).items() if key != "seconds"}


def words_of(road: Road) -> list[str]:
    """The sentences of the newest report, without the one that names its revision."""
    return [line for line in texts(road.results("SR")[-1]).splitlines() if "revision" not in line.lower()]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"ImageLaterality": "L", "PatientOrientation": None}, {"ImageLaterality": "R"}),
        ({"ImageLaterality": "R", "PatientOrientation": None}, {"ImageLaterality": "L"}),
        ({"WindowCenter": 60000, "WindowWidth": 2}, {"WindowCenter": 2000, "WindowWidth": 4000}),
        ({}, {"RescaleSlope": 2, "RescaleIntercept": 0}),
        ({"PatientOrientation": ["A", "F"]}, {"PatientOrientation": ["A", "H"]}),
        ({}, {"ViewPosition": "MLO", "ViewCodeSequence": []}),
        ({"BreastImplantPresent": "NO"}, {"BreastImplantPresent": "YES"}),
        ({}, {"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]}),
        ({}, {"ImageType": ["DERIVED", "PRIMARY", "SUBTRACTION"]}),
        ({"ImageType": ["DERIVED", "PRIMARY", "SUBTRACTION"]}, {"ImageType": ["ORIGINAL", "PRIMARY"]}),
        ({}, {"PartialView": "YES"}),
        ({}, {"PixelPaddingValue": 0}),
        ({**RAW, "PixelIntensityRelationshipSign": 1}, {"PixelIntensityRelationshipSign": -1}),
        ({"ImagerPixelSpacing": [0.1, 0.1]}, {"ImagerPixelSpacing": [0.05, 0.05]}),
        ({"PatientName": "A\N{REPLACEMENT CHARACTER}"}, {"PatientName": "Right^Name"}),
        ({}, {"PatientName": "Married^Name"}),
    ],
)
def test_a_corrected_image_is_reported_as_if_it_had_been_right_at_once(
    tmp_path: Path, mammogram_study: DemoStudy, first: dict[str, object], then: dict[str, object]
) -> None:
    def image(changes: dict[str, object]) -> Dataset:
        return changed(mammogram_study.files[1], **{"SpecificCharacterSet": "ISO_IR 192", **changes})

    corrected, right = Road(tmp_path / "corrected"), Road(tmp_path / "right")
    corrected.all_of_it(image(first))
    corrected.all_of_it(image(first | then))
    right.all_of_it(image(first | then))
    assert reading_of(corrected) == reading_of(right)
    assert corrected.study().state is right.study().state
    if right.study().state is StudyState.REPORTED:
        assert words_of(corrected) == words_of(right)


def test_a_corrected_name_keeps_the_reading(tmp_path: Path, mammogram_study: DemoStudy) -> None:
    road = Road(tmp_path)
    road.all_of_it(mammogram_study.files[1])
    road.all_of_it(changed(mammogram_study.files[1], PatientName="Married^Name"))
    assert road.study().revision == 2
    assert len(road.results("SEG")) == 2, "the outlines state the name"
    assert [job.state for job in road.jobs() if job.instance_id] == [JobState.DONE]


def test_an_image_that_is_no_view_any_more_leaves_the_report(tmp_path: Path, mammogram_study: DemoStudy) -> None:
    road = Road(tmp_path)
    road.all_of_it(*mammogram_study.files[:2])
    road.all_of_it(changed(mammogram_study.files[1], ImageType=["DERIVED", "PRIMARY", "SUBTRACTION"]))
    gone = road.instances()[1]
    assert (gone.reading, gone.unread) == (None, "no-view")
    assert gone.unread_reason in texts(road.results("SR")[-1])


@pytest.mark.parametrize("other_reader", [True, False])
def test_a_reading_of_the_old_file_never_replaces_one_of_the_corrected_file(
    tmp_path: Path, mammogram_study: DemoStudy, other_reader: bool
) -> None:
    road = Road(tmp_path)
    road.receive(changed(mammogram_study.files[1], ImagerPixelSpacing=[0.1, 0.1]))
    begun = road.reader._begin()
    road.receive(changed(mammogram_study.files[1], ImagerPixelSpacing=[0.05, 0.05]))
    if other_reader:
        assert replace(road.reader, worker="other/reader").read_some() == 1
    road.reader._read(begun)
    road.read()
    assert reading_of(road)["spacing_mm"] == [0.05, 0.05]
    assert [path.name for path in (tmp_path / "readings").iterdir()] == ["1-2-1.npz"], "the masks of the other are gone"
    road.close()
    road.report()
    assert road.study().state is StudyState.REPORTED


def of(outcome: Read | Unreadable) -> Callable[[object], list[tuple[int, Read | Unreadable]]]:
    return lambda renewed: [(0, outcome)]


@pytest.mark.parametrize("changes", [{"ImagerPixelSpacing": [0.05, 0.05]}, {"PatientName": "Married^Name"}])
def test_an_image_that_came_again_is_not_unreadable_because_its_old_file_was(
    tmp_path: Path, mammogram_study: DemoStudy, changes: dict[str, object]
) -> None:
    road = Road(tmp_path)
    road.receive(mammogram_study.files[1])
    begun = road.reader._begin()
    road.receive(changed(mammogram_study.files[1], **changes))
    assert begun is not None
    road.reader._read(replace(begun, outcomes=of(Unreadable("damaged"))))
    assert road.instances()[0].unread is None
    road.read()
    assert road.instances()[0].reading is not None


def test_a_reading_that_is_stored_under_the_old_files_name_is_made_again(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    road = Road(tmp_path)
    road.receive(mammogram_study.files[1])
    begun = road.reader._begin()
    road.receive(changed(mammogram_study.files[1], PatientName="Married^Name"))
    road.reader._read(begun)
    (job,) = road.jobs()
    assert (job.state, job.attempts, road.instances()[0].reading) == (JobState.WAITING, 0, None)
    road.read()
    assert road.instances()[0].reading is not None
