"""Exams for tests of Mammography CAD SR, and functions that read the report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO

from pydicom import Dataset, dcmread
from readings import ENCODING, STUDY, blob, header, lesion, read_image
from reports import named

from dicom_io.results.cad_sr.report import encode_cad_sr
from dicom_io.results.encoding import Encoding, to_bytes
from models.readings.exam import put_together
from models.types.birads import Category, Likelihood
from models.types.exam import ExamImage, ExamReading, FindingId, Tie, UnreadImage
from models.types.mammogram import Laterality
from models.types.reading import Finding, FindingKind

SHAPE = (120, 101)
R_CC, L_CC, R_MLO, L_MLO, TOMO, OLD_REPORT = (f"{STUDY}.{last}" for last in range(2, 8))
PLACES = {R_CC: ("R", "CC"), L_CC: ("L", "CC"), R_MLO: ("R", "MLO"), L_MLO: ("L", "MLO")}
MASS = lesion(40, 30, blob(31, 40, 1), malignancy=0.625)
CLUSTER = lesion(5, 60, blob(22, 17, 2), FindingKind.CALCIFICATION, malignancy=0.25)
LIKELY = Likelihood(0.3, Category.FOUR_B)
TIES = (
    Tie((FindingId(R_CC, 1), FindingId(R_MLO, 1)), (30.0, 33.0), 0.7),
    Tie((FindingId(L_CC, 2), FindingId(L_MLO, 2)), (41.0, 40.0), 0.55),
)


def cad_sources() -> dict[str, Dataset]:
    """Headers of four views, and the UIDs alone of a tomosynthesis and an old report."""
    sources = {uid: header(uid, SHAPE, side, view) for uid, (side, view) in PLACES.items()}
    sources[R_CC].ContentDate, sources[R_CC].ContentTime = "20260301", "101315"
    for uid, sop_class in ((TOMO, "1.2.840.10008.5.1.4.1.1.13.1.3"), (OLD_REPORT, "1.2.840.10008.5.1.4.1.1.88.11")):
        sources[uid] = Dataset()
        sources[uid].SOPClassUID, sources[uid].SOPInstanceUID = sop_class, uid
        sources[uid].StudyInstanceUID, sources[uid].SeriesInstanceUID = STUDY, f"{uid}.1"
    return sources


def cad_image(uid: str, *findings: Finding) -> ExamImage:
    side, view = PLACES[uid]
    return read_image(uid, SHAPE, *findings, laterality=Laterality(side), view=view)


def cad_exam(
    findings: Mapping[str, tuple[Finding, ...]], unread: tuple[UnreadImage, ...] = (), ties: tuple[Tie, ...] = ()
) -> ExamReading:
    exam = put_together([cad_image(uid, *found) for uid, found in findings.items()], unread, [])
    return replace(exam, missing=(), ties=ties)


def found_everywhere() -> ExamReading:
    """Calibrated, with lesions in all views, two of them seen in two views."""
    mass, cluster = (replace(finding, likelihood=LIKELY) for finding in (MASS, CLUSTER))
    exam = cad_exam(dict.fromkeys(PLACES, (mass, cluster)), ties=TIES)
    return replace(exam, likelihood=LIKELY)


def found_in_one_view() -> ExamReading:
    return cad_exam({uid: (MASS,) if uid == L_MLO else () for uid in PLACES})


def nothing_found() -> ExamReading:
    return cad_exam(dict.fromkeys(PLACES, ()))


def cad_of(exam: ExamReading, sources: dict[str, Dataset] | None = None, encoding: Encoding = ENCODING) -> Dataset:
    return dcmread(BytesIO(to_bytes(encode_cad_sr(exam, sources or cad_sources(), encoding=encoding))))


def only_item(item: Dataset, code: str) -> Dataset:
    """The single item of this name."""
    (found,) = named(item, code)
    return found


def code_of(item: Dataset) -> str:
    """The coded value of an item."""
    return str(item.ConceptCodeSequence[0].CodeValue)


def item_at(root: Dataset, position: Sequence[int]) -> Dataset:
    """The item at a Referenced Content Item Identifier."""
    found = root
    for step in position[1:]:
        found = found.ContentSequence[step - 1]
    return found


CODED = replace(ENCODING, coded_category=True)
