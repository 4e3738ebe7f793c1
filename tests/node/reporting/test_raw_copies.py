"""A raw image is left unread only if an image for presentation of the same exposure is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import DigitalMammographyXRayImageStorageForProcessing, generate_uid
from road import Road, changed, texts
from simple_models import OneMass

from dicom_io.acquisition import Acquisition, acquisition_of
from node.demo.studies import DemoStudy
from node.store.unread import Unread, sentence

pytestmark = pytest.mark.slow


def image(file: Path, *, raw: bool = False, displaced: bool = False, **stated: object) -> Dataset:
    """A further image of the file's view: raw, or with the implant displaced."""
    made = changed(file, SOPInstanceUID=generate_uid(), **stated)
    del made.SourceImageSequence  # the film that the mammogram was made from
    if raw:
        made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForProcessing
        made.PresentationIntentType = "FOR PROCESSING"
    if displaced:
        modifier = Dataset()
        modifier.CodeValue, modifier.CodingSchemeDesignator, modifier.CodeMeaning = (
            "399209000",
            "SCT",
            "Implant displaced",
        )
        made.ViewCodeSequence[0].ViewModifierCodeSequence = [modifier]
    return made


def made_from(shown: Dataset, *raws: Dataset) -> Dataset:
    shown.SourceImageSequence = []
    for raw in raws:
        source = Dataset()
        source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = raw.SOPClassUID, raw.SOPInstanceUID
        shown.SourceImageSequence.append(source)
    return shown


def read(road: Road) -> list[bool]:
    return [instance.reading is not None for instance in road.instances()]


AT = {"AcquisitionDate": "20260301", "AcquisitionTime": "101500.25"}
LATER = {"AcquisitionDate": "20260301", "AcquisitionTime": "101730"}
SAME_SECOND = {"AcquisitionDateTime": "20260301101500"}


@pytest.mark.parametrize(
    ("of_shown", "of_raw", "is_copy"),
    [
        ({}, {}, True),
        (AT, AT, True),
        (AT, SAME_SECOND, True),
        (AT, LATER, False),
        (AT, {}, True),
        ({"AcquisitionNumber": "1"}, {"AcquisitionNumber": "2"}, False),
        ({"IrradiationEventUID": "1.2.7", **AT}, {"IrradiationEventUID": "1.2.7", **LATER}, True),
        ({"IrradiationEventUID": "1.2.7", **AT}, {"IrradiationEventUID": "1.2.8", **AT}, False),
        ({}, {"displaced": True}, False),
        ({"displaced": True, **AT}, {"displaced": True, **AT}, True),
    ],
)
def test_a_raw_image_is_read_unless_its_own_image_for_presentation_is(
    tmp_path: Path, mammogram_study: DemoStudy, of_shown: dict[str, Any], of_raw: dict[str, Any], is_copy: bool
) -> None:
    road = Road(tmp_path)
    file = mammogram_study.files[1]
    road.all_of_it(image(file, **of_shown), image(file, raw=True, **of_raw))
    assert read(road) == [True, not is_copy]
    assert (sentence(Unread.RAW_COPY) in texts(road.results("SR")[0])) is is_copy


def test_an_image_for_presentation_that_names_its_raw_image_stands_for_no_other(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    road = Road(tmp_path)
    file = mammogram_study.files[1]
    own, other = image(file, raw=True), image(file, raw=True)
    road.all_of_it(made_from(image(file, **AT), own), own, other)
    assert read(road) == [True, False, True]


def test_two_raw_images_of_a_view_are_both_read_where_it_is_not_told_whose_the_one_for_presentation_is(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    road = Road(tmp_path)
    file = mammogram_study.files[1]
    road.all_of_it(image(file), image(file, raw=True), image(file, raw=True))
    assert read(road) == [True, True, True]


def test_a_raw_image_is_read_if_its_own_image_for_presentation_is_unreadable_though_another_of_the_view_is_not(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    road = Road(tmp_path, models=OneMass(0.4))
    file = mammogram_study.files[1]
    first, second = image(file, raw=True, **AT), image(file, raw=True, **LATER)
    road.all_of_it(image(file, **AT), first, image(file, BitsAllocated=64, **LATER), second)
    road.read()
    road.report()
    assert read(road) == [True, False, False, True]


def test_a_synthetic_image_stands_for_no_raw_image(tmp_path: Path, mammogram_study: DemoStudy) -> None:
    road = Road(tmp_path)
    file = mammogram_study.files[1]
    synthetic = image(file, ImageType=["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"])
    road.all_of_it(synthetic, image(file, raw=True))
    assert read(road) == [True, True]


def test_what_a_header_states_of_its_exposure_is_kept_as_it_was(mammogram_study: DemoStudy) -> None:
    file = mammogram_study.files[1]
    shown = made_from(image(file, displaced=True, IrradiationEventUID="1.2.7", **AT), image(file, raw=True))
    found = acquisition_of(shown)
    assert (found.time, found.event, found.modifiers, len(found.sources)) == (
        "20260301101500", "1.2.7", ("399209000",), 1,
    )  # fmt: skip
    assert Acquisition.from_json(found.as_json()) == found
    assert Acquisition.from_json(None) == Acquisition()
