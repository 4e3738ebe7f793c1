"""A header that says two things about the breast or the view is named in the report, with both values."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicom_io.contradictions import contradictions
from dicom_io.pixels.mammogram import read_mammogram
from node.demo.studies import DemoStudy


def header(**attributes: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def coded(value: str, **inside: object) -> list[Dataset]:
    return [header(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning="x", **inside)]


RIGHT_REGION = coded("76752008", AnatomicRegionModifierSequence=coded("24028007"))
MLO, CC, XCCL = coded("399368009"), coded("399162004"), coded("399192008")


@pytest.mark.parametrize(
    ("attributes", "named"),
    [
        (
            {"ImageLaterality": "R", "PatientOrientation": ["A", "FR"], "ViewCodeSequence": MLO},
            ["Image Laterality says right", "Patient Orientation (A\\FR) says left"],
        ),
        ({"ImageLaterality": "L", "Laterality": "R"}, ["Image Laterality says left", "Laterality says right"]),
        (
            {"ImageLaterality": "L", "AnatomicRegionSequence": RIGHT_REGION},
            ["Image Laterality says left", "Anatomic Region Sequence says right"],
        ),
        (
            {"Laterality": "L", "AnatomicRegionSequence": coded("73056007")},
            ["Laterality says left", "Anatomic Region Sequence says right"],
        ),
        (
            {"ImageLaterality": "L", "ViewPosition": "RCC"},
            ["Image Laterality says left", "View Position (RCC) says right"],
        ),
        (
            {"ViewPosition": "RMLO", "PatientOrientation": ["A", "FR"]},
            ["Patient Orientation (A\\FR) says left", "View Position (RMLO) says right"],
        ),
        ({"ViewCodeSequence": MLO, "ViewPosition": "CC"}, ["View Code Sequence says MLO", "View Position says CC"]),
        ({"ViewPosition": ["CC", "MLO"]}, ["View Position says CC", "View Position says MLO"]),
    ],
)
def test_two_attributes_that_differ_are_both_named(attributes: dict[str, object], named: list[str]) -> None:
    (sentence,) = contradictions(header(**attributes))
    assert [words for words in named if words in sentence] == named


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"ImageLaterality": "L", "Laterality": "L", "ViewPosition": "LCC", "ViewCodeSequence": CC},
        {"ImageLaterality": "L", "PatientOrientation": ["A", "FR"], "ViewCodeSequence": MLO, "ViewPosition": "MLO"},
        {"ImageLaterality": "R", "AnatomicRegionSequence": RIGHT_REGION},
        {"ImageLaterality": "R", "AnatomicRegionSequence": coded("76752008")},
        {"ImageLaterality": "R", "Laterality": "B"},
        {"ImageLaterality": "R", "PatientOrientation": ["A", "R"], "ViewCodeSequence": CC},
        {"ViewCodeSequence": CC, "ViewPosition": "XCCL"},
        {"ViewCodeSequence": XCCL, "ViewPosition": "CC"},
        {"ViewCodeSequence": coded("399352003"), "ViewPosition": "LM"},
        {"ImageLaterality": "R", "ViewCodeSequence": CC, "ViewPosition": ["CC", "RM"]},
    ],
)
def test_attributes_that_agree_are_no_contradiction(attributes: dict[str, object]) -> None:
    assert list(contradictions(header(**attributes))) == []


def test_the_reading_of_such_an_image_has_the_warning(mammogram_study: DemoStudy, tmp_path: Path) -> None:
    image = dcmread(mammogram_study.files[0])
    image.ImageLaterality, image.Laterality = "L", "R"
    image.save_as(tmp_path / "image.dcm")
    assert any("Laterality says right" in sentence for sentence in read_mammogram(tmp_path / "image.dcm").warnings)
