"""Text of a header that a database does not take."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from road import Road

from dicom_io.attributes import text, uid
from dicom_io.errors import NotReadable
from node.demo.studies import DemoStudy
from node.store.states import StudyState

TEXTS = {"PatientID": "AB\0CD\\E\x01F", "AccessionNumber": "12\0", "PatientBirthDate": "1960\x000102"}


def test_an_image_with_control_characters_in_its_texts_is_stored_without_them(
    queue_url: str, mammogram_study: DemoStudy, tmp_path: Path
):
    road = Road(tmp_path / "data", database_url=queue_url)
    image = dcmread(mammogram_study.files[0])
    for keyword, value in TEXTS.items():
        setattr(image, keyword, value)
    road.receive(image)
    (row,) = road.instances()
    assert (row.patient_id, row.accession_number, row.patient_birth_date) == ("ABCD\\EF", "12", "19600102")
    road.receive(image)
    assert len(road.instances()) == 1
    assert road.study().state is StudyState.OPEN, "the same patient when it comes again"


@pytest.mark.parametrize("control", [*map(chr, (*range(9), 11, *range(14, 32), 127, 0x85)), "\ud800"])
def test_a_text_has_no_control_characters_and_a_uid_is_not_mended(control: str):
    header = Dataset()
    header.StudyDescription = f"Mammo{control}graphy\ttwo views"
    assert text(header, "StudyDescription") == "Mammography\ttwo views"
    header.StudyInstanceUID = f"1.2{control}3"
    with pytest.raises(NotReadable):
        uid(header, "StudyInstanceUID")
