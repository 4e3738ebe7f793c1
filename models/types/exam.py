"""The readings of a study's images, put together. Probabilities are in 0..1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from models.types.birads import RECALL_THRESHOLD, Concordance, Likelihood
from models.types.mammogram import Laterality
from models.types.reading import ImageReading


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
