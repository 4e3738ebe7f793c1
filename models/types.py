"""The nouns of a reading: what goes into the models and what comes out of them.

Coordinates are rows and columns of the source image in pixels, counted from the top left, half-open:
a box covers `pixels[top:bottom, left:right]`. Probabilities are in 0..1. This module imports numpy alone, so
that every package may use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

RESEARCH_USE_ONLY = "Research use only, not for diagnosis."
"""What every report, every page and every bundle says."""


class Laterality(StrEnum):
    """The breast an image shows (DICOM Image Laterality (0020,0062))."""

    LEFT = "L"
    RIGHT = "R"


class FindingKind(StrEnum):
    """What a lesion is, as far as the detector's classes tell."""

    MASS = "mass"
    CALCIFICATION = "calcification"


class Category(StrEnum):
    """A BI-RADS assessment category (ACR BI-RADS Atlas, 5th edition, 2013).

    A radiologist assigns each of them but ONE_OR_TWO; a calibrated probability lies in the likelihood range of
    ONE_OR_TWO, THREE, FOUR_A, FOUR_B, FOUR_C or FIVE (models/birads/categories.py).
    """

    ZERO = "0"
    """Incomplete: needs more imaging, a recall."""
    ONE = "1"
    TWO = "2"
    ONE_OR_TWO = "1-2"
    """A score cannot tell negative from benign."""
    THREE = "3"
    FOUR = "4"
    FOUR_A = "4A"
    FOUR_B = "4B"
    FOUR_C = "4C"
    FIVE = "5"
    SIX = "6"
    """Known cancer."""


SEVERITY = (
    Category.ONE, Category.TWO, Category.THREE, Category.SIX, Category.ZERO,
    Category.FOUR_A, Category.FOUR, Category.FOUR_B, Category.FOUR_C, Category.FIVE,
)  # fmt: skip
"""Assigned categories by the urgency of what they call for, rising: the last one stands for a breast, or an exam, with
several.

A recall (0) stands above 3 and below a biopsy (4); 4 without a letter between 4A and 4B; known cancer (6) below all
that is new, so that it hides nothing that calls for more, and above 1 to 3, which a breast with a cancer is not (ACR
BI-RADS Atlas, 5th edition, guidance on reports with several categories).
"""


def most_severe(categories: Iterable[Category]) -> Category:
    """The category that stands for several, of which there is at least one: the last of them in SEVERITY."""
    return max(categories, key=SEVERITY.index)


RECALL_THRESHOLD = 0.02
"""The probability above which a site recalls, where it sets no other: the upper end of category 3, whose finding is
followed up and not worked up (ACR BI-RADS Atlas, 5th edition)."""


LIMITS = (0.003, 0.006, 0.02, 0.10, 0.50, 0.95)
"""The likelihoods at which one category's range ends and the next begins (models.birads.categories has their names)."""
_MOST_DIGITS = 6


def in_percent(probability: float, recall_threshold: float = RECALL_THRESHOLD) -> Decimal:
    """A probability (0..1) in percent, rounded once: this value is printed, and it decides category and recall.

    One digit after the point below 10 %, none above; more where rounding would cross, or reach, a limit between two
    decisions. So two figures that are printed alike never fall on two sides of one.
    """
    exact = written(probability) * 100
    limits = [100 * written(limit) for limit in (*LIMITS, recall_threshold)]
    fewest = 0 if exact >= Decimal("9.95") else 1
    found = round(exact, fewest)
    for digits in range(fewest, _MOST_DIGITS + 1):
        found = round(exact, digits)
        if all(found.compare(limit) == exact.compare(limit) for limit in limits):
            break
    return found


def written(number: float) -> Decimal:
    """A number as it is written: 0.07 and not 0.07000000000000001."""
    return Decimal(repr(float(number)))


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 image", "2 images", "0 studies"."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


@dataclass(frozen=True)
class Likelihood:
    """What a calibrated score stands for, at the level (lesion, image, breast, exam) that it was calibrated at.

    Attributes:
        probability: of malignancy, 0..1 exclusive, at the prevalence that the reading names.
        category: the one whose likelihood range holds the probability; no assessment.
    """

    probability: float
    category: Category

    def is_recalled(self, recall_threshold: float) -> bool:
        """Whether the probability lies above a site's recall threshold (0..1), both as they are printed."""
        return in_percent(self.probability, recall_threshold) > 100 * written(recall_threshold)


