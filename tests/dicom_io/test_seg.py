from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from readings import BUNDLE, DEVICE, ENCODING, STUDY, blob, header, lesion, read_image

from dicom_io.device import is_ours
from dicom_io.errors import NotEncodable
from dicom_io.results.encoding import lesion_name, to_bytes
from dicom_io.results.profiles import PROFILES
from dicom_io.results.seg.segmentation import encode_seg, read_back
from models.types.exam import ExamImage
from models.types.reading import FindingKind

UID = "1.2.826.0.1.3680043.10.2"


def _two_lesions(shape: tuple[int, int] = (300, 207)) -> ExamImage:
    mass = lesion(100, 60, blob(90, 71, 1))
    cluster = lesion(20, 120, blob(33, 40, 2), FindingKind.CALCIFICATION, malignancy=0.2)
    return read_image(UID, shape, mass, cluster)


def _encoded(image: ExamImage, **changes: object) -> tuple[Dataset, bytes]:
    content = to_bytes(encode_seg(header(UID, image.reading.shape), image, encoding=replace(ENCODING, **changes)))
    return dcmread(BytesIO(content)), content


def assert_read_back(content: bytes, image: ExamImage) -> None:
    read_back(content, image)


@pytest.mark.parametrize("shape", [(2294, 1914), (1501, 1199), (300, 200), (301, 207)])
def test_every_mask_is_read_back_pixel_for_pixel_at_any_image_size(shape: tuple[int, int]):
    image = _two_lesions(shape)
    seg, content = _encoded(image)
    assert_read_back(content, image)
    frames = seg.pixel_array
    for number, finding in enumerate(image.reading.findings):
        assert np.array_equal(frames[number].astype(bool), finding.mask.full(shape)), "decoded by pydicom alone"


def test_lesions_may_overlap_and_touch_the_edges():
    image = read_image(UID, (100, 90), lesion(0, 0, blob(60, 50, 1)), lesion(30, 20, blob(70, 70, 2)))
    assert_read_back(_encoded(image)[1], image)


def test_a_single_lesion_is_named_in_its_frame():
    seg, _ = _encoded(read_image(UID, (80, 90), lesion(5, 6, blob(20, 30))))
    assert seg.NumberOfFrames == 1
    assert "SegmentIdentificationSequence" not in seg.SharedFunctionalGroupsSequence[0]
    frame = seg.PerFrameFunctionalGroupsSequence[0]
    assert frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 1


def test_a_mask_that_does_not_read_back_is_refused():
    image = _two_lesions()
    _, content = _encoded(image)
    crop = image.reading.findings[1].mask.crop.copy()
    crop[3, 4] ^= True
    changed = read_image(UID, image.reading.shape, image.reading.findings[0], lesion(20, 120, crop))
    with pytest.raises(NotEncodable, match="finding 2"):
        read_back(content, changed)
    with pytest.raises(NotEncodable, match="2 segments for 1"):
        read_back(content, read_image(UID, image.reading.shape, image.reading.findings[0]))


