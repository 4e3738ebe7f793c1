"""The reading of an exam: the combined readings of a study's images. Probabilities are in 0..1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from models.types.birads import RECALL_THRESHOLD, Concordance, Likelihood
from models.types.mammogram import Laterality
from models.types.reading import ImageReading
from models.types.reference import ReferenceTenth


def place_of(laterality: Laterality | None, view: str | None, extent: str = "") -> str:
    """Breast and view in short, e.g. "R CC", "R CC spot/magnified", "L MLO axillary tail"; "view not stated" if the
    header states neither."""
    stated = " ".join(part for part in (laterality, view) if part) or "view not stated"
    return f"{stated} {extent}" if extent else stated


@dataclass(frozen=True, eq=False)
class ExamImage:
    """An image of the exam that was read, with its reading.

    Attributes:
        extent: what it shows if it is not a whole standard view ("spot/magnified", "cleavage", …); else "".
    """

    sop_instance_uid: str
    laterality: Laterality | None
    view: str | None
    reading: ImageReading
    extent: str = ""

    @property
    def place(self) -> str:
        return place_of(self.laterality, self.view, self.extent)

    @property
    def calibration_holds(self) -> bool:
        """Whether its score may give a probability, and counts for breast and exam beside others."""
        return self.is_whole and self.reading.calibration_holds

    @property
    def is_whole(self) -> bool:
        """Whether it shows a whole view: only such an image counts as a standard view."""
        return not self.extent


@dataclass(frozen=True)
class UnreadImage:
    """An instance of the study that was not read, and why (one sentence for the report).

    Attributes:
        on_purpose: it need not be read, because it is another copy of an image that was read, or was rejected where
            it came from.
        laterality: None: its header does not state it, or it is no image of a breast; also `view`.
        extent: as in ExamImage.
        may_show_lesion: it is an image of a breast: while it is not read, nothing negative is stated of that breast.
    """

    sop_instance_uid: str
    what: str
    reason: str
    on_purpose: bool = False
    laterality: Laterality | None = None
    view: str | None = None
    extent: str = ""
    may_show_lesion: bool = True

    @property
    def place(self) -> str:
        return place_of(self.laterality, self.view, self.extent)

    @property
    def name(self) -> str:
        """ "R CC (for-presentation)"; only what it is if its header states neither breast nor view."""
        return f"{self.place} ({self.what})" if self.laterality or self.view else self.what

    @property
    def is_lacking(self) -> bool:
        """Whether a lesion may be in it that nobody has looked for."""
        return self.may_show_lesion and not self.on_purpose


JOINING_RULE = (
    "An image's score is the classifier's for the image, not the highest of its lesions' scores, which do not compare. "
    "A breast's score is the highest of its images, the exam's score the highest of all images. The score of a raw, "
    "synthetic, low-energy, magnified or partial image gives no probability, and counts only if there is no other."
)
"""How the scores of breasts and the exam follow from those of the images: printed in every report."""


@dataclass(frozen=True)
class BreastReading:
    """One breast's score: the highest of its images (JOINING_RULE). A breast of which no value can be stated has none.

    Attributes:
        likelihood: of malignancy in the breast; None where breasts are not calibrated, or where only a negative verdict
            would follow and it cannot be stated (`ExamReading.withheld`).
    """

    laterality: Laterality
    malignancy: float
    likelihood: Likelihood | None = None


@dataclass(frozen=True)
class FindingId:
    """Identifies a finding of an exam: the image's SOP Instance UID and the finding's number in its reading, from 1."""

    sop_instance_uid: str
    number: int


@dataclass(frozen=True)
class Tie:
    """Two findings of one breast, in two views, that may be one lesion (see models/anatomy/two_views.py).

    Attributes:
        findings: the one in the cranio-caudal view, then the one in the oblique or lateral view.
        distances_mm: of each to the nipple, in the same order.
        certainty: 0..1, the estimated probability that the two are one lesion.
    """

    findings: tuple[FindingId, FindingId]
    distances_mm: tuple[float, float]
    certainty: float


Half = Literal["upper", "central", "lower"]
Depth = Literal["anterior", "middle", "posterior"]


@dataclass(frozen=True)
class Location:
    """The location of a finding in the breast (see models/anatomy/location.py); parts that are not known are None.

    Attributes:
        distance_mm: from the finding's centre to the nipple, in the image.
        side: above or below the nipple in an oblique or lateral view; "central" if the finding is at the height of the
            nipple, in any view. In a cranio-caudal view nothing else is known.
        depth: the third of the way from the nipple to the chest wall.
    """

    distance_mm: float | None
    side: Half | None
    depth: Depth | None


@dataclass(frozen=True, eq=False)
class ExamReading:
    """The combined readings of an exam's images.

    Attributes:
        images: the images that were read.
        unread: the images that were not, each with its reason.
        missing: expected views that did not arrive, e.g. "left MLO".
        breasts: one per breast that was read and has a score.
        malignancy: the exam's score, the highest of its images; None if nothing was read, or if its images were read by
            different models, whose scores do not compare.
        warnings: sentences for the report, including those of the images.
        likelihood: of malignancy in the exam; None if exams are not calibrated, nothing was read, or it is withheld.
        withheld: why nothing negative is stated of a breast or (None) the exam, a clause: an image of it was not read,
            for example. A probability above the threshold stands whatever was not read, and is never withheld.
        ties: pairs of findings in two views that may be one lesion.
        concordances: the radiologist's assessments compared with this reading; empty if none were received.
        withdrawn: the radiologist's assessments were withdrawn or corrected, and none that counts came since.
        recall_threshold: the site's: a probability (0..1) above it is a recall.
        locations: the location of each finding of `images`.
        tenth: of a reference set, in which the exam's score is; None if the site uses none.
    """

    images: tuple[ExamImage, ...]
    unread: tuple[UnreadImage, ...]
    missing: tuple[str, ...]
    breasts: tuple[BreastReading, ...]
    malignancy: float | None
    warnings: tuple[str, ...] = ()
    likelihood: Likelihood | None = None
    withheld: Mapping[Laterality | None, str] = field(default_factory=dict)
    ties: tuple[Tie, ...] = ()
    concordances: tuple[Concordance, ...] = ()
    withdrawn: bool = False
    recall_threshold: float = RECALL_THRESHOLD
    locations: Mapping[FindingId, Location] = field(default_factory=dict)
    tenth: ReferenceTenth | None = None
