"""The same figures by view, density, lesion type and size, and the radiologist's category."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.observations import Observation, SeenLesion
from models.evaluation.segmentation import size_bands
from models.evaluation.tables import Absent, Cell, Counts, Draws, Row, Section, Table
from models.measures.detection import Figure, auc, with_intervals
from models.types.reading import FindingKind

COLUMNS = ("sensitivity at 1 FP/image", "DSC, true box", "DSC, found box", "AUC, images")
_FALSE_POSITIVES = 1.0

_WHY = (
    "None of its lesions is in an image whose lesions are all drawn, or no detector was run.",
    "None of its lesions is outlined, or no segmenter was run.",
    "None of its outlined lesions was found, or no detector was run.",
    "Its images of known pathology with a fair label are all malignant or none is.",
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Group:
    """A group of lesions, and the images that belong to it."""

    name: str
    image: Callable[[Observation], bool]
    lesion: Callable[[Observation, SeenLesion], bool]


def subgroups_section(observations: Sequence[Observation], draws: Draws) -> Section:
    """A table for each grouping."""
    return Section(
        "subgroups",
        "Subgroups",
        "Sensitivity is at the confidence that gives one false positive per image over all images, so that the groups "
        "can be compared. An image belongs to a group of lesions if it has one of them.",
        tuple(
            Table(f"by-{name.split()[0]}", f"By {name}", COLUMNS, _rows(observations, groups, draws))
            for name, groups in _divisions(observations)
        ),
    )


def _divisions(observations: Sequence[Observation]) -> list[tuple[str, list[Group]]]:
    hospitals = sorted({observation.hospital for observation in observations if observation.hospital})
    views = sorted({observation.view for observation in observations if observation.view})
    return [
        ("view", [_of_view(view) for view in views]),
        ("hospital", [_of_hospital(hospital) for hospital in hospitals]),
        ("density", [_of_density(density) for density in "ABCD"]),
        ("type of lesion", [_of_kind(kind) for kind in FindingKind]),
        ("size of lesion", [_of_size(*band) for band in size_bands()]),
        ("BI-RADS category", [_of_category(category) for category in ("4A", "4B", "4C")]),
    ]


def _of_view(view: str) -> Group:
    return _of_images(view, lambda observation: observation.view == view)


def _of_hospital(hospital: str) -> Group:
    return _of_images(hospital, lambda observation: observation.hospital == hospital)


def _of_density(density: str) -> Group:
    return _of_images(f"ACR {density}", lambda observation: observation.density == density)


def _of_kind(kind: FindingKind) -> Group:
    return _of_lesions(kind, lambda _, lesion: lesion.kind is kind)


def _of_size(name: str, low: float, high: float) -> Group:
    return _of_lesions(name, lambda _, lesion: low <= lesion.diameter_mm < high)


def _of_category(category: str) -> Group:
    return _of_lesions(category, lambda observation, lesion: (lesion.birads or observation.birads) == category)


def _of_images(name: str, chosen: Callable[[Observation], bool]) -> Group:
    return Group(name, chosen, lambda observation, _: chosen(observation))


def _of_lesions(name: str, chosen: Callable[[Observation, SeenLesion], bool]) -> Group:
    return Group(name, lambda observation: any(chosen(observation, lesion) for lesion in observation.lesions), chosen)


def _rows(observations: Sequence[Observation], groups: Sequence[Group], draws: Draws) -> tuple[Row, ...]:
    columns = _Columns.of(observations)
    there = [group for group in groups if any(group.image(observation) for observation in observations)]
    images = [np.array([group.image(observation) for observation in observations], dtype=np.bool_) for group in there]
    lesions = [
        np.array(
            [group.lesion(observation, lesion) for observation in observations for lesion in observation.lesions],
            dtype=np.bool_,
        )
        for group in there
    ]
    measured: list[Figure] = []
    if there:
        measured = with_intervals(
            [observation.patient for observation in observations],
            lambda at: columns.measure(at, images, lesions),
            draws.seed,
            draws.resamples,
        )
    width = len(COLUMNS)
    by_name = {group.name: measured[width * at : width * (at + 1)] for at, group in enumerate(there)}
    return tuple(_row(group.name, by_name.get(group.name), _counts(observations, group)) for group in groups) or (
        Row("none", (Absent("The data do not state it."),) * width),
    )


def _row(name: str, figures: Sequence[Figure] | None, counts: Counts) -> Row:
    if figures is None:
        return Row(name, (Absent("The data have none, or do not state it."),) * len(COLUMNS), counts)
    cells: tuple[Cell, ...] = tuple(
        Absent(why) if np.isnan(figure.value) else figure for figure, why in zip(figures, _WHY, strict=True)
    )
    return Row(name, cells, counts)


def _counts(observations: Sequence[Observation], group: Group) -> Counts:
    those = [observation for observation in observations if group.image(observation)]
    lesions = sum(group.lesion(observation, lesion) for observation in those for lesion in observation.lesions)
    return Counts(len({observation.patient for observation in those}), len(those), lesions)


@dataclass(frozen=True, eq=False)
class _Columns:
    """Images and lesions as arrays, so that a bootstrap draw is a vector of weights.

    Attributes:
        marked: whether the detector is measured on an image.
        wrong, wrong_in: confidences of the false positives, descending, and the indices of their images.
        score: of each image; NaN if it has none or its label is not fair.
        lesion_in: the index of each lesion's image.
        hit: the highest confidence of a proposal that finds the lesion; 0 if none does.
        true, found: Dice of each lesion with the true and the found box; NaN if there is none.
    """

    marked: Bools
    wrong: Floats
    wrong_in: NDArray[np.intp]
    score: Floats
    malignant: Bools
    lesion_in: NDArray[np.intp]
    hit: Floats
    true: Floats
    found: Floats

    @classmethod
    def of(cls, observations: Sequence[Observation]) -> _Columns:
        nan = float("nan")
        wrong = sorted(
            (
                (proposal.confidence, at)
                for at, observation in enumerate(observations)
                if observation.marked_up
                for proposal in observation.proposals or ()
                if proposal.lesion is None
            ),
            reverse=True,
        )
        lesions = [
            (at, number, observation, lesion)
            for at, observation in enumerate(observations)
            for number, lesion in enumerate(observation.lesions)
        ]
        return cls(
            marked=np.array(
                [observation.marked_up and observation.proposals is not None for observation in observations],
                dtype=np.bool_,
            ),
            wrong=np.array([confidence for confidence, _ in wrong]),
            wrong_in=np.array([at for _, at in wrong], dtype=np.intp),
            score=np.array(
                [
                    observation.score
                    if observation.score is not None and observation.label_is_fair and observation.pathology
                    else nan
                    for observation in observations
                ]
            ),
            malignant=np.array([observation.malignant for observation in observations], dtype=np.bool_),
            lesion_in=np.array([at for at, *_ in lesions], dtype=np.intp),
            hit=np.array(
                [
                    max((p.confidence for p in observation.proposals or () if p.lesion == number), default=0.0)
                    for _, number, observation, _ in lesions
                ]
            ),
            true=np.array([lesion.true_dice for *_, lesion in lesions], dtype=np.float64),
            found=np.array([lesion.found_dice for *_, lesion in lesions], dtype=np.float64),
        )

    def measure(self, drawn: Sequence[int], images: Sequence[Bools], lesions: Sequence[Bools]) -> list[float]:
        """Four figures per group for a draw (indices of images, with repetitions)."""
        weights = np.bincount(drawn, minlength=self.marked.size)
        threshold = self._threshold(weights)
        of_lesions = weights[self.lesion_in]
        values: list[float] = []
        for some_images, some_lesions in zip(images, lesions, strict=True):
            counted = of_lesions * some_lesions
            detected = counted * self.marked[self.lesion_in]
            known = ~np.isnan(self.score) & some_images
            repeated = np.repeat(np.flatnonzero(known), weights[known])
            values += [
                _mean((self.hit > threshold).astype(np.float64), detected),
                _mean(self.true, counted),
                _mean(self.found, counted),
                auc(self.score[repeated], self.malignant[repeated]) if repeated.size else float("nan"),
            ]
        return values

    def _threshold(self, weights: NDArray[np.intp]) -> float:
        """As measures.detection.threshold, for the weighted images."""
        allowed = int(_FALSE_POSITIVES * weights[self.marked].sum())
        over = np.flatnonzero(np.cumsum(weights[self.wrong_in]) > allowed)
        return float(self.wrong[over[0]]) if over.size else 0.0


def _mean(values: Floats, weights: NDArray[np.intp]) -> float:
    known = ~np.isnan(values)
    total = float(np.sum(weights[known]))
    return float(np.sum(values[known] * weights[known])) / total if total else float("nan")
