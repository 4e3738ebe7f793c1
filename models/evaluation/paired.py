"""Paired differences of recipes on the same items: a difference has a narrower interval than the two figures, because
items that are hard for one recipe are hard for the other too."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from models.evaluation.decisions import areas, decided
from models.evaluation.detection import averaged, counted, frocs
from models.evaluation.observations import Observation
from models.evaluation.scored import Scored
from models.evaluation.segmentation import Drawn, boundary_means, pixel_means
from models.evaluation.tables import Cell, Counts, Draws, Row, Table, figures

Item = TypeVar("Item")

_NOT_BOTH = "It is not defined for both, or they share no item."


@dataclass(frozen=True)
class Difference(Generic[Item]):
    """Figures by which two recipes are compared.

    Attributes:
        key: identifies the same item in both recipes.
        image: the image of an item.
        patient: the patient of an item.
        measures: functions from items to figures; each with its number of figures.
    """

    key: Callable[[Item], Hashable]
    image: Callable[[Item], str]
    patient: Callable[[Item], str]
    measures: tuple[tuple[Callable[[list[Item]], Sequence[float]], int], ...]

    def row(self, name: str, items: Sequence[Item], reference: Sequence[Item], draws: Draws) -> Row:
        """The figures of `items` minus those of `reference`, on the items that both have, with the same draws."""
        references = {self.key(item): item for item in reference}
        pairs = [(item, references[self.key(item)]) for item in items if self.key(item) in references]
        cells: list[Cell] = []
        for measure, width in self.measures:

            def differ(some: list[tuple[Item, Item]], measure=measure) -> list[float]:  # type: ignore[no-untyped-def]
                ours, theirs = measure([item for item, _ in some]), measure([item for _, item in some])
                return [float(a - b) for a, b in zip(ours, theirs, strict=True)]

            cells += figures(pairs, lambda pair: self.patient(pair[0]), differ, width, draws, _NOT_BOTH)
        patients, images = {self.patient(item) for item, _ in pairs}, {self.image(item) for item, _ in pairs}
        return Row(name, tuple(cells), Counts(len(patients), len(images)))


average_precision_difference: Difference[Observation] = Difference(
    lambda item: item.name,
    lambda item: item.name,
    lambda item: item.patient,
    ((counted, 3), (averaged, 2)),
)
froc_difference: Difference[Observation] = Difference(
    lambda item: item.name, lambda item: item.name, lambda item: item.patient, ((frocs, 6),)
)
boundary_difference: Difference[Drawn] = Difference(
    lambda lesion: (lesion.image, lesion.number),
    lambda lesion: lesion.image,
    lambda item: item.patient,
    ((boundary_means, 2),),
)
pixel_difference: Difference[Drawn] = Difference(
    lambda lesion: (lesion.image, lesion.number),
    lambda lesion: lesion.image,
    lambda item: item.patient,
    ((pixel_means, 4),),
)
decision_difference: Difference[Scored] = Difference(
    lambda scored: scored.of, lambda scored: scored.of[0], lambda item: item.patient, ((decided, 4),)
)
area_difference: Difference[Scored] = Difference(
    lambda scored: scored.of, lambda scored: scored.of[0], lambda item: item.patient, ((areas, 3),)
)


def differences_to(
    name: str,
    reference: Sequence[Item],
    contenders: Mapping[str, Sequence[Item]],
    difference: Difference[Item],
    draws: Draws,
) -> tuple[Row, ...]:
    """Each contender minus the reference of this name."""
    return tuple(difference.row(f"{ours} − {name}", some, reference, draws) for ours, some in contenders.items())


def differences(
    table: str,
    title: str,
    columns: tuple[str, ...],
    contenders: Mapping[str, Sequence[Item]],
    difference: Difference[Item],
    draws: Draws,
    percent: bool = False,
) -> tuple[Table, ...]:
    """A table of each contender minus the first one; empty if there is no second one."""
    (first, reference), *others = contenders.items() or [("", ())]
    if not others:
        return ()
    rows = differences_to(first, reference, dict(others), difference, draws)
    return (
        Table(
            f"{table}-differences",
            f"{title}: each recipe minus the first",
            columns,
            rows,
            percent=percent,
            notes=(
                "Differences of the figures above on the items that both have, with the same draws of patients: if the "
                "interval contains 0, the difference is not significant.",
            ),
        ),
    )
