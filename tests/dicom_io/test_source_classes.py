"""Every object is written for images of any SOP class and refers to the image with that class."""

from dataclasses import replace
from io import BytesIO

import pytest
from pydicom import dcmread
from readings import ENCODING
from reports import L_CC, R_CC, R_MLO, some_exam, some_sources

from dicom_io.results.drawn_points import within
from dicom_io.results.encode import encode_results
from dicom_io.results.profiles import IN_PROFILES, PROFILES

STORAGE = "1.2.840.10008.5.1.4.1.1."
IMAGES = (R_CC, L_CC, R_MLO)


@pytest.mark.parametrize(
    ("of", "frames"),
    [("1", None), ("1.1", None), ("1.2.1", None), ("7", None), ("7.3", 1), ("13.1.3", 1), ("13.1.3", None)],
)
def test_every_kind_of_object_is_written_for_an_image_of_every_accepted_sop_class(of: str, frames: int | None) -> None:
    sources = some_sources()
    for uid in IMAGES:
        sources[uid].SOPClassUID = STORAGE + of
        if frames:
            sources[uid].NumberOfFrames = frames
    written = encode_results(some_exam(), sources, replace(ENCODING, profile=PROFILES["all"]))
    assert {entry.kind for entry in written} == set(IN_PROFILES)
    for entry in written:
        items = within(dcmread(BytesIO(entry.content)))
        classes = {str(item.ReferencedSOPClassUID) for item in items if item.get("ReferencedSOPInstanceUID") in IMAGES}
        assert classes == {STORAGE + of}, entry.kind
