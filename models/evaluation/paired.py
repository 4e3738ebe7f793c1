"""Compares recipes on the same items (paired differences): a difference has a narrower interval than the two figures,
since items that are hard for one recipe are hard for the other too."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from models.evaluation.detection import FEWER_DRAWS, averaged, counted, frocs
from models.evaluation.malignancy import areas, decided
from models.evaluation.observations import Observation
from models.evaluation.scored import Scored
from models.evaluation.segmentation import Drawn, boundary_means, pixel_means
from models.evaluation.tables import Cell, Counts, Draws, Row, Table, figures

Item = TypeVar("Item")

_NOT_BOTH = "It is not defined for both, or they share no item."


@dataclass(frozen=True)
class Difference(Generic[Item]):
    """Figures that two recipes are compared by.

    Attributes:
        key: what tells an item again among the other recipe's.
        image: the image that an item is of.
        measures: the figures of some items, how many, and the most draws of the interval.
    """

    key: Callable[[Item], Hashable]
    image: Callable[[Item], str]
    patient: Callable[[Item], str]
    measures: tuple[tuple[Callable[[list[Item]], Sequence[float]], int, int | None], ...]

    def row(self, name: str, ones: Sequence[Item], others: Sequence[Item], draws: Draws) -> Row:
        """The figures of `ones` less those of `others`, of the items that both have; patients are drawn for both."""
        theirs = {self.key(other): other for other in others}
        pairs = [(item, theirs[self.key(item)]) for item in ones if self.key(item) in theirs]
        cells: list[Cell] = []
        for measure, width, most in self.measures:

            def differ(some: list[tuple[Item, Item]], measure=measure) -> list[float]:  # type: ignore[no-untyped-def]
                first, second = measure([one for one, _ in some]), measure([other for _, other in some])
                return [float(one - other) for one, other in zip(first, second, strict=True)]

            fewer = Draws(draws.seed, min(draws.resamples, most or draws.resamples))
            cells += figures(pairs, lambda pair: self.patient(pair[0]), differ, width, fewer, _NOT_BOTH)
        patients, images = {self.patient(one) for one, _ in pairs}, {self.image(one) for one, _ in pairs}
        return Row(name, tuple(cells), Counts(len(patients), len(images)))


average_precision_difference: Difference[Observation] = Difference(
    lambda item: item.name,
    lambda item: item.name,
    lambda item: item.patient,
    ((counted, 3, None), (averaged, 2, FEWER_DRAWS)),
)
froc_difference: Difference[Observation] = Difference(
    lambda item: item.name, lambda item: item.name, lambda item: item.patient, ((frocs, 6, None),)
)
boundary_difference: Difference[Drawn] = Difference(
    lambda lesion: (lesion.image, lesion.number),
    lambda lesion: lesion.image,
    lambda item: item.patient,
    ((boundary_means, 2, None),),
)
pixel_difference: Difference[Drawn] = Difference(
    lambda lesion: (lesion.image, lesion.number),
    lambda lesion: lesion.image,
    lambda item: item.patient,
    ((pixel_means, 4, None),),
)
decision_difference: Difference[Scored] = Difference(
    lambda scored: scored.of, lambda scored: scored.of[0], lambda item: item.patient, ((decided, 4, None),)
)
area_difference: Difference[Scored] = Difference(
    lambda scored: scored.of, lambda scored: scored.of[0], lambda item: item.patient, ((areas, 2, None),)
)


def differences(
    table: str,
    title: str,
    columns: tuple[str, ...],
    contenders: Mapping[str, Sequence[Item]],
    difference: Difference[Item],
    draws: Draws,
    percent: bool = False,
) -> tuple[Table, ...]:
    """A table of each contender less the first; none where there is no second one."""
    (first, ones), *others = contenders.items() or [("", ())]
    if not others:
        return ()
    rows = tuple(difference.row(f"{name} − {first}", some, ones, draws) for name, some in others)
    return (
        Table(
            f"{table}-differences",
            f"{title}: each recipe less the first",
            columns,
            rows,
            percent=percent,
            notes=(
                "Differences of the figures above on what both measured, by the same draws of patients: where the "
                "interval holds 0, the data do not tell the two apart.",
            ),
        ),
    )
