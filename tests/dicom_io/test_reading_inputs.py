"""Which attributes of a header decide how its image is read."""

from __future__ import annotations

import ast
from copy import deepcopy
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from dicom_io.pixels.reading_inputs import DECIDE_THE_READING, OTHERWISE_USED, reads_otherwise

_ROOT = Path(__file__).parents[2]


def keywords_in_source(module: str, seen: dict[str, frozenset[str]]) -> None:
    """The DICOM keywords in a module of dicom_io and in all that it imports, by module."""
    file = _ROOT / (module.replace(".", "/") + ".py")
    if module in seen or not module.startswith("dicom_io") or not file.exists():
        return
    tree = ast.parse(file.read_text())
    words = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    words += [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    seen[module] = frozenset(word for word in words if word and tag_for_keyword(word))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                keywords_in_source(name, seen)


def test_each_attribute_that_the_reading_uses_is_known_to_decide_it_or_not_to() -> None:
    found: dict[str, frozenset[str]] = {}
    keywords_in_source("dicom_io.pixels.mammogram", found)
    assert {"dicom_io.headers", "dicom_io.views", "dicom_io.spacing", "dicom_io.pixels.luts"} <= set(found)
    assert not DECIDE_THE_READING & OTHERWISE_USED
    assert frozenset().union(*found.values()) == DECIDE_THE_READING | OTHERWISE_USED


def a_header(syntax: str = ExplicitVRLittleEndian, **stated: object) -> Dataset:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax
    header.PhotometricInterpretation = "RGB"
    for keyword, value in stated.items():
        setattr(header, keyword, value)
    return header


def an_item(**stated: object) -> Dataset:
    item = Dataset()
    for keyword, value in stated.items():
        setattr(item, keyword, value)
    return item


@pytest.mark.parametrize(
    "stated",
    [
        {"PhotometricInterpretation": "YBR_FULL"},
        {"ImageLaterality": "L"},
        {"ViewCodeSequence": [an_item(CodeValue="399162004")]},
        {"SharedFunctionalGroupsSequence": [an_item(PixelMeasuresSequence=[an_item(PixelSpacing=[0.1, 0.1])])]},
        {"PatientName": "Sm\N{REPLACEMENT CHARACTER}th"},
    ],
)
def test_another_value_may_be_read_otherwise_at_any_depth(stated: dict[str, object]) -> None:
    assert reads_otherwise(a_header(), a_header(**stated))
    assert not reads_otherwise(a_header(**stated), a_header(**deepcopy(stated)))


@pytest.mark.parametrize(
    "stated",
    [
        {"PatientName": "Smith"},
        {"PatientID": "1"},
        {"StudyDate": "20260101"},
        {"ImageLaterality": ""},
        {"ViewCodeSequence": [an_item(CodingSchemeDesignator="SCT")]},
    ],
)
def test_who_the_patient_is_and_an_empty_value_are_not_read_otherwise(stated: dict[str, object]) -> None:
    new = a_header(**stated)
    assert reads_otherwise(a_header(), new) == ("ViewCodeSequence" in stated)


def test_another_transfer_syntax_with_the_same_decoded_values_is_not_read_otherwise() -> None:
    assert not reads_otherwise(a_header(), a_header(JPEG2000Lossless, PhotometricInterpretation="YBR_RCT"))
