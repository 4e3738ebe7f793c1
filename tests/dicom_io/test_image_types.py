"""An image that is no ordinary view of a breast is never read as one: by any value of Image Type."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from dicom_io.headers import describe, why_never_read
from dicom_io.image_types import IMAGE_TYPES, what_kind_of_view

CLASS = "1.2.840.10008.5.1.4.1.1."
OUTSIDE = "outside the Standard"
STANDARD = {
    # PS3.3 C.8.11.7.1.4, value 3
    "STEREO_SCOUT", "STEREO_MINUS", "STEREO_PLUS", "PREFIRE_MINUS", "PREFIRE_PLUS", "POSTFIRE_MINUS", "POSTFIRE_PLUS",
    "POSTBIOPSY_MINUS", "POSTBIOPSY_PLUS", "POSTBIOPSY", "POSTMARKER_MINUS", "POSTMARKER_PLUS", "POSTMARKER",
    "TOMO_PROJ", "TOMOSYNTHESIS", "TOMO_SCOUT", "PREFIRE", "POSTFIRE", "PRE_CONTRAST", "POST_CONTRAST",
    # value 4, value 5
    "GENERATED_2D", "ADDITION", "SUBTRACTION", "LOW_ENERGY", "HIGH_ENERGY",
    # C.8.21.6.1.1, value 4
    "MAXIMUM", "MEAN",
}  # fmt: skip
READ = {"GENERATED_2D", "LOW_ENERGY"}


def an_image(*image_type: str, sop: str = "1.2", **attributes: object) -> Dataset:
    made = Dataset()
    made.SOPClassUID, made.Modality = CLASS + sop, "MG"
    made.SOPInstanceUID = made.StudyInstanceUID = made.SeriesInstanceUID = "1.2.3"
    made.ImageType = list(image_type)
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def test_the_table_has_a_row_for_each_value_of_the_standard() -> None:
    assert {value for row in IMAGE_TYPES if row.clause != OUTSIDE for value in row.values} == STANDARD
    assert all(row.clause.startswith("PS3.3 C.8.") for row in IMAGE_TYPES if row.clause != OUTSIDE)


@pytest.mark.parametrize("value", sorted(STANDARD - READ))
@pytest.mark.parametrize("sop", ["1.2", "1.2.1"])
@pytest.mark.parametrize("place", [2, 3, 4])
def test_images_that_the_standard_does_not_count_as_ordinary_views_are_named_and_not_read(
    value: str, sop: str, place: int
) -> None:
    image_type = ["DERIVED", "PRIMARY", "", "", ""]
    image_type[place] = value
    assert value in why_never_read(an_image(*image_type, sop=sop))


@pytest.mark.parametrize(
    "image_type",
    [
        # as devices send it
        ["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION", "", "", "", "", "50000"],  # Hologic I-View
        ["DERIVED", "PRIMARY", "", "RECOMBINED"],  # GE SenoBright
        ["ORIGINAL", "PRIMARY", "", "HIGH_ENERGY"],
        ["ORIGINAL", "PRIMARY", "", "HIGH_ENER"],
        ["ORIGINAL", "PRIMARY", "", "HIGH ENERGY"],
        ["ORIGINAL", "PRIMARY", "CESM", "HE"],
        ["DERIVED", "PRIMARY", "TOMO PLANES"],
        ["DERIVED", "PRIMARY", "DBT"],
        ["ORIGINAL", "PRIMARY", "NEEDLE_LOC"],
        ["ORIGINAL", "PRIMARY", "POST_CONTRAST"],
        ["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION", "LOW_ENERGY"],
        ["DERIVED", "PRIMARY", "TOMO_PROJ", "RIGHT", "", "", "", "", "150000"],
        ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE", "", "", "", "", "150000"],
        ["DERIVED", "PRIMARY", "TOMO_SLICE"],
        ["DERIVED", "PRIMARY", "TOMO_SCOUT", "GENERATED_2D"],
        ["DERIVED", "PRIMARY", "PREFIRE", "GENERATED_2D"],
        ["ORIGINAL", "PRIMARY", "STEREO"],
        ["ORIGINAL", "PRIMARY", "SPECIMEN"],
        ["ORIGINAL", "PRIMARY", "PHANTOM"],
        *(
            ["DERIVED", "PRIMARY", "", value]
            for value in (
                "CESM_RECOMBINED",
                "CESM_RECOMB",
                "CEM_RECOMB",
                "DES_RECOMBINED",
                "DUAL_ENERGY_RECOMBINED",
                "CESM_SUB",
                "CE_SUB",
                "CEDM_DES",
                "IODINE",
                "CESM_HIGH_ENERGY",
                "CEDM_HE",
                "CEDM_HIGH_ENERGY",
                "CEM_HIGH",
                "CESM_PROC",
                "DUAL_ENERGY_IMAGE",
                "TEST_PATTERN",
                "RECON",
                "3D",
                "MINIMUM",
                "MEDIAN",
                "AVG_IP",
                "DIFFERENCE",
                "UNIFORMITY",
                "SCREEN SHOT",
                "DENSITY_MAP",
                "DOSE_REPORT",
                "PATIENT_FORM",
                "MOSAIC",
            )
        ),
    ],
)
def test_other_images_that_devices_send_and_that_are_no_ordinary_views_are_not_read(image_type: list[str]) -> None:
    assert why_never_read(an_image(*image_type))


@pytest.mark.parametrize(
    ("image_type", "expected"),
    [
        (["ORIGINAL", "PRIMARY"], ""),
        (["DERIVED", "SECONDARY"], ""),
        (["ORIGINAL", "PRIMARY", "", "", "", "", "", "", "150000"], ""),
        (["ORIGINAL", "PRIMARY", "POST_PROCESSED", "", "", "", "", "", "50000"], ""),
        (["ORIGINAL", "PRIMARY", "POST_CONTRAST", "", "LOW_ENERGY"], "low-energy"),
        (["ORIGINAL", "PRIMARY", "", "LOW_ENERGY"], "low-energy"),
        (["DERIVED", "SECONDARY", "", "LOW_ENER"], "low-energy"),
        (["DERIVED", "SECONDARY", "CESM", "LOW ENERGY"], "low-energy"),
        (["DERIVED", "PRIMARY", "TOMO", "C-View"], "synthetic"),
        (["DERIVED", "PRIMARY", "TOMO_SYNTHETIC"], "synthetic"),
        (["DERIVED", "PRIMARY", "DBT", "SVIEW"], "synthetic"),
        (["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D", "", "", "", "", "150000"], "synthetic"),
        (["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D"], "synthetic"),
        (["DERIVED", "PRIMARY", "TOMO_2D", "LEFT", "", "", "", "", "150000"], "TOMO_2D"),
        (["ORIGINAL", "PRIMARY", "FOO"], "unknown value 'FOO'"),
        *(
            (["ORIGINAL", "PRIMARY", "", value], "low-energy")
            for value in ("CESM_LOW_ENERGY", "CEDM_LE", "LE", "DES_LOW_ENERGY", "CEM_LOW", "DUAL_ENERGY_LOW")
        ),
        *((["DERIVED", "PRIMARY", "", value], "spot view") for value in ("SPOT", "MAG", "MAGNIFIED", "SPOT_MAG")),
        (["DERIVED", "PRIMARY", "", "CROPPED"], "cut out"),
    ],
)
def test_other_views_are_read_and_named_in_the_report(image_type: list[str], expected: str) -> None:
    image = an_image(*image_type)
    assert why_never_read(image) == ""
    sentences = " ".join(what_kind_of_view(image))
    assert expected in sentences
    assert bool(expected) == bool(sentences)


@pytest.mark.parametrize(
    ("value", "extent"),
    [("SPOT", "spot/magnified"), ("MAGNIFIED", "spot/magnified"), ("CROPPED", "partial"), ("FOO", "")],
)
def test_a_partial_view_by_its_image_type_does_not_count_as_a_standard_view(value: str, extent: str) -> None:
    assert describe(an_image("DERIVED", "PRIMARY", "", value, ViewPosition="CC")).extent == extent


def test_a_synthetic_image_stored_as_tomosynthesis_is_read_by_its_frame_type_too() -> None:
    frame, group = Dataset(), Dataset()
    frame.FrameType = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]
    group.XRay3DFrameTypeSequence = [frame]
    image = an_image("DERIVED", "PRIMARY", sop="13.1.3", NumberOfFrames=1, SharedFunctionalGroupsSequence=[group])
    assert why_never_read(image) == ""
    assert "tomosynthesis" in why_never_read(an_image("DERIVED", "PRIMARY", sop="13.1.3", NumberOfFrames=1))


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"QualityControlImage": "YES"}, "quality control"),
        ({"QualityControlImage": "BOTH"}, "phantom"),
        ({"QualityControlSubject": "YES"}, "quality control"),
        ({"NumberOfFrames": 5}, "several"),
        ({"ViewPosition": "SPECIMEN"}, "specimen"),
    ],
)
def test_quality_control_images_specimens_and_stacks_are_named(attributes: dict[str, object], why: str) -> None:
    assert why in describe(an_image("ORIGINAL", "PRIMARY", **attributes)).no_view


@settings(max_examples=60)
@given(
    blocked=st.sampled_from(sorted(STANDARD - READ - {"TOMOSYNTHESIS", "PRE_CONTRAST", "POST_CONTRAST"})),
    others=st.lists(st.sampled_from(sorted(STANDARD | {"", "LEFT", "150000", "NONE"})), max_size=5),
    at=st.integers(0, 5),
)
def test_no_further_value_of_image_type_turns_another_image_into_an_ordinary_view(
    blocked: str, others: list[str], at: int
) -> None:
    assert why_never_read(an_image("ORIGINAL", "PRIMARY", *others[:at], blocked, *others[at:]))
