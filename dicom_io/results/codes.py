"""The coded concepts in the objects, each from the context group in the comment (PS3.16)."""

from __future__ import annotations

from pydicom.sr.coding import Code

from models.types.mammogram import Laterality
from models.types.reading import FindingKind

# Documents: CID 7021, CID 7010, CID 100, CID 5000
IMAGING_MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
ONCOLOGY_MEASUREMENT_REPORT = Code("126001", "DCM", "Oncology Measurement Report")
IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
REJECTED_FOR_QUALITY_REASONS = Code("113001", "DCM", "Rejected for Quality Reasons")
REJECTED_FOR_PATIENT_SAFETY_REASONS = Code("113037", "DCM", "Rejected for Patient Safety Reasons")
DOCUMENT_TITLE_MODIFIER = Code("113011", "DCM", "Document Title Modifier")
OTHER_FAILURE = Code("111220", "DCM", "Other failure")  # CID 7011
OF_INTEREST = Code("113000", "DCM", "Of Interest")
ENGLISH = Code("en-US", "RFC5646", "English (United States)")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
COMMENT = Code("121106", "DCM", "Comment")
SUMMARY = Code("121111", "DCM", "Summary")
FINDING = Code("121071", "DCM", "Finding")

# Image library: TID 1600 to 1603, CID 29
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
SOURCE = Code("260753009", "SCT", "Source")
SEGMENTATION = Code("121214", "DCM", "Referenced Segmentation Frame")
MODALITY = Code("121139", "DCM", "Modality")
MODALITIES = {
    "MG": Code("MG", "DCM", "Mammography"),
    "CR": Code("CR", "DCM", "Computed Radiography"),
    "DX": Code("DX", "DCM", "Digital Radiography"),
}
TARGET_REGION = Code("123014", "DCM", "Target Region")
IMAGE_LATERALITY = Code("111027", "DCM", "Image Laterality")
IMAGE_VIEW = Code("111031", "DCM", "Image View")
IMAGE_VIEW_MODIFIER = Code("111032", "DCM", "Image View Modifier")
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
LATERALITY = Code("272741003", "SCT", "Laterality")
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
    FindingKind.MASS_WITH_CALCIFICATIONS: Code("111459", "DCM", "Mass with calcifications"),  # CID 6016, CID 6054
}
PROBABILITY_OF_CANCER = Code("111047", "DCM", "Probability of cancer")
CERTAINTY_OF_FINDING = Code("111012", "DCM", "Certainty of Finding")
PERCENT = Code("%", "UCUM", "Percent")
LONG_AXIS = Code("103339001", "SCT", "Long axis")  # CID 7470
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")

# The outcome of the reading as a whole: CID 6047, by (every image was read, something was found)
CAD_SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
CAD_SUMMARIES = {
    (True, False): Code("111241", "DCM", "All algorithms succeeded; without findings"),
    (True, True): Code("111242", "DCM", "All algorithms succeeded; with findings"),
    (False, False): Code("111243", "DCM", "Not all algorithms succeeded; without findings"),
    (False, True): Code("111244", "DCM", "Not all algorithms succeeded; with findings"),
}
NO_ALGORITHM_SUCCEEDED = Code("111245", "DCM", "No algorithms succeeded; without findings")

# Quotations: TID 1000
QUOTATION_MODE = Code("121001", "DCM", "Quotation Mode")
DOCUMENT = Code("121003", "DCM", "Document")
QUOTED_SOURCE = Code("121002", "DCM", "Quoted Source")

