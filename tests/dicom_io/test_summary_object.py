"""The summary page as a DICOM object: a colour page of the study without names in its pixels."""

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from readings import BUNDLE, ENCODING, STUDY, header
from summary_exams import FOUR, SHAPE, drawn_exam, many_findings
from validators import dcentvfy, dciodvfy

from dicom_io.device import is_ours
from dicom_io.errors import NotEncodable
from dicom_io.headers import kind_of
from dicom_io.instance_kinds import InstanceKind
from dicom_io.results.encoding import to_bytes
from dicom_io.results.summary.capture import encode_summary
from dicom_io.results.summary.page import COLUMNS, ROWS, draw_page
from models.readings.exam import put_together
from models.types.exam import ExamReading, UnreadImage

pytestmark = pytest.mark.slow


def _sources(exam: ExamReading) -> dict[str, Dataset]:
    return {
        image.sop_instance_uid: header(
            image.sop_instance_uid, image.reading.shape, image.laterality or "", image.view or ""
        )
        for image in exam.images
    }


def _encoded(exam: ExamReading, sources: Mapping[str, Dataset] | None = None, **changes: object) -> Dataset:
    sources = _sources(exam) if sources is None else sources
    return dcmread(BytesIO(to_bytes(encode_summary(exam, sources, encoding=replace(ENCODING, **changes)))))


def test_the_page_names_no_person():
    exam = drawn_exam(*many_findings(2))
    others = _sources(exam)
    for source in others.values():
        source.BurnedInAnnotation = "NO"
        source.PatientName, source.PatientID, source.AccessionNumber = "Other^Person", "P-2", "A-2"
        source.PatientBirthDate, source.StudyDate = "19700203", "20250101"
    page, other_page = _encoded(exam), _encoded(exam, others)
    assert page.PixelData == other_page.PixelData
    assert other_page.BurnedInAnnotation == "NO"
    assert other_page.PatientName == "Other^Person", "the header is the patient's"


def test_a_page_of_an_image_with_burned_in_annotation_states_burned_in_annotation():
    exam = drawn_exam()
    sources = _sources(exam)
    sources["1.2.2"].BurnedInAnnotation = "YES"
    assert _encoded(exam, sources).BurnedInAnnotation == "YES"
    assert _encoded(exam, sources).SOPInstanceUID != _encoded(exam).SOPInstanceUID, "it is sent once this is known"


def test_burned_in_annotation_is_left_out_if_an_image_does_not_state_it():
    exam = drawn_exam()
    sources = _sources(exam)
    for source in list(sources.values())[1:]:
        source.BurnedInAnnotation = "NO"
    assert "BurnedInAnnotation" not in _encoded(exam, sources)


def test_the_page_is_never_recognised_as_a_mammogram():
    page = _encoded(drawn_exam())
    assert is_ours(page)
    assert page.Modality == "OT"
    assert kind_of(page) is InstanceKind.OTHER_IMAGE


def test_the_page_is_a_colour_image_of_the_study_in_its_own_series():
    page = _encoded(drawn_exam(*many_findings(1)))
    assert (page.StudyInstanceUID, page.SeriesNumber) == (STUDY, 9400)
    assert (page.PhotometricInterpretation, page.Rows, page.Columns) == ("RGB", ROWS, COLUMNS)
    assert "research use only" in page.SeriesDescription
    assert {item.ReferencedSOPInstanceUID for item in page.SourceImageSequence} == {f"1.2.{n}" for n in range(4)}
    assert np.array_equal(page.pixel_array, draw_page(drawn_exam(*many_findings(1)), {}, BUNDLE))


def test_the_same_reading_gives_the_same_bytes_and_a_later_revision_the_same_uid():
    exam = drawn_exam(*many_findings(2))
    first, second = (to_bytes(encode_summary(exam, _sources(exam), encoding=ENCODING)) for _ in range(2))
    assert first == second
    assert _encoded(exam, revision=2).SOPInstanceUID == _encoded(exam).SOPInstanceUID
    assert _encoded(drawn_exam()).SOPInstanceUID != _encoded(exam).SOPInstanceUID


def test_a_study_that_could_not_be_read_has_a_page_too():
    source = header("1.3.1", SHAPE, "L", "MLO")
    unread = [UnreadImage("1.3.1", "for-presentation", "its pixels are corrupt.")]
    page = _encoded(put_together([], unread, []), {"1.3.1": source})
    assert page.StudyInstanceUID == STUDY
    assert "SourceImageSequence" not in page


def test_without_headers_there_is_no_page():
    with pytest.raises(NotEncodable, match="at least one instance"):
        _encoded(put_together([], [], []), {})
    with pytest.raises(NotEncodable, match="not among the sources"):
        _encoded(drawn_exam(), {"1.2.0": header("1.2.0", SHAPE)})


@pytest.mark.parametrize("of", [FOUR, (("R", "CC"),), ()])
def test_the_validators_find_no_errors(of: tuple[tuple[str, str], ...], tmp_path: Path):
    exam = drawn_exam(*many_findings(2), of=of)
    path = tmp_path / "sc.dcm"
    sources = _sources(exam) or {"1.3.1": header("1.3.1", SHAPE)}
    path.write_bytes(to_bytes(encode_summary(exam, sources, encoding=ENCODING)))
    assert (dciodvfy(path), dcentvfy([path])) == ([], [])
