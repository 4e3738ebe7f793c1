"""The record that every data set is converted to: an image, its patient, its drawn lesions and its labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from models.errors import UserError
from models.types.mammogram import Laterality, Mammogram
from models.types.reading import FindingKind, told_apart
from models.types.region import Mask


class DatasetError(UserError):
    """A data set cannot be used; the message names the file, the cause and the cure."""


class Pathology(StrEnum):
    """The result of follow-up or biopsy."""

    NORMAL = "normal"
    BENIGN = "benign"
    MALIGNANT = "malignant"


class Side(StrEnum):
    """The part of a split that an image belongs to."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, eq=False)
class Lesion:
    """An annotated lesion.

    Attributes:
        mask: its pixels in the source image, never empty; the whole box where only a box was drawn.
        outlined: True: its outline was drawn; False: only a box was drawn, so Dice is not meaningful.
        kind: see `FindingKind`.
        pathology: its own; None where it is not known.
        birads: the radiologist's category of the lesion: "0" to "6", "4A", "4B", "4C"; None where not given.
        subtype: the data set's own description of its shape ("spiculated", "pleomorphic"); "" where there is none.
        drawn: where only a box was drawn: a segmenter's outline (`models.datasets.drawn_outlines`); never a truth.
    """

    mask: Mask
    outlined: bool
    kind: FindingKind
    pathology: Pathology | None = None
    birads: str | None = None
    subtype: str = ""
    drawn: Mask | None = None

    @property
    def shown(self) -> Mask:
        """What a classifier sees of it: its outline, or the one that a segmenter drew, or else its box."""
        return self.mask if self.drawn is None else self.drawn


@dataclass(frozen=True, eq=False)
class Case:
    """One image of a data set. Pixels and masks are read lazily, by `read` and `read_lesions`.

    Attributes:
        name: unique in its set.
        dataset: the set's name (models/datasets/catalog.py has them).
        patients: the patients it may belong to, in the set's own numbering: usually one, the known patient.
        exam: identifies its exam, so that the images of one exam can be grouped; None where that is not known.
        laterality: the breast shown.
        view: DICOM view abbreviation.
        pathology: of the breast shown; None where it is not known.
        birads: the radiologist's category of the breast ("0" to "6", "4A", "4B", "4C").
        density: "A" to "D" (ACR BI-RADS, fifth edition).
        marked_up: all its lesions are drawn (or it has none): a detector may be trained and evaluated on it.
        label_is_fair: its pathology cannot be predicted from anything but the disease: malignancy may be evaluated on
            it. False for the images of a set whose size, view or format reveals the label.
        official: its side in the publishers' split; None where they made none.
        read: returns the image.
        read_lesions: takes the image that `read` returned; returns the annotated lesions.
        kinds: of the annotated lesions, as far as the set's tables state them: splits are stratified by them, where a
            mass with calcifications counts as a mass.
        hospital: where the image was made, as the set names it; "" where that is not known. Hospitals differ in
            scanner and in their share of malignant cases, so figures of malignancy are also given within hospitals.
        made_from: the name of the image that this one was made from; "" for an image as it was taken.
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
    hospital: str = ""
    made_from: str = ""

    @property
    def patient(self) -> str:
        """For resampling by patient: an image with several possible patients counts as a patient of its own, together
        with all that was made from it."""
        return self.patients[0] if len(self.patients) == 1 else f"{self.dataset}/{self.made_from or self.name}"


def lesions_told_apart(lesions: Iterable[Lesion]) -> tuple[Lesion, ...]:
    """One image's lesions, where masses that have calcifications in them are called so (`models.types.reading`)."""
    lesions = tuple(lesions)
    kinds = told_apart([lesion.mask.box for lesion in lesions], [lesion.kind for lesion in lesions])
    return tuple(replace(lesion, kind=kind) for lesion, kind in zip(lesions, kinds, strict=True))


def of_kinds(cases: Iterable[Case], kinds: Collection[FindingKind]) -> list[Case]:
    """The images that show a lesion of these kinds; their lesions of other kinds are omitted. Masses include those with
    calcifications."""

    def asked(kind: FindingKind) -> bool:
        return kind in kinds or kind.basic in kinds

    def those(case: Case) -> Callable[[Mammogram], tuple[Lesion, ...]]:
        return lambda image: tuple(lesion for lesion in case.read_lesions(image) if asked(lesion.kind))

    return [replace(case, read_lesions=those(case)) for case in cases if any(map(asked, case.kinds))]


@dataclass(frozen=True)
class LeftOut:
    """An item of the set that is not used, and the reason (one sentence)."""

    name: str
    reason: str


@dataclass(frozen=True)
class Cases:
    """The images of one or several data sets that can be used.

    Attributes:
        cases: the images.
        left_out: what is not used.
        mended: items that were defective, are used all the same, and what was done to them (one sentence each).
        outlined_by: identifies the segmenter that drew outlines in boxes (drawn_outlines.py); "" if none did. Weights
            that were trained on them depend on it.
    """

    cases: tuple[Case, ...]
    left_out: tuple[LeftOut, ...]
    mended: tuple[str, ...] = ()
    outlined_by: str = ""