# Mammography CAD SR: TID 4000 to 4020, TID 1204, TID 4108
MAMMOGRAPHY_CAD_REPORT = Code("111036", "DCM", "Mammography CAD Report")
LANGUAGE = Code("121049", "DCM", "Language of Content Item and Descendants")
STUDY_DATE = Code("111060", "DCM", "Study Date")
STUDY_TIME = Code("111061", "DCM", "Study Time")
CONTENT_DATE = Code("111018", "DCM", "Content Date")
CONTENT_TIME = Code("111019", "DCM", "Content Time")
IMPRESSION_DESCRIPTION = Code("111033", "DCM", "Impression Description")
INDIVIDUAL_IMPRESSION = Code("111034", "DCM", "Individual Impression/Recommendation")
RENDERING_INTENT = Code("111056", "DCM", "Rendering Intent")
PRESENTATION_REQUIRED = Code("111150", "DCM", "Presentation Required: Rendering device is expected to present")
COMPOSITE_FEATURE = Code("111015", "DCM", "Composite Feature")
COMPOSITE_TYPE = Code("111016", "DCM", "Composite type")
RELATED_SPATIALLY = Code("111154", "DCM", "Target content items are related spatially")
SCOPE_OF_FEATURE = Code("111057", "DCM", "Scope of Feature")
# CID 6036
ON_THE_ONLY_IMAGE = Code("111156", "DCM", "Feature detected on the only image")
ON_ONE_OF_THE_IMAGES = Code("111157", "DCM", "Feature detected on only one of the images")
ON_MULTIPLE_IMAGES = Code("111158", "DCM", "Feature detected on multiple images")
CERTAINTY_OF_FEATURE = Code("111011", "DCM", "Certainty of Feature")
SINGLE_IMAGE_FINDING = Code("111059", "DCM", "Single Image Finding")
_DENSITY = Code("129793001", "SCT", "Mammography breast density")
# CID 6014, which has no mass, because a mass needs two views; one with calcifications is a composite of the two
SINGLE_IMAGE_FINDINGS = {
    FindingKind.MASS: _DENSITY,
    FindingKind.CALCIFICATION: FINDINGS[FindingKind.CALCIFICATION],
    FindingKind.MASS_WITH_CALCIFICATIONS: _DENSITY,
}
TRACKING_IDENTIFIER = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
CENTER = Code("111010", "DCM", "Center")
OUTLINE = Code("111041", "DCM", "Outline")
ALGORITHM_NAME = Code("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION = Code("111003", "DCM", "Algorithm Version")
BOTH_BREASTS = Code("63762007", "SCT", "Both breasts")  # CID 6022
BREASTS = {
    Laterality.LEFT: Code("80248007", "SCT", "Left breast"),
    Laterality.RIGHT: Code("73056007", "SCT", "Right breast"),
}
SUMMARY_OF_DETECTIONS = Code("111064", "DCM", "Summary of Detections")
SUCCESSFUL_DETECTIONS = Code("111063", "DCM", "Successful Detections")
FAILED_DETECTIONS = Code("111025", "DCM", "Failed Detections")
DETECTION_PERFORMED = Code("111022", "DCM", "Detection Performed")
SUMMARY_OF_ANALYSES = Code("111065", "DCM", "Summary of Analyses")
SUCCESSFUL_ANALYSES = Code("111062", "DCM", "Successful Analyses")
FAILED_ANALYSES = Code("111024", "DCM", "Failed Analyses")
ANALYSIS_PERFORMED = Code("111004", "DCM", "Analysis Performed")
OVERALL_ANALYSIS = Code("111234", "DCM", "Overall Impression/Recommendation Analysis")  # CID 6043
INDIVIDUAL_ANALYSIS = Code("111233", "DCM", "Individual Impression/Recommendation Analysis")
COLLOCATION_ANALYSIS = Code("133884007", "SCT", "Spatial collocation analysis")
NOT_ATTEMPTED = Code("111225", "DCM", "Not Attempted")
# CID 6042, by (some image was read, some image could not be read)
RESULT_STATUSES = {
    (True, False): Code("111222", "DCM", "Succeeded"),
    (True, True): Code("111223", "DCM", "Partially Succeeded"),
    (False, True): Code("111224", "DCM", "Failed"),
}
