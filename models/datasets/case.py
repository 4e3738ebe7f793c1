"""One record out of every data set: an image, whose it is, what is drawn in it and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from models.errors import UserError
from models.types.mammogram import Laterality, Mammogram
from models.types.reading import FindingKind
from models.types.region import Mask


class DatasetError(UserError):
    """A data set cannot be used; the message names the file, the cause and the cure."""


class Pathology(StrEnum):
    """What the follow-up or the biopsy said."""

    NORMAL = "normal"
    BENIGN = "benign"
    MALIGNANT = "malignant"


class Side(StrEnum):
    """What an image is for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, eq=False)
class Lesion:
    """A lesion that somebody drew.

    Attributes:
        mask: its pixels in the source image, never empty; the whole box where only a box was drawn.
        outlined: whether its outline was drawn, and not a box alone: Dice means something then.
        kind: mass or calcification.
        pathology: its own; None where it is not known.
        birads: the radiologist's category of the lesion: "0" to "6", "4A", "4B", "4C"; None where not given.
        subtype: the set's own words for its shape ("spiculated", "pleomorphic"); "" where there are none.
    """

    mask: Mask
    outlined: bool
    kind: FindingKind
    pathology: Pathology | None = None
    birads: str | None = None
    subtype: str = ""


@dataclass(frozen=True, eq=False)
class Case:
    """One image of a data set. Pixels and masks are read when they are asked for.

    Attributes:
        name: unique in its set.
        dataset: the set's name ("cbis-ddsm", "cdd-cesm", "inbreast", "vindr-mammo", "archive", "phantom").
        patients: the patients it may be of, in the set's own numbering: one where that is known, which is the rule.
        exam: names the exam it belongs to, so that its images can be put together; None where that is not known.
        laterality: the breast shown.
        view: DICOM view abbreviation.
        pathology: of the breast shown; None where it is not known.
        birads: the radiologist's category of the breast ("0" to "6", "4A", "4B", "4C").
        density: "A" to "D" (ACR BI-RADS, fifth edition).
        marked_up: all its lesions are drawn (or it has none): a detector may learn from it and be measured on it.
        label_is_fair: nothing but the disease tells its pathology: malignancy may be measured on it. False for the
            images of a set whose size, view or format give the label away.
        official: the side its publishers put it on, where they did.
        read: the image.
        read_lesions: what is drawn in it; takes what `read` gave.
        kinds: what is drawn in it, as far as the set's tables tell: splits are even in it.
    """

    name: str
    dataset: str
    patients: tuple[str, ...]
    exam: str | None
    laterality: Laterality | None
    view: str | None
    pathology: Pathology | None
    birads: str | None
    density: str | None
    marked_up: bool
    label_is_fair: bool
    official: Side | None
    read: Callable[[], Mammogram]
    read_lesions: Callable[[Mammogram], tuple[Lesion, ...]]
    kinds: frozenset[FindingKind] = frozenset()

    @property
    def patient(self) -> str:
        """For draws by patient: one of whom only a choice is known counts as a patient of its own."""
        return self.patients[0] if len(self.patients) == 1 else f"{self.dataset}/{self.name}"


def of_kinds(cases: Iterable[Case], kinds: Collection[FindingKind]) -> list[Case]:
    """The images that show a lesion of these kinds, other lesions being passed over."""

    def those(case: Case) -> Callable[[Mammogram], tuple[Lesion, ...]]:
        return lambda image: tuple(lesion for lesion in case.read_lesions(image) if lesion.kind in kinds)

    return [replace(case, read_lesions=those(case)) for case in cases if not case.kinds.isdisjoint(kinds)]


@dataclass(frozen=True)
class LeftOut:
    """What the set offers and is not used, and why (one sentence)."""

    name: str
    reason: str


@dataclass(frozen=True)
class Cases:
    """The images of one or several data sets that can be used.

    Attributes:
        cases: the images.
        left_out: what is not used.
        mended: what is used though it was not as it should be, and what was done about it (one sentence each).
    """

    cases: tuple[Case, ...]
    left_out: tuple[LeftOut, ...]
    mended: tuple[str, ...] = ()