@dataclass(frozen=True)
class Box:
    """A half-open rectangle of source-image pixels: rows top..bottom-1, columns left..right-1.

    Raises:
        ValueError: the box is empty or begins before row or column 0.
    """

    top: int
    left: int
    bottom: int
    right: int

    def __post_init__(self) -> None:
        if not (0 <= self.top < self.bottom and 0 <= self.left < self.right):
            raise ValueError(f"Not a box: {self.top}, {self.left}, {self.bottom}, {self.right}")

    @classmethod
    def around(cls, drawn: NDArray[np.bool_]) -> Box | None:
        """The smallest box round all that is true in an image (rows × columns); None where nothing is."""
        rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
        if not rows.size:
            return None
        return cls(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def area_px(self) -> int:
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """The index by which an image gives up this box: `pixels[box.slices]`."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True, eq=False)
class Mask:
    """A lesion's pixels: a box of the source image and, in it, which pixels belong (bool, box.height × box.width).

    Raises:
        ValueError: the crop is not bool or its shape is not the box's.
    """

    box: Box
    crop: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.crop.dtype != np.bool_ or self.crop.shape != (self.box.height, self.box.width):
            raise ValueError(f"A mask of {self.crop.dtype} {self.crop.shape} does not fill its box {self.box}")

    @classmethod
    def from_full(cls, drawn: NDArray[np.bool_]) -> Mask | None:
        """The mask of all that is drawn in an image (rows × columns); None where nothing is. See `full`."""
        box = Box.around(drawn)
        return None if box is None else cls(box, np.ascontiguousarray(drawn[box.slices]))

    @property
    def area_px(self) -> int:
        return int(np.count_nonzero(self.crop))

    def full(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """The mask at the size of the whole image (rows, columns)."""
        whole = np.zeros(shape, dtype=np.bool_)
        whole[self.box.slices] = self.crop
        return whole


@dataclass(frozen=True, eq=False)
class Mammogram:
    """One image as the models see it.

    Attributes:
        pixels: rows × columns, float32 in 0..1, display polarity (dense tissue bright), VOI applied.
        spacing_mm: (row, column) distance of pixel centres in the breast, in mm; None where it is not known.
        spacing_by: how that was found, for the report; "" where it was not.
        laterality: the breast shown; None where the header does not say.
        view: DICOM view abbreviation ("CC", "MLO", "ML", …); None where the header does not say.
        extent: what it shows where that is not the whole of a standard view ("spot/magnified", "cleavage", …); else "".
        head_up: False where the header says that the columns run to the patient's head: no nipple is looked for.
        tones: a sample of the values as they are stored, rising, by which it was decided how they are shown; None where
            nobody asks.
        warnings: what the reader of the pixels thinks a radiologist should know (one sentence each).
    """

    pixels: NDArray[np.float32]
    spacing_mm: tuple[float, float] | None = None
    spacing_by: str = ""
    laterality: Laterality | None = None
    view: str | None = None
    extent: str = ""
    head_up: bool = True
    tones: NDArray[Any] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True)
class Detection:
    """A detector's proposal: where, what, and how sure (confidence 0..1)."""

    box: Box
    kind: FindingKind
    confidence: float


@dataclass(frozen=True, eq=False)
class Finding:
    """One lesion in one image.

    Attributes:
        box: the detector's box (not enlarged).
        mask: the segmenter's outline; never empty.
        confidence: the detector's, 0..1. How sure it is that a lesion is there, not that it is malignant.
        malignancy: the classifier's score for malignancy, 0..1.
        likelihood: of malignancy; None where lesions are not calibrated.
        doubt: why the outline may be wrong, one sentence; empty where there is no known reason.
    """

    kind: FindingKind
    box: Box
    mask: Mask
    confidence: float
    malignancy: float
    likelihood: Likelihood | None = None
    doubt: str = ""


@dataclass(frozen=True)
class BundleId:
    """Which models read an image: they stand in every result."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, eq=False)
class ImageReading:
    """What the models say of one image.

    Attributes:
        findings: by falling malignancy.
        malignancy: the image's score, 0..1.
        shape: rows, columns of the image read.
        bundle: the models.
        seconds: what each stage took, by its name (decode, detect, segment, classify).
        warnings: sentences for the report.
        likelihood: of malignancy in the image; None where images are not calibrated.
        as_breast: what the image's score is worth where it stands for its breast; None where breasts are not
            calibrated.
        as_exam: the same for the exam.
        prevalence: the share of exams with a cancer (0..1) that all likelihoods of this reading hold for; None where
            nothing is calibrated.
        caveat: one sentence on how far these probabilities were off on held-out patients, as the bundle's card has it;
            empty where it does not say so.
        spacing_mm: (row, column) as the Mammogram had it; None where it was not known, also where one was assumed.
        spacing_by: how it was found, for the report; "" where it was not, or in readings stored before it was told.
        nipple: (row, column) in source-image pixels, as estimated from the breast's outline; None where it was not
            found.
        preview: the image as it was read, uint8, display polarity, at most PREVIEW_ROWS rows; None in readings stored
            before there were any.
        tones: as the Mammogram had them; None in readings stored before there were any.
    """

    findings: tuple[Finding, ...]
    malignancy: float
    shape: tuple[int, int]
    bundle: BundleId
    seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    likelihood: Likelihood | None = None
    as_breast: Likelihood | None = None
    as_exam: Likelihood | None = None
    prevalence: float | None = None
    caveat: str = ""
    spacing_mm: tuple[float, float] | None = None
    spacing_by: str = ""
    nipple: tuple[int, int] | None = None
    preview: NDArray[np.uint8] | None = None
    tones: NDArray[Any] | None = None


PREVIEW_ROWS = 960


@dataclass(frozen=True, eq=False)
class ExamImage:
    """An image of the exam that was read: its reading, with its place in the study.

    Attributes:
        extent: what it shows where that is not the whole of a standard view ("spot/magnified", "cleavage", …); else "".
    """

    sop_instance_uid: str
    laterality: Laterality | None
    view: str | None
    reading: ImageReading
    extent: str = ""

    @property
    def is_whole(self) -> bool:
        """Only such an image fills the place of a standard view."""
        return not self.extent


@dataclass(frozen=True)
class UnreadImage:
    """An instance of the study that was not read, and why (one sentence for the report).

    Attributes:
        on_purpose: nothing is missing without it: it is another copy of an image that was read.
    """

    sop_instance_uid: str
    what: str
    reason: str
    on_purpose: bool = False


JOINING_RULE = (
    "An image's score is the classifier's for the image, not the highest of its lesions' scores, which do not compare. "
    "A breast's score is the highest of its images, the exam's score the highest of all images."
)
"""How images become breasts and breasts the exam: it stands in every report."""


@dataclass(frozen=True)
class BreastReading:
    """One breast's score: the highest of its images (the joining rule is named in every report).

    Attributes:
        likelihood: of malignancy in the breast; None where breasts are not calibrated.
    """

    laterality: Laterality
    malignancy: float
    likelihood: Likelihood | None = None


@dataclass(frozen=True)
class FindingId:
    """Which finding of an exam: the image's SOP Instance UID and the finding's place in its reading, from 1."""

    sop_instance_uid: str
    number: int


@dataclass(frozen=True)
class Tie:
    """Two findings of one breast, in two views, that may be one lesion (models/anatomy/two_views.py says how).

    Attributes:
        findings: the one in the cranio-caudal view, then the one in the oblique or lateral view.
        distances_mm: of each to the nipple, in their order.
        certainty: 0..1, the share of such pairs that were one lesion where it was measured.
    """

    findings: tuple[FindingId, FindingId]
    distances_mm: tuple[float, float]
    certainty: float


Half = Literal["upper", "central", "lower"]
Depth = Literal["anterior", "middle", "posterior"]


@dataclass(frozen=True)
class Location:
    """Where in the breast a finding lies (models/anatomy/location.py says how); what cannot be told is None.

    Attributes:
        distance_mm: from the finding's centre to the nipple, in the image.
        side: above or below the nipple in a view from the side; "central" where the finding lies across the nipple's
            row, in any view. A cranio-caudal view tells no more than that.
        depth: the third of the way from the nipple to the chest wall.
    """

    distance_mm: float | None
    side: Half | None
    depth: Depth | None


@dataclass(frozen=True)
class Assessment:
    """A radiologist's BI-RADS category.

    Attributes:
        laterality: the breast it is about; None: the exam.
        source: how it came: "SR", "HL7" or "CSV".
        sop_instance_uid: of the document that holds it, where that is a DICOM object of the study.
    """

    laterality: Laterality | None
    category: Category
    source: str
    sop_instance_uid: str | None = None


class Agreement(StrEnum):
    """Whether both recall: the models above the site's threshold, the radiologist above 3 or with 0."""

    AGREE = "agree on recall"
    AI_HIGHER = "AI alone recalls"
    AI_LOWER = "radiologist alone recalls"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True)
