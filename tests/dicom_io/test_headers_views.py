"""Which breast, which view, and whether the whole field is shown."""

import pytest
from pydicom import Dataset

from dicom_io.headers import chest_wall_side, laterality_of
from dicom_io.views import extent_of, has_implant, unknown_modifiers, view_of
from models.types.mammogram import Laterality


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
        ({"ImageLaterality": "LEFT", "Laterality": "R"}, "R"),
        ({"ImageLaterality": "U", "Laterality": "R"}, "R"),
        ({"ImageLaterality": "X", "PatientOrientation": ["A", "FR"], "ViewPosition": "MLO"}, "L"),
        (
            {
                "ImageLaterality": "X",
                "PerFrameFunctionalGroupsSequence": [a_dataset(FrameAnatomySequence=[a_dataset(FrameLaterality="L")])],
            },
            "L",
        ),
        ({"SharedFunctionalGroupsSequence": [a_dataset(FrameAnatomySequence=[a_dataset(FrameLaterality="R")])]}, "R"),
        ({"PatientOrientation": ["A", "FR"], "ViewPosition": "MLO"}, "L"),
        ({"PatientOrientation": ["P", "FL"], "ViewPosition": "MLO"}, "R"),
        ({"PatientOrientation": ["A", "HL"], "ViewPosition": "MLO"}, "L"),
        ({"ImageLaterality": ["L", "R"]}, None),
        ({"ImageLaterality": ["L", "R"], "Laterality": "R"}, "R"),
        *(
            ({"AnatomicRegionSequence": [a_dataset(CodeValue=value)]}, side)
            for value, side in (
                ("80248007", "L"),
                ("T-04030", "L"),
                ("73056007", "R"),
                ("T-04020", "R"),
                ("76752008", None),
                ("63762007", None),
            )
        ),
        (
            {
                "AnatomicRegionSequence": [
                    a_dataset(CodeValue="76752008", AnatomicRegionModifierSequence=[a_dataset(CodeValue="7771000")])
                ]
            },
            "L",
        ),
        ({"AnatomicRegionSequence": [a_dataset(CodeValue="80248007"), a_dataset(CodeValue="73056007")]}, None),
        ({"ImageLaterality": "R", "AnatomicRegionSequence": [a_dataset(CodeValue="80248007")]}, "R"),
        ({"PatientOrientation": ["A", "R"], "ViewPosition": "CC"}, None),
        ({"PatientOrientation": ["A", "F"], "ViewPosition": "MLO"}, None),
        ({}, None),
    ],
)
def test_the_breast_is_read_from_every_attribute_that_can_state_it(
    attributes: dict[str, object], laterality: str | None
) -> None:
    expected = Laterality(laterality) if laterality else None
    assert laterality_of(a_dataset(**attributes)) is expected


SPECIMENS: list[dict[str, object]] = [
    {"SpecimenDescriptionSequence": [a_dataset(SpecimenIdentifier="S1")]},
    {"SpecimenSequence": [a_dataset(SpecimenIdentifier="S1")]},
    {"ContainerIdentifier": "C1"},
    {"SpecimenAccessionNumber": "S1"},
    {"BodyPartExamined": "SPECIMEN"},
    {"ViewModifierCodeSequence": [a_dataset(CodeValue="127457009")]},
    {"ViewModifierCodeSequence": [a_dataset(CodeValue="X", CodeMeaning="Tissue specimen")]},
    {"AnatomicRegionSequence": [a_dataset(CodeValue="119376003")]},
]


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
        ({"ViewPosition": "LAT"}, None),
        # a film's label, with side, magnification, or what was done
        ({"ViewPosition": "RCC"}, "CC"),
        ({"ViewPosition": "LMLO"}, "MLO"),
        ({"ViewPosition": "LMMLO"}, "MLO"),
        ({"ViewPosition": "CCID"}, "CC"),
        ({"ViewPosition": "CC ID"}, "CC"),
        ({"ViewPosition": "R MLO"}, "MLO"),
        ({"ViewPosition": ["CC", "ID"]}, "CC"),
        ({"ViewPosition": "AT"}, None),
        # an exaggerated view, given as a modifier of the cranio-caudal one
        ({"ViewCodeSequence": a_view("399162004", "399192008"), "ViewPosition": "CC"}, "XCCL"),
        ({"ViewModifierCodeSequence": a_view("399265009"), "ViewPosition": "CC"}, "XCC"),
        # or by a label beside the code
        *(
            ({"ViewCodeSequence": a_view("399162004"), "ViewPosition": label}, label)
            for label in ("XCC", "XCCL", "XCCM")
        ),
        ({"ViewCodeSequence": a_view("399162004"), "ViewPosition": "LXCCL"}, "XCCL"),
        ({"ViewPosition": ["CC", "MLO"]}, None),
        # a specimen, whatever view is named beside
        *(({"ViewCodeSequence": a_view("399162004"), "ViewPosition": "CC", **mark}, "SPECIMEN") for mark in SPECIMENS),
        ({}, None),
    ],
)
def test_the_view_is_read_from_every_attribute_that_can_state_it(
    attributes: dict[str, object], view: str | None
) -> None:
    assert view_of(a_dataset(**attributes)) == view


def named(value: str, meaning: str) -> dict[str, object]:
    view = a_view("399162004")
    view[0].ViewModifierCodeSequence = [a_dataset(CodeValue=value, CodingSchemeDesignator="99X", CodeMeaning=meaning)]
    return {"ViewCodeSequence": view}


def modifiers(*codes: str) -> list[Dataset]:
    return [a_dataset(CodeValue=code, CodingSchemeDesignator="SCT", CodeMeaning="x") for code in codes]


