"""The coded concepts that stand in what we write, each from the context group named beside it (PS3.16)."""

from __future__ import annotations

from pydicom.sr.coding import Code

from models.types import FindingKind, Laterality

# Documents: CID 7021, CID 100, CID 5000
IMAGING_MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
ONCOLOGY_MEASUREMENT_REPORT = Code("126001", "DCM", "Oncology Measurement Report")
IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
ENGLISH = Code("en-US", "RFC5646", "English (United States)")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
COMMENT = Code("121106", "DCM", "Comment")

# Image library: TID 1600 to 1603, CID 29
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
SOURCE = Code("260753009", "SCT", "Source")
MODALITY = Code("121139", "DCM", "Modality")
MODALITIES = {
    "MG": Code("MG", "DCM", "Mammography"),
    "CR": Code("CR", "DCM", "Computed Radiography"),
    "DX": Code("DX", "DCM", "Digital Radiography"),
}
TARGET_REGION = Code("123014", "DCM", "Target Region")
IMAGE_LATERALITY = Code("111027", "DCM", "Image Laterality")
IMAGE_VIEW = Code("111031", "DCM", "Image View")
PATIENT_ORIENTATION_ROW = Code("111044", "DCM", "Patient Orientation Row")
PATIENT_ORIENTATION_COLUMN = Code("111043", "DCM", "Patient Orientation Column")
PIXEL_DATA_ROWS = Code("110910", "DCM", "Pixel Data Rows")
PIXEL_DATA_COLUMNS = Code("110911", "DCM", "Pixel Data Columns")
HORIZONTAL_PIXEL_SPACING = Code("111026", "DCM", "Horizontal Pixel Spacing")
VERTICAL_PIXEL_SPACING = Code("111066", "DCM", "Vertical Pixel Spacing")
PIXELS = Code("{pixels}", "UCUM", "pixels")
MILLIMETRE = Code("mm", "UCUM", "millimeter")

# Anatomy: CID 4031, CID 244
BREAST = Code("76752008", "SCT", "Breast")
BOTH = Code("51440002", "SCT", "Bilateral")
LATERALITIES = {
    Laterality.LEFT: Code("7771000", "SCT", "Left"),
    Laterality.RIGHT: Code("24028007", "SCT", "Right"),
}

# CID 4014 View for Mammography, by the abbreviations that dicom_io.headers gives
VIEWS = {
    "ML": Code("399260004", "SCT", "medio-lateral"),
    "MLO": Code("399368009", "SCT", "medio-lateral oblique"),
    "LM": Code("399352003", "SCT", "latero-medial"),
    "LMO": Code("399099002", "SCT", "latero-medial oblique"),
    "CC": Code("399162004", "SCT", "cranio-caudal"),
    "FB": Code("399196006", "SCT", "caudo-cranial (from below)"),
    "SIO": Code("399188001", "SCT", "superolateral to inferomedial oblique"),
    "ISO": Code("441555000", "SCT", "inferomedial to superolateral oblique"),
    "XCC": Code("399265009", "SCT", "exaggerated cranio-caudal"),
    "XCCL": Code("399192008", "SCT", "cranio-caudal exaggerated laterally"),
    "XCCM": Code("399101009", "SCT", "cranio-caudal exaggerated medially"),
}

# Lesions: CID 7150, CID 7151 / CID 6014
MORPHOLOGICALLY_ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
FINDINGS = {
    FindingKind.MASS: Code("129788004", "SCT", "Mammographic breast mass"),
    FindingKind.CALCIFICATION: Code("129769006", "SCT", "Calcification Cluster"),
}
PROBABILITY_OF_CANCER = Code("111047", "DCM", "Probability of cancer")
CERTAINTY_OF_FINDING = Code("111012", "DCM", "Certainty of Finding")
PERCENT = Code("%", "UCUM", "Percent")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")

# What became of the reading as a whole: CID 6047, by (every image was read, something was found)
CAD_SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
CAD_SUMMARIES = {
    (True, False): Code("111241", "DCM", "All algorithms succeeded; without findings"),
    (True, True): Code("111242", "DCM", "All algorithms succeeded; with findings"),
    (False, False): Code("111243", "DCM", "Not all algorithms succeeded; without findings"),
    (False, True): Code("111244", "DCM", "Not all algorithms succeeded; with findings"),
}
NO_ALGORITHM_SUCCEEDED = Code("111245", "DCM", "No algorithms succeeded; without findings")
