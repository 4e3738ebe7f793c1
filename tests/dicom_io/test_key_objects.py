"""The Key Object Selection: the images with findings, chosen by a machine."""

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from readings import ENCODING, STUDY, blob, header, lesion, read_image
from validators import dcentvfy, dciodvfy, dsrdump, pixelmed

from dicom_io.device import is_ours
from dicom_io.errors import NotEncodable
from dicom_io.results.encoding import to_bytes
from dicom_io.results.key_objects import encode_key_objects
from models.readings.exam import put_together
from models.types.exam import ExamReading
from models.types.mammogram import Laterality

pytestmark = pytest.mark.slow

SHAPES = {"1.2.1": (1501, 1199), "1.2.2": (2294, 1914), "1.2.3": (300, 207)}


def _exam(found: tuple[str, ...] = ("1.2.1", "1.2.3")) -> tuple[ExamReading, dict[str, Dataset]]:
    images = [
        read_image(
            uid,
            shape,
            *[lesion(100, 60, blob(90, 71))] * (uid in found),
            laterality=Laterality.LEFT if uid == "1.2.3" else Laterality.RIGHT,
        )
        for uid, shape in SHAPES.items()
    ]
    sources = {uid: header(uid, shape, "L" if uid == "1.2.3" else "R") for uid, shape in SHAPES.items()}
    return put_together(images, [], []), sources


def _encoded(exam: ExamReading, sources: Mapping[str, Dataset], **changes: object) -> Dataset:
    return dcmread(BytesIO(to_bytes(encode_key_objects(exam, sources, encoding=replace(ENCODING, **changes)))))


def test_a_key_object_selects_exactly_the_images_with_findings():
    key_objects = _encoded(*_exam())
    selected = [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in key_objects.ContentSequence
        if item.ValueType == "IMAGE"
    ]
    assert selected == ["1.2.1", "1.2.3"]
    (study,) = key_objects.CurrentRequestedProcedureEvidenceSequence
    evidence = {
        item.ReferencedSOPInstanceUID: series.SeriesInstanceUID
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    _, sources = _exam()
    assert study.StudyInstanceUID == STUDY
    assert evidence == {uid: sources[uid].SeriesInstanceUID for uid in selected}


def test_a_key_object_has_the_title_of_interest_and_describes_the_images():
    key_objects = _encoded(*_exam())
    assert key_objects.ConceptNameCodeSequence[0].CodeValue == "113000"
    (description,) = [
        item for item in key_objects.ContentSequence if item.ValueType == "TEXT" and "AI" in item.TextValue
    ]
    assert description.ConceptNameCodeSequence[0].CodeValue == "113012"
    assert description.TextValue.startswith("Images with AI findings")
    assert "research use only" in description.TextValue
    assert "research use only" in key_objects.SeriesDescription


def test_references_to_images_have_no_concept_names():
    items = [item for item in _encoded(*_exam()).ContentSequence if item.ValueType == "IMAGE"]
    assert items
    assert not any("ConceptNameCodeSequence" in item for item in items)


def test_the_observer_is_a_device_and_no_person():
    observers = [
        item.ConceptCodeSequence[0].CodeValue
        for item in _encoded(*_exam()).ContentSequence
        if item.ValueType == "CODE" and item.ConceptNameCodeSequence[0].CodeValue == "121005"
    ]
    assert observers == ["121007"]


def test_a_key_object_belongs_to_the_study_and_is_recognised_as_the_nodes():
    key_objects = _encoded(*_exam())
    assert (key_objects.StudyInstanceUID, key_objects.Modality, key_objects.SeriesNumber) == (STUDY, "KO", 9500)
    assert key_objects.PatientName == header("1.2.1", (1, 1)).PatientName
    assert is_ours(key_objects)


def test_the_same_reading_gives_the_same_bytes_and_a_later_revision_the_same_uid():
    exam, sources = _exam()
    first, second = (to_bytes(encode_key_objects(exam, sources, encoding=ENCODING)) for _ in range(2))
    assert first == second
    assert _encoded(exam, sources, revision=2).SOPInstanceUID == _encoded(exam, sources).SOPInstanceUID
    assert _encoded(*_exam(("1.2.2",))).SOPInstanceUID != _encoded(exam, sources).SOPInstanceUID


def test_a_late_image_without_findings_does_not_change_the_key_object():
    exam, sources = _exam()
    late = read_image("1.2.4", (300, 207), view="MLO")
    more, headers = put_together([*exam.images, late], [], []), sources | {"1.2.4": header("1.2.4", (300, 207))}
    assert _encoded(more, headers).SOPInstanceUID == _encoded(exam, sources).SOPInstanceUID


def test_without_findings_or_without_a_header_no_key_object_is_written():
    with pytest.raises(NotEncodable, match="without findings"):
        _encoded(*_exam(()))
    exam, sources = _exam()
    del sources["1.2.3"]
    with pytest.raises(NotEncodable, match="not among the sources"):
        _encoded(exam, sources)


def test_the_validators_find_no_errors(tmp_path: Path):
    path = tmp_path / "ko.dcm"
    path.write_bytes(to_bytes(encode_key_objects(*_exam(), encoding=ENCODING)))
    assert (dciodvfy(path), dsrdump(path), dcentvfy([path])) == ([], [], [])
    assert pixelmed(path) == []