@pytest.mark.parametrize(
    ("attributes", "extent"),
    [
        ({}, ""),
        ({"ViewCodeSequence": a_view("399162004")}, ""),
        ({"EstimatedRadiographicMagnificationFactor": "1.07"}, ""),
        *(({"ViewPosition": whole}, "") for whole in ("ML", "LMLO", "MLOID", "CCNP", "LAT", "AP")),
        *(({"ViewPosition": label}, "spot/magnified") for label in ("MCC", "LMMLO", "SCC")),
        *(({"ViewPosition": label}, "rolled") for label in ("CCRL", "RCCRM")),
        ({"ViewPosition": "AT"}, "axillary tail"),
        ({"EstimatedRadiographicMagnificationFactor": "180"}, ""),
        ({"EstimatedRadiographicMagnificationFactor": "1.8"}, "spot/magnified"),
        ({"DistanceSourceToDetector": "660", "DistanceSourceToPatient": "366"}, "spot/magnified"),
        ({"DistanceSourceToDetector": "660", "DistanceSourceToPatient": "640"}, ""),
        ({"ViewCodeSequence": a_view("399162004", "399163009")}, "spot/magnified"),
        ({"ViewCodeSequence": a_view("399162004", "R-102D7")}, "spot/magnified"),
        # Modifiers at another level count as well: beside the view, as a further view, in the functional groups.
        ({"ViewModifierCodeSequence": modifiers("399163009")}, "spot/magnified"),
        ({"ViewCodeSequence": [*a_view("399162004"), *modifiers("399161006")]}, "cleavage"),
        (
            {"SharedFunctionalGroupsSequence": [a_dataset(ViewModifierCodeSequence=modifiers("399055006"))]},
            "spot/magnified",
        ),
        ({"ViewCodeSequence": a_view("399162004", "399161006")}, "cleavage"),
        ({"ViewCodeSequence": a_view("399368009", "399011000")}, "axillary tail"),
        ({"ViewCodeSequence": a_view("399368009", "R-102D1")}, "axillary tail"),
        ({"ViewCodeSequence": a_view("399368009", "442580003")}, "axillary tissue"),
        ({"ViewCodeSequence": a_view("399162004", "442593008")}, "infra-mammary fold"),
        ({"ViewCodeSequence": a_view("399162004", "441752004")}, "anterior part"),
        ({"ViewCodeSequence": a_view("399162004", "399110001")}, "tangential"),
        ({"ViewCodeSequence": a_view("399162004", "399197002")}, "rolled"),
        ({"ViewCodeSequence": a_view("399162004", "399163009", "399161006")}, "spot/magnified, cleavage"),
        # a maker's own modifiers, and labels beside a coded view
        (named("SPOT", "Spot compression view"), "spot/magnified"),
        (named("M", "Magnified"), "spot/magnified"),
        (named("X1", "Exaggerated lateral"), "exaggerated"),
        (named("X2", "Axilla"), "axillary tissue"),
        (named("X3", "Biplane 7"), "unknown modifier"),
        (named("", ""), "unknown modifier"),
        ({"ViewCodeSequence": [*a_view("399162004"), a_dataset(CodeValue="X3")]}, "unknown modifier"),
        (named("399192008", "x"), ""),  # a separate view, XCCL
        *(
            ({"ViewCodeSequence": a_view("399162004"), "ViewPosition": label}, extent)
            for label, extent in (
                ("AT", "axillary tail"),
                ("CV", "cleavage"),
                ("AXILLARY TAIL", "axillary tail"),
                ("AXILLA", "axillary tissue"),
                ("CLEAVAGE", "cleavage"),
                ("SPOT", "spot/magnified"),
                ("CC_MAG", "spot/magnified"),
            )
        ),
        ({"PartialView": "YES"}, "partial"),
        ({"PartialView": "NO"}, ""),
        ({"PartialViewCodeSequence": modifiers("255561001")}, "partial"),
        ({"PartialViewDescription": "medial part"}, "partial"),
        # Whole views: implant displaced, nipple in profile.
        ({"ViewCodeSequence": a_view("399162004", "399209000")}, ""),
        ({"ViewCodeSequence": a_view("399162004", "442581004")}, ""),
        ({"ViewCodeSequence": a_view("127457009")}, "specimen"),
        *((mark, "specimen") for mark in SPECIMENS),
    ],
)
def test_view_modifiers_are_read_from_every_attribute_that_can_state_them(
    attributes: dict[str, object], extent: str
) -> None:
    assert extent_of(a_dataset(**attributes)) == extent


def test_a_modifier_with_a_private_code_is_recognised_by_its_meaning() -> None:
    own = a_dataset(CodeValue="M1", CodingSchemeDesignator="99ACME", CodeMeaning="Magnification")
    assert extent_of(a_dataset(ViewModifierCodeSequence=[own])) == "spot/magnified"


def test_an_unknown_modifier_is_named_in_the_report() -> None:
    assert unknown_modifiers(a_dataset(**named("X3", "Biplane 7"))) == ["Biplane 7"]
    assert unknown_modifiers(a_dataset(**named("X3", "x" * 200 + "\n"))) == ["x" * 64]
    assert unknown_modifiers(a_dataset(**named("M", "Magnified"))) == []


@pytest.mark.parametrize(
    ("attributes", "implant"),
    [
        ({}, False),
        ({"BreastImplantPresent": "NO"}, False),
        ({"BreastImplantPresent": "YES"}, True),
        ({"ViewCodeSequence": a_view("399162004", "399209000")}, True),
    ],
)
def test_implants_are_reported(attributes: dict[str, object], implant: bool) -> None:
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