def test_a_single_changed_bit_in_the_object_is_detected():
    image = _two_lesions()
    seg, _ = _encoded(image)
    pixels = bytearray(seg.PixelData)
    pixels[len(pixels) // 3] ^= 0x10
    seg.PixelData = bytes(pixels)
    with pytest.raises(NotEncodable, match="does not read back"):
        read_back(to_bytes(seg), image)


def test_segments_state_their_type_and_algorithm():
    image = _two_lesions()
    seg, _ = _encoded(image)
    mass, cluster = seg.SegmentSequence
    assert (mass.SegmentLabel, cluster.SegmentLabel) == ("R CC mass 1", "R CC calcifications 2")
    assert mass.SegmentedPropertyTypeCodeSequence[0].CodeValue == "129788004"
    assert cluster.SegmentedPropertyTypeCodeSequence[0].CodeValue == "129769006"
    for number, segment in enumerate(seg.SegmentSequence, start=1):
        assert segment.TrackingUID == lesion_name(image, number).uid
        assert segment.TrackingID == lesion_name(image, number).identifier
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == (BUNDLE.name, BUNDLE.version)
    assert mass.RecommendedDisplayCIELabValue != cluster.RecommendedDisplayCIELabValue


def test_a_segmentation_has_the_references_and_geometry_that_viewers_need():
    seg, _ = _encoded(_two_lesions())
    assert seg.SegmentationType == "BINARY"
    assert (seg.Rows, seg.Columns) == (300, 207)
    assert seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == UID
    shared = seg.SharedFunctionalGroupsSequence[0]
    assert shared.PixelMeasuresSequence[0].SliceThickness == 1
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert "FrameOfReferenceUID" in seg
    assert seg.PatientOrientation == ["P", "L"]
    assert "Laterality" not in seg
    for frame in seg.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        assert source.ReferencedSOPInstanceUID == UID
        assert frame.PlanePositionSequence[0].ImagePositionPatient == [0, 0, 0]


def test_nominal_geometry_has_the_spacing_with_which_the_image_was_read():
    image = _two_lesions()
    for spacing_mm, written in (((0.035, 0.04), [0.035, 0.04]), (None, [1.0, 1.0])):
        seg, _ = _encoded(replace(image, reading=replace(image.reading, spacing_mm=spacing_mm)))
        measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        assert [float(value) for value in measures.PixelSpacing] == written


def test_no_geometry_is_written_if_the_setting_turns_it_off():
    image = _two_lesions()
    seg, content = _encoded(image, profile=replace(PROFILES["ohif"], nominal_geometry=False))
    assert "FrameOfReferenceUID" not in seg
    assert "PlaneOrientationSequence" not in seg.SharedFunctionalGroupsSequence[0]
    assert_read_back(content, image)


def test_patient_and_study_are_those_of_the_image():
    seg, _ = _encoded(_two_lesions())
    source = header(UID, (300, 207))
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyDate"):
        assert seg[keyword].value == source[keyword].value
    assert seg.StudyInstanceUID == STUDY
    assert seg.SeriesInstanceUID != source.SeriesInstanceUID


def test_a_segmentation_is_recognised_as_the_nodes():
    seg, _ = _encoded(_two_lesions())
    assert is_ours(seg)
    assert seg.ContributingEquipmentSequence[0].DeviceUID == DEVICE.uid
    assert str(BUNDLE) in seg.SoftwareVersions


def test_each_image_has_its_own_series_and_a_new_one_only_if_its_segmentation_changed():
    other = "1.2.826.0.1.3680043.10.3"
    first = encode_seg(header(UID, (80, 90)), read_image(UID, (80, 90), lesion(1, 2, blob(9, 9))), encoding=ENCODING)
    second = encode_seg(
        header(other, (80, 90)), read_image(other, (80, 90), lesion(1, 2, blob(9, 9))), encoding=ENCODING
    )
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    unchanged, _ = _encoded(read_image(UID, (80, 90), lesion(1, 2, blob(9, 9))), revision=2)
    assert unchanged.SOPInstanceUID == first.SOPInstanceUID, "a revision that does not touch it sends nothing again"
    again, _ = _encoded(read_image(UID, (80, 90), lesion(1, 2, blob(9, 9, seed=1))), revision=2)
    assert again.SOPInstanceUID != first.SOPInstanceUID
    assert again.SegmentSequence[0].TrackingUID != first.SegmentSequence[0].TrackingUID, "it is another lesion"


def test_a_change_that_a_segmentation_does_not_hold_gives_no_new_segmentation():
    image = _two_lesions()
    scored = tuple(replace(finding, malignancy=0.1, confidence=0.5) for finding in image.reading.findings)
    reading = replace(image.reading, findings=scored, malignancy=0.9, warnings=("Mind this.",), nipple=(1, 2))
    assert _encoded(replace(image, reading=reading))[0].SOPInstanceUID == _encoded(image)[0].SOPInstanceUID


def test_the_same_reading_gives_the_same_bytes():
    assert _encoded(_two_lesions())[1] == _encoded(_two_lesions())[1]


def test_a_header_with_nothing_but_uids_is_enough():
    source = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        source[keyword] = header(UID, (1, 1))[keyword]
    image = _two_lesions()
    assert_read_back(to_bytes(encode_seg(source, image, encoding=ENCODING)), image)


def test_results_are_written_despite_malformed_demographics():
    source = header(UID, (300, 207))
    source.add_new("PatientBirthDate", "LO", "1960-01-02")
    source.add_new("PatientSex", "LO", "W")
    source.add_new("StudyTime", "LO", "noon")
    del source.AccessionNumber
    seg = dcmread(BytesIO(to_bytes(encode_seg(source, _two_lesions(), encoding=ENCODING))))
    assert (seg.PatientBirthDate, seg.PatientSex, seg.StudyTime, seg.AccessionNumber) == ("", "", "", "")


def test_a_reading_without_a_valid_segmentation_is_refused():
    with pytest.raises(NotEncodable, match="without findings"):
        _encoded(read_image(UID, (80, 90)))
    with pytest.raises(NotEncodable, match="finding 1 reaches out"):
        _encoded(read_image(UID, (80, 90), lesion(70, 0, blob(20, 20))))
    with pytest.raises(NotEncodable, match="finding 1 is empty"):
        _encoded(read_image(UID, (80, 90), lesion(0, 0, np.zeros((5, 5), dtype=bool))))
