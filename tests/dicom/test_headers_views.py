"""Which breast, which view, and whether the whole field is shown."""

import pytest
from pydicom import Dataset

from dicom_io.headers import chest_wall_side, has_implant, is_full_field, laterality_of, view_of
from models.types import Laterality


def a_dataset(**attributes: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def a_view(code: str, *modifiers: str) -> list[Dataset]:
    def concept(value: str) -> Dataset:
        return a_dataset(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning="x")

    view = concept(code)
    view.ViewModifierCodeSequence = [concept(modifier) for modifier in modifiers]
    return [view]


@pytest.mark.parametrize(
    ("attributes", "laterality"),
    [
        ({"ImageLaterality": "L"}, "L"),
        ({"ImageLaterality": "R", "Laterality": "L"}, "R"),
        ({"ImageLaterality": "", "Laterality": "L"}, "L"),
        ({"ImageLaterality": "B", "Laterality": "L"}, None),
        ({"SharedFunctionalGroupsSequence": [a_dataset(FrameAnatomySequence=[a_dataset(FrameLaterality="R")])]}, "R"),
        ({"PatientOrientation": ["A", "FR"], "ViewPosition": "MLO"}, "L"),
        ({"PatientOrientation": ["P", "FL"], "ViewPosition": "MLO"}, "R"),
        ({"PatientOrientation": ["A", "HL"], "ViewPosition": "MLO"}, "L"),
        ({"PatientOrientation": ["A", "R"], "ViewPosition": "CC"}, None),
        ({"PatientOrientation": ["A", "F"], "ViewPosition": "MLO"}, None),
        ({}, None),
    ],
)
def test_the_breast_is_told_where_the_header_tells_it(attributes: dict[str, object], laterality: str | None) -> None:
    expected = Laterality(laterality) if laterality else None
    assert laterality_of(a_dataset(**attributes)) is expected


@pytest.mark.parametrize(
    ("attributes", "view"),
    [
        ({"ViewPosition": "MLO"}, "MLO"),
        ({"ViewPosition": "CC"}, "CC"),
        ({"ViewCodeSequence": a_view("399162004")}, "CC"),
        ({"ViewCodeSequence": a_view("R-10226")}, "MLO"),
        ({"ViewCodeSequence": a_view("Y-X1770")}, "XCCL"),
        ({"ViewCodeSequence": a_view("399352003"), "ViewPosition": "CC"}, "LM"),
        ({"ViewCodeSequence": a_view("12345"), "ViewPosition": "CC"}, "CC"),
        ({"PatientOrientation": "MLO"}, "MLO"),
        ({"PatientOrientation": ["A", "R"]}, None),
        ({"ViewPosition": "AP"}, None),
        ({}, None),
    ],
)
def test_the_view_is_told_where_the_header_tells_it(attributes: dict[str, object], view: str | None) -> None:
    assert view_of(a_dataset(**attributes)) == view


@pytest.mark.parametrize(
    ("attributes", "full"),
    [
        ({}, True),
        ({"EstimatedRadiographicMagnificationFactor": "1.07"}, True),
        ({"EstimatedRadiographicMagnificationFactor": "1.8"}, False),
        ({"ViewCodeSequence": a_view("399162004")}, True),
        ({"ViewCodeSequence": a_view("399162004", "399163009")}, False),
        ({"ViewCodeSequence": a_view("399162004", "R-102D7")}, False),
        ({"ViewCodeSequence": a_view("399162004", "399209000")}, True),
        ({"ViewCodeSequence": a_view("127457009")}, False),
    ],
)
def test_magnification_spot_views_and_specimens_are_no_full_field(attributes: dict[str, object], full: bool) -> None:
    assert is_full_field(a_dataset(**attributes)) is full


@pytest.mark.parametrize(
    ("attributes", "implant"),
    [
        ({}, False),
        ({"BreastImplantPresent": "NO"}, False),
        ({"BreastImplantPresent": "YES"}, True),
        ({"ViewCodeSequence": a_view("399162004", "399209000")}, True),
    ],
)
def test_implants_are_noticed(attributes: dict[str, object], implant: bool) -> None:
    assert has_implant(a_dataset(**attributes)) is implant


@pytest.mark.parametrize(
    ("attributes", "side"),
    [
        ({"PatientOrientation": ["A", "FR"]}, "left"),
        ({"PatientOrientation": ["P", "L"], "ImageLaterality": "R"}, "right"),
        ({"PatientOrientation": ["P", "L"], "ImageLaterality": "L"}, "right"),
        ({"PatientOrientation": "MLO", "Laterality": "R"}, "right"),
        ({"ImageLaterality": "L"}, "left"),
        ({"ImageLaterality": "L", "FieldOfViewHorizontalFlip": "YES"}, None),
        ({"PatientOrientation": ["F", "A"], "ImageLaterality": "L"}, None),
        ({}, None),
    ],
)
def test_the_side_of_the_chest_wall_follows_from_the_orientation(attributes: dict[str, object], side: str) -> None:
    assert chest_wall_side(a_dataset(**attributes)) == side
