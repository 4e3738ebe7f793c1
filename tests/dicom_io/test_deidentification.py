"""Nothing that identifies a person leaves in a de-identified file: not in a sequence, a private attribute, the preamble
or the pixels' unused bits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from annotating import disc, segmentation
from hypothesis import given
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, dcmread
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import keyword_for_tag
from pydicom.encaps import encapsulate, get_frame
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import JPEG2000Lossless
from road import changed
from validators import dciodvfy

from dicom_io.deidentification.attributes import EQUIPMENT, PIXELS, TECHNICAL, fate_of, table
from dicom_io.deidentification.cleaning import Anonymity, cleaned
from dicom_io.deidentification.files import KeptBack, write_image, write_segmentation
from dicom_io.errors import NotReadable
from dicom_io.pixels.decoding import read_dataset, stored_values
from dicom_io.segmentations import read_segments
from dicom_io.uids import uid_of
from node.demo.studies import DemoStudy

pytestmark = pytest.mark.slow

MARKER = "ZYXMARKER"
UID_MARKER = "1.2.987654321012345678"
DATE_MARKER = "18870513"
TIME_MARKER = "134711.987654"
NUMBER_MARKER = 1234567891
MARKS = (MARKER.encode(), UID_MARKER.encode(), DATE_MARKER.encode(), TIME_MARKER.encode())
ROWS = table()


def other_uid(uid: str) -> str:
    return uid_of(UUID(bytes=hashlib.sha256(uid.encode()).digest()[:16], version=5))


HOW = Anonymity(other_uid, "PSEUDONYM", "a test")


def marked(tag: int, vr: str) -> DataElement:
    """An attribute whose value can be found again in the bytes of a file."""
    value: object
    match vr:
        case "UI":
            value = UID_MARKER
        case "DA":
            value = DATE_MARKER
        case "DT":
            value = f"{DATE_MARKER}{TIME_MARKER}"
        case "TM":
            value = TIME_MARKER
        case "AS":
            value = "077Y"
        case "DS" | "IS":
            value = str(NUMBER_MARKER)
        case "FD" | "FL" | "SL" | "UL" | "SV" | "UV":
            value = NUMBER_MARKER
        case "US" | "SS" | "US or SS" | "US or OW" | "US or SS or OW":
            vr, value = "US", 18870
        case "AT":
            value = 0x00100020
        case "SQ":
            item = Dataset()
            item.PatientComments = MARKER
            item.ReferencedSOPInstanceUID = UID_MARKER
            value = Sequence([item])
        case "OB" | "OW" | "OB or OW" | "UN" | "OD" | "OF" | "OL" | "OV":
            vr, value = "OB" if " " in vr else vr, MARKER.encode() * 8
        case "UR":
            value = f"https://{MARKER}"
        case _:
            value = MARKER
    return DataElement(tag, vr, value)


def public() -> Iterator[tuple[int, str]]:
    """The attributes that pydicom knows, without those of groups that no data set has, and without repeating groups."""
    for tag, (vr, *_) in DicomDictionary.items():
        if tag >> 16 > 0x0008 and (tag & 0xFFFF) and vr != "NONE" and keyword_for_tag(tag) not in PIXELS:
            yield tag, vr


def holder(*elements: DataElement) -> Dataset:
    """Elements in a data set, in an item, and in an item of an item, with private ones beside them."""
    whole = Dataset()
    for depth in range(3):
        part = Dataset()
        for element in elements:
            part.add(element)
        block = part.private_block(0x0099, f"{MARKER} {depth}", create=True)
        block.add_new(1, "LO", MARKER)
        block.add_new(2, "SQ", [Dataset()])
        if depth:
            part.PertinentOtherEvidenceSequence = [whole]  # a sequence that the table lets stay
        whole = part
    return whole


def content(dataset: Dataset) -> bytes:
    written = BytesIO()
    dataset.save_as(written, implicit_vr=False, little_endian=True)
    return written.getvalue()


def test_of_every_attribute_of_table_e1_1_nothing_is_left_at_any_depth() -> None:
    for tag in ROWS:
        vr = DicomDictionary[tag][0] if tag in DicomDictionary else "UN"
        written = content(cleaned(holder(marked(tag, vr)), HOW, ROWS))
        assert not [mark for mark in MARKS if mark in written], f"{tag} {keyword_for_tag(tag)}"
        if vr in ("DS", "IS"):
            assert str(NUMBER_MARKER).encode() not in written


WORDS = sorted(
    (tag, vr) for tag, vr in public() if vr not in ("CS", "AT", "SQ") and keyword_for_tag(tag) not in TECHNICAL
)


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12, unique_by=lambda each: each[0]))
def test_no_words_dates_names_or_uids_are_left_of_any_attribute_but_technical_ones(attributes) -> None:
    written = content(cleaned(holder(*(marked(tag, vr) for tag, vr in attributes)), HOW, ROWS))
    assert not [mark for mark in MARKS if mark in written]


def test_private_and_unknown_attributes_overlays_and_curves_are_removed() -> None:
    dataset = Dataset()
    dataset.add_new(0x00091001, "LO", MARKER)  # private, without a creator
    dataset.add_new(0x00080FFF, "LO", MARKER)  # of no edition
    dataset.add_new(0x60000022, "LO", MARKER)
    dataset.add_new(0x60023000, "OW", MARKER.encode())
    dataset.add_new(0x50003000, "OW", MARKER.encode())
    dataset.add_new(0xFFFCFFFC, "OB", MARKER.encode())
    assert MARKER not in cleaned(dataset, HOW, ROWS).to_json()


def test_a_file_whose_identity_is_in_an_attribute_that_stays_is_refused_with_its_keyword() -> None:
    dataset = Dataset()
    dataset.PatientName = "Quixote^Dulcinea"
    dataset.PatientID = "4711-0815"
    dataset.AcquisitionDeviceProcessingCode = "for quixote, d."
    with pytest.raises(NotReadable, match="AcquisitionDeviceProcessingCode still holds"):
        cleaned(dataset, HOW, ROWS)
    dataset.AcquisitionDeviceProcessingCode = "standard"
    code = Dataset()
    code.CodingSchemeDesignator, code.CodeMeaning = "DCM", "Exam 4711-0815"
    dataset.ProcedureCodeSequence = [code]
    with pytest.raises(NotReadable, match="CodeMeaning still holds"):
        cleaned(dataset, HOW, ROWS)
    code.CodeMeaning = "Exam"
    assert cleaned(dataset, HOW, ROWS).PatientID == "PSEUDONYM"


IDS = st.one_of(
    st.from_regex(r"[0-9]{5,12}", fullmatch=True).filter(lambda digits: len(digits.lstrip("0")) >= 5),
    st.from_regex(r"[A-Z]{1,3}-?[1-9][0-9]{4,7}", fullmatch=True),
)
SEPARATORS = st.sampled_from(["_", "-", "^", " ", ".", "/", "1", "_12_", ""])


def is_allowed(value: str) -> bool:
    return len(value) <= 16 and not set(value) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ")


@given(
    IDS, st.sampled_from(["PatientID", "AccessionNumber"]), st.sampled_from(["", "1", "99"]), st.sampled_from("+ _-")
)
def test_an_id_of_five_characters_leaves_in_no_attribute_of_any_kind(identifier, where, before, sign) -> None:
    digits = "".join(each for each in identifier if each.isdecimal())
    number = int(digits)
    # Attributes that stay, by VR, with what a program may have written there.
    kept: dict[str, object] = {
        "SeriesNumber": f"{before}{digits}"[-12:] if len(digits) < 11 else None,
        "AcquisitionNumber": number if number < 2**31 else None,
        "ExposureTime": f"+{number}" if number < 2**31 else None,
        "WindowCenter": f"{number}.5" if len(digits) < 14 else None,
        "WindowWidth": f"{number}.0",
        "PixelSpacing": [f"0.{digits}", "0.1"],
        "LossyImageCompressionRatio": f"{number:.8E}" if number < 10**8 else None,
        "Rows": number if number < 2**16 else None,
        "RegionLocationMinX0": number if number < 2**32 else None,
        "ExposureTimeInms": float(number),
        "LUTExplanation": f"{before}{identifier}X",
        "AcquisitionDeviceProcessingCode": f"PID{sign}{identifier}_A",
        "WindowCenterWidthExplanation": ["NORMAL", f"{identifier[:3]}{sign}{identifier[3:]}"],
        "SoftwareVersions": f"V{identifier}",
        "ViewPosition": f"A_{digits}"[:16],
        "PatientOrientation": ["A", f"{digits}_A"],
    }
    for keyword, value in kept.items():
        dataset = Dataset()
        setattr(dataset, where, identifier)
        if value is None:
            continue
        setattr(dataset, keyword, value)
        with pytest.raises(NotReadable, match=f"{keyword} still holds"):
            cleaned(dataset, HOW, ROWS)
        with pytest.raises(NotReadable, match=f"{keyword} still holds"):
            cleaned(holder(*dataset), HOW, ROWS)


@given(st.permutations(["DOE", "JANE"]), SEPARATORS, st.sampled_from(["", "7", "_"]), st.sampled_from(["", "3", "^X"]))
@pytest.mark.parametrize("keyword", ["WindowCenterWidthExplanation", "LUTExplanation", "SoftwareVersions"])
def test_a_name_leaves_in_no_text_however_its_parts_are_joined(keyword, parts, separator, before, after) -> None:
    dataset = Dataset()
    dataset.PatientName = "Doe^Jane"
    for joined in (before + separator.join(parts) + after, (before + separator.join(parts) + after).title()):
        setattr(dataset, keyword, joined)
        with pytest.raises(NotReadable, match=f"{keyword} still holds"):
            cleaned(dataset, HOW, ROWS)


@given(st.permutations(["DOE", "JANE"]), SEPARATORS)
@pytest.mark.parametrize("keyword", ["ViewPosition", "PatientOrientation", "ImageType"])
def test_a_name_leaves_in_no_code_string_and_what_its_vr_does_not_allow_is_replaced(keyword, parts, separator) -> None:
    joined = separator.join(parts)
    dataset = Dataset()
    dataset.PatientName = "Doe^Jane"
    dataset.add_new(keyword, "CS", ["ORIGINAL", joined])
    if is_allowed(joined):
        with pytest.raises(NotReadable, match=f"{keyword} still holds"):
            cleaned(dataset, HOW, ROWS)
    else:
        assert cleaned(dataset, HOW, ROWS)[keyword].value == ["ORIGINAL", "REMOVED"]


@pytest.mark.parametrize("identifier", ["1", "12", "512", "102", "3328", "0512", "2000", "000001"])
def test_a_short_id_that_is_a_number_of_the_image_by_chance_keeps_no_file_here(identifier: str) -> None:
    dataset = Dataset()
    dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = identifier, "Wu^Al", "19000101"
    dataset.Rows, dataset.Columns, dataset.SeriesNumber, dataset.InstanceNumber = 3328, 512, 102, 1
    dataset.PixelSpacing = ["0.0651200000", "0.1020332800"]
    dataset.ExposureTime, dataset.WindowCenter = 2000, "512.0"
    dataset.ManufacturerModelName, dataset.PhotometricInterpretation = "Senographe DS 2000D", "MONOCHROME2"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "R-102D6", "SRT", "medio-lateral oblique"
    dataset.ViewCodeSequence = [code]
    clean = cleaned(dataset, HOW, ROWS)
    assert (clean.Rows, clean.SeriesNumber, clean.ViewCodeSequence[0].CodeValue) == (3328, 102, "R-102D6")


@pytest.mark.parametrize("text", ["4711", "PID4711", "PID_4711-A", "exam 4711"])
def test_a_short_id_leaves_as_a_word_of_no_text(text: str) -> None:
    dataset = Dataset()
    dataset.PatientID, dataset.LUTExplanation = "4711", text
    with pytest.raises(NotReadable, match="LUTExplanation still holds"):
        cleaned(dataset, HOW, ROWS)


@pytest.mark.parametrize(
    ("name", "equipment", "leaves"),
    [
        ("Phantom", "mammo-node phantom", True),
        ("Phantom^Anna", "mammo-node phantom", True),
        ("Siemens^Anna Maria", "SIEMENS", True),
        ("Anna Siemens", "Siemens Healthineers", True),
        ("Siemens^Anna Maria", "Anna Siemens", False),
        ("Siemens^Anna Maria^^Dr", "for Anna Maria", False),
        ("Wu^Li", "Wu, Li", False),
        ("Wu^Li", "Li systems", True),
        ("Siemens^Anna=\u5c71\u7530^\u592a\u90ce", "\u5c71\u7530 \u592a\u90ce", False),
        ("Other^Name", "unit of 4711-0815", False),
        ("Other^Name", "4711-0815", False),
        ("Other^Name", f"rev {UID_MARKER}", False),
    ],
)
@pytest.mark.parametrize("keyword", sorted(EQUIPMENT - {"FilterType", "ConvolutionKernel"}))  # at most 16 letters
def test_equipment_may_have_a_name_of_a_person_but_not_a_whole_name_or_an_id(name, equipment, leaves, keyword) -> None:
    dataset = Dataset()
    dataset.PatientName, dataset.PatientID, dataset.StudyInstanceUID = name, "4711-0815", UID_MARKER
    setattr(dataset, keyword, equipment)
    if leaves:
        assert cleaned(dataset, HOW, ROWS)[keyword].value == equipment
        dataset.AcquisitionDeviceProcessingCode = equipment  # any text may stand there
        keyword = "AcquisitionDeviceProcessingCode"
    if leaves and name == "Wu^Li":
        return  # parts of two letters are words of many texts
    with pytest.raises(NotReadable, match=f"{keyword} still holds"):
        cleaned(dataset, HOW, ROWS)


def test_of_the_patient_nothing_stays_but_what_the_standard_asks_for() -> None:
    """Also no number: body mass index, measured dimensions, thickness of the body."""
    for tag, (vr, *_) in DicomDictionary.items():
        if tag >> 16 == 0x0010 and BaseTag(tag) not in ROWS:
            assert tag not in cleaned(holder(marked(tag, vr)), HOW, ROWS), Tag(tag)
            assert fate_of(BaseTag(tag), vr, ROWS).name == "REMOVED", Tag(tag)


def test_pixels_in_a_sequence_do_not_leave() -> None:
    clean = cleaned(holder(DataElement(0x7FE00010, "OB", MARKER.encode() + b"0")), HOW, ROWS)
    assert content(clean).count(MARKER.encode()) == 1, "only the image's own stay; they are written anew"
    assert "PixelData" in clean


@pytest.mark.parametrize(
    ("designator", "stays"), [("SCT", True), ("DCM", True), ("SRT", True), ("99LOCAL", False), ("", False)]
)
def test_the_meaning_of_a_code_stays_with_the_standards_codes_alone(designator: str, stays: bool) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "4711", designator, "medio-lateral oblique"
    dataset = Dataset()
    dataset.ViewCodeSequence = [code]
    (clean,) = cleaned(dataset, HOW, ROWS).ViewCodeSequence
    assert clean.CodeMeaning == ("medio-lateral oblique" if stays else "REMOVED")
    assert (clean.CodeValue, clean.CodingSchemeDesignator) == ("4711", designator)


def test_uids_of_the_standard_stay_and_all_others_are_replaced_alike() -> None:
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    dataset.StudyInstanceUID = UID_MARKER
    reference = Dataset()
    reference.ReferencedSOPClassUID = dataset.SOPClassUID
    reference.ReferencedSOPInstanceUID = UID_MARKER
    dataset.SourceImageSequence = [reference]
    clean = cleaned(dataset, HOW, ROWS)
    assert clean.SOPClassUID == clean.SourceImageSequence[0].ReferencedSOPClassUID == dataset.SOPClassUID
    assert clean.StudyInstanceUID == clean.SourceImageSequence[0].ReferencedSOPInstanceUID == other_uid(UID_MARKER)


def full(file: Path) -> Dataset:
    """A mammogram with much that identifies, as acquisition stations write it."""
    image = changed(file)
    image.PatientName, image.PatientID = f"{MARKER}^Anna", f"{MARKER}-1"
    image.PatientBirthDate, image.StudyDate, image.StudyTime = DATE_MARKER, DATE_MARKER, TIME_MARKER
    image.AcquisitionDate = image.ContentDate = image.SeriesDate = DATE_MARKER
    image.InstitutionName = image.ReferringPhysicianName = image.OperatorsName = MARKER
    image.StudyDescription = image.SeriesDescription = image.ImageComments = MARKER
    image.AccessionNumber, image.StudyID = MARKER, "77"
    image.FrameOfReferenceUID = UID_MARKER
    request = Dataset()
    request.RequestedProcedureDescription = MARKER
    image.RequestAttributesSequence = [request]
    image.private_block(0x0019, MARKER, create=True).add_new(1, "LO", MARKER)
    return image


@pytest.fixture
def image(mammogram_study: DemoStudy, tmp_path: Path) -> Path:
    path = tmp_path / "received.dcm"
    full(mammogram_study.files[0]).save_as(path)
    with path.open("r+b") as file:
        file.write(MARKER.encode())  # into the preamble
    return path


def test_an_image_keeps_its_pixels_and_nothing_of_a_person_and_is_a_valid_mammogram(
    image: Path, tmp_path: Path
) -> None:
    clean = tmp_path / "clean.dcm"
    rows, columns = write_image(image, clean, HOW, 100_000_000)
    written = clean.read_bytes()
    assert not [mark for mark in MARKS if mark in written]
    before, after = dcmread(image), dcmread(clean)
    for uid in (before.SOPInstanceUID, before.StudyInstanceUID, before.SeriesInstanceUID):
        assert uid.encode() not in written
    assert (after.Rows, after.Columns) == (rows, columns)
    assert np.array_equal(stored_values(read_dataset(clean, rows * columns)).values, before.pixel_array)
    assert after.PatientIdentityRemoved == "YES"
    assert after.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert after.DeidentificationMethod[-1] == "pixels not cleaned"
    assert after.LongitudinalTemporalInformationModified == "REMOVED"
    assert after.PatientID == "PSEUDONYM"
    assert (after.ViewPosition, after.ImageLaterality) == (before.ViewPosition, before.ImageLaterality)
    assert set(dciodvfy(clean)) <= set(dciodvfy(image)), "de-identification made it less valid"


def test_comments_of_codestreams_and_unused_bits_do_not_leave(image: Path, tmp_path: Path) -> None:
    compressed = dcmread(image)
    compressed.BitsStored, compressed.HighBit = 12, 11
    hidden = (compressed.pixel_array >> 4) | 0x8000  # above the stored bits, where old overlays are
    compressed.PixelData = hidden.tobytes()
    compressed.save_as(tmp_path / "overlay.dcm")
    write_image(tmp_path / "overlay.dcm", tmp_path / "clean.dcm", HOW, 100_000_000)
    assert not (dcmread(tmp_path / "clean.dcm").pixel_array & 0x8000).any()
    compressed = dcmread(image)
    compressed.compress(JPEG2000Lossless)
    stream = get_frame(compressed.PixelData, 0, number_of_frames=1)
    comment = b"\xff\x64" + (4 + len(MARKER)).to_bytes(2) + b"\0\1" + MARKER.encode()
    at = stream.index(b"\xff\x52")
    compressed.PixelData = encapsulate([stream[:at] + comment + stream[at:]])
    compressed.save_as(tmp_path / "comment.dcm")
    assert MARKER.encode() in (tmp_path / "comment.dcm").read_bytes()[200:]
    write_image(tmp_path / "comment.dcm", tmp_path / "clean.dcm", HOW, 100_000_000)
    assert MARKER.encode() not in (tmp_path / "clean.dcm").read_bytes()
    assert np.array_equal(dcmread(tmp_path / "clean.dcm").pixel_array, dcmread(image).pixel_array)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"BurnedInAnnotation": "YES"}, "annotations are burnt in"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "secondary capture"),
    ],
)
def test_images_that_may_show_a_name_are_kept_back(image: Path, tmp_path: Path, changes, why: str) -> None:
    dataset = dcmread(image)
    dataset.update(changes)
    dataset.save_as(image)
    with pytest.raises(KeptBack, match=why):
        write_image(image, tmp_path / "clean.dcm", HOW, 100_000_000)
    assert not (tmp_path / "clean.dcm").exists()


def test_a_segmentation_keeps_its_outlines_and_references_and_no_person(image: Path, tmp_path: Path) -> None:
    source = dcmread(image)
    drawn = {f"{MARKER}'s mass": disc((source.Rows, source.Columns), 60, 60, 12)}
    seg = segmentation(drawn, source, ContentDescription=MARKER, ContentCreatorName=f"{MARKER}^Expert")
    seg.SegmentSequence[0].SegmentDescription = MARKER
    seg.SegmentSequence[0].TrackingID, seg.SegmentSequence[0].TrackingUID = MARKER, UID_MARKER
    seg.save_as(tmp_path / "seg.dcm")
    write_image(image, tmp_path / "clean.dcm", HOW, 100_000_000)
    write_segmentation(tmp_path / "seg.dcm", source.SOPInstanceUID, tmp_path / "clean-seg.dcm", HOW)
    written = (tmp_path / "clean-seg.dcm").read_bytes()
    assert not [mark for mark in MARKS if mark in written]
    clean_image, clean = dcmread(tmp_path / "clean.dcm"), dcmread(tmp_path / "clean-seg.dcm")
    assert clean.StudyInstanceUID == clean_image.StudyInstanceUID
    (segment,) = read_segments(clean)
    assert segment.image_uid == clean_image.SOPInstanceUID
    assert segment.label == "Segment 1"
    assert np.array_equal(segment.mask.full((source.Rows, source.Columns)), next(iter(drawn.values())))
    assert set(dciodvfy(tmp_path / "clean-seg.dcm")) <= set(dciodvfy(tmp_path / "seg.dcm"))


def test_every_row_of_the_table_has_a_fate_and_none_is_kept() -> None:
    assert len(ROWS) > 600
    for tag in ROWS:
        vr = DicomDictionary[tag][0] if tag in DicomDictionary else "UN"
        assert fate_of(BaseTag(tag), vr, ROWS).name != "KEPT", Tag(tag)