class Concordance:
    """An assessment held against what the models say of one breast or (laterality None) the exam.

    Attributes:
        likelihood: the models'; None where nothing is calibrated or read.
        points_away: percentage points by which the probability lies above (below 0: under) the range of the assigned
            category, 0 within it; None where that has none (0, 6) or there is no probability.
        why: of NOT_COMPARED, one sentence; otherwise empty.
    """

    laterality: Laterality | None
    assessment: Assessment
    likelihood: Likelihood | None
    agreement: Agreement
    points_away: Decimal | None = None
    why: str = ""


@dataclass(frozen=True, eq=False)
class ExamReading:
    """Image readings put together.

    Attributes:
        images: what was read.
        unread: what was not, each with its reason.
        missing: views that were expected and are not there, e.g. "left MLO".
        breasts: one for each breast that was read.
        malignancy: the exam's score, the highest of its images; None where nothing was read.
        warnings: sentences for the report, those of the images among them.
        likelihood: of malignancy in the exam; None where exams are not calibrated or nothing was read.
        ties: findings of two views that may be one lesion.
        concordances: the radiologist's assessments held against this reading, where they have come.
        recall_threshold: the site's: a probability (0..1) above it is a recall.
        locations: of each finding of `images`, where in the breast it lies.
    """

    images: tuple[ExamImage, ...]
    unread: tuple[UnreadImage, ...]
    missing: tuple[str, ...]
    breasts: tuple[BreastReading, ...]
    malignancy: float | None
    warnings: tuple[str, ...] = ()
    likelihood: Likelihood | None = None
    ties: tuple[Tie, ...] = ()
    concordances: tuple[Concordance, ...] = ()
    recall_threshold: float = RECALL_THRESHOLD
    locations: Mapping[FindingId, Location] = field(default_factory=dict)
