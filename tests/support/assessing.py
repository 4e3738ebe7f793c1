"""A radiologist who reports: BI-RADS categories as structured reports, HL7 messages and tables."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from road import Road
from sqlalchemy import select

from dicom_io.results.birads_codes import CODES
from models.types.birads import Category
from node.assessments.text.report import categories_in
from node.store.database import read_only
from node.store.tables import ReceivedAssessment

REFUSED = "refused"

LEFT, RIGHT = Code("7771000", "SCT", "Left"), Code("24028007", "SCT", "Right")
BOTH = Code("51440002", "SCT", "Right and left")
LATERALITY = Code("272741003", "SCT", "Laterality")
CATEGORY = Code("111005", "DCM", "Assessment Category")
OVERALL = Code("111413", "DCM", "Overall Assessment")
FINDING = Code("121071", "DCM", "Finding")
PROCEDURE = Code("121058", "DCM", "Procedure reported")
SECTION = Code("121070", "DCM", "Findings")
OBSERVER_TYPE, PERSON = Code("121005", "DCM", "Observer Type"), Code("121006", "DCM", "Person")
PERSON_NAME, DEVICE = Code("121008", "DCM", "Person Observer Name"), Code("121007", "DCM", "Device")
ALGORITHM = Code("111001", "DCM", "Algorithm Name")


def coded(code: Code) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return [item]


def item(concept: Code, value: Code | str | None = None, *inside: Dataset) -> Dataset:
    """A content item: CODE of a code, TEXT (or the observer's PNAME) of a text, otherwise a CONTAINER."""
    dataset = Dataset()
    dataset.RelationshipType = "CONTAINS"
    dataset.ConceptNameCodeSequence = coded(concept)
    match value:
        case Code():
            dataset.ValueType, dataset.ConceptCodeSequence = "CODE", coded(value)
        case str() if concept == PERSON_NAME:
            dataset.ValueType, dataset.PersonName = "PNAME", value
        case str():
            dataset.ValueType, dataset.TextValue = "TEXT", value
        case None:
            dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    if inside:
        dataset.ContentSequence = list(inside)
    return dataset


def category(of: Category | Code) -> Dataset:
    return item(CATEGORY, of if isinstance(of, Code) else CODES[of])


def finding(of: Category | Code, side: Code | None = None, *inside: Dataset) -> Dataset:
    """TID 4206: a finding with its laterality, and the assessment of it."""
    return item(FINDING, None, *([item(LATERALITY, side)] if side else []), category(of), *inside)


def overall(of: Category, side: Code | None = None) -> Dataset:
    return item(OVERALL, None, *([item(LATERALITY, side)] if side else []), category(of))


BY_A_PERSON = (item(OBSERVER_TYPE, PERSON), item(PERSON_NAME, "Radiologist^Rita"))
BY_A_DEVICE = (item(OBSERVER_TYPE, DEVICE),)


def report(*content: Dataset, observer: Sequence[Dataset] = BY_A_PERSON, **changes: object) -> Dataset:
    """A Breast Imaging Report (TID 4200) with this content, of study 1.2.3 and patient ONE; None removes one."""
    sr = Dataset()
    sr.file_meta = FileMetaDataset()
    sr.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    sr.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    sr.SOPInstanceUID = generate_uid()
    sr.StudyInstanceUID, sr.SeriesInstanceUID = "1.2.3", generate_uid()
    sr.Modality = "SR"
    sr.PatientID, sr.PatientName, sr.PatientBirthDate, sr.PatientSex = "ONE", "First^Name", "19600101", "F"
    sr.AccessionNumber, sr.StudyDate, sr.StudyTime, sr.StudyID, sr.ReferringPhysicianName = "A1", "", "", "", ""
    sr.ContentDate, sr.ContentTime, sr.TimezoneOffsetFromUTC = "20260301", "120000", "+0000"
    sr.InstanceNumber, sr.SeriesNumber = 1, 7
    sr.Manufacturer = "Reporting Inc."
    sr.ReferencedPerformedProcedureStepSequence, sr.PerformedProcedureCodeSequence = [], []
    sr.CompletionFlag, sr.VerificationFlag = "COMPLETE", "UNVERIFIED"
    sr.ValueType, sr.ContinuityOfContent = "CONTAINER", "SEPARATE"
    sr.ConceptNameCodeSequence = coded(Code("111400", "DCM", "Breast Imaging Report"))
    sr.ContentSequence = [*observer, *content]
    for keyword, value in changes.items():
        if value is None:
            delattr(sr, keyword)
        else:
            setattr(sr, keyword, value)
    sr.file_meta.MediaStorageSOPInstanceUID = sr.SOPInstanceUID
    sr.file_meta.MediaStorageSOPClassUID = sr.SOPClassUID
    return sr


def report_on(image: Dataset, *content: Dataset, **changes: object) -> Dataset:
    """A report in an image's study, of its patient."""
    named = {keyword: image.get(keyword, "") for keyword in ("StudyInstanceUID", "PatientID", "PatientName")}
    named |= {keyword: image.get(keyword, "") for keyword in ("PatientBirthDate", "PatientSex", "AccessionNumber")}
    return report(*content, **(named | changes))


def oru(
    *results: str,
    study: str = "1.2.3",
    accession: str = "",
    patient: str = "ONE",
    control_id: str = "M1",
    **fields: str,
) -> bytes:
    """An ORU^R01 with these OBX segments ("TX|…" from OBX-2 on) or texts; `fields`: msh, pid, obr, zds whole."""
    segments = {
        "msh": f"MSH|^~\\&|RIS|HOSPITAL|MAMMO_NODE||20260301130000+0000||ORU^R01^ORU_R01|{control_id}|P|2.5.1",
        "pid": f"PID|1||{patient}^^^HOSPITAL^MR||Name^First",
        "obr": f"OBR|1|P1|{accession}|MAMMO^Mammography|||20260301110000||||||||||||||||||F|||||||7^Rita^Radiologist",
        "zds": f"ZDS|{study}^HOSPITAL^Application^DICOM",
    } | fields
    rows = [
        f"OBX|{number}|{row if row[:3] in ('TX|', 'CE|', 'CWE', 'FT|', 'NM|', 'NR|', 'SN|', 'ST|') else text_row(row)}"
        for number, row in enumerate(results, start=1)
    ]
    return "\r".join([segments["msh"], segments["pid"], segments["obr"], *rows, segments["zds"], ""]).encode()


def text_row(text: str, status: str = "F") -> str:
    return f"TX|18782-3^Study report^LN||{text}||||||{status}"


def category_row(category: str, side: str = "", status: str = "F", sub_id: str = "") -> str:
    return f"CWE|111005^Assessment Category^DCM|{sub_id}|{category}||||||{status}|||||||||{side}"


def understood(text: str) -> str:
    """ "R 2, L 4": the categories read from the text of a report; "" before a category of the exam."""
    try:
        return ", ".join(f"{''.join(sides)} {category}" for sides, category in categories_in(text)) or "nothing"
    except ValueError:
        return REFUSED


def assessments(road: Road) -> list[ReceivedAssessment]:
    """All entered assessments, in order."""
    with read_only(road.sessions) as session:
        return list(session.scalars(select(ReceivedAssessment).order_by(ReceivedAssessment.id)))


def side_and_category(rows: Sequence[ReceivedAssessment]) -> list[tuple[str | None, str]]:
    return [(row.laterality, row.category) for row in rows]
