"""Tables of segmentation: paper A's Figures 4 and 5, and the figures of paper B's Tables 3 to 5."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from statistics import fmean

from models.evaluation.observations import Observation, SeenLesion
from models.evaluation.papers import paper_table, printed
from models.evaluation.plots import diameter_plot, passes_plot
from models.evaluation.tables import Absent, Cell, Counts, Draws, Row, Section, Table, figures
from models.measures.overlap import Overlap
from models.measures.scores import pearson
from models.types.reading import FindingKind
from models.types.words import counted

_PASS_COLUMNS = ("DSC", "IoU", "boundary IoU")
B3_COLUMNS = ("mIoU", "mBIoU")
B4_COLUMNS = ("TPR", "FPR", "ACC", "Dice")
SIZES_MM = (0.0, 10.0, 20.0, float("inf"))
"""Limits of the diameter groups."""

NO_OUTLINE = "No lesion's outline is drawn in the data, or no segmenter was run."
PIXEL_NOTE = (
    "The paper does not define a sample. Our interpretation: TPR, FPR and ACC are of pixels in the lesion's box, "
    "enlarged by 5 mm on each side (in the whole image FPR is always near 0 and ACC near 1); the mean over lesions."
)
BOUNDARY_NOTE = "Boundary IoU after Cheng et al. 2021: borders as wide as 2 % of the image's diagonal."


@dataclass(frozen=True)
class Drawn:
    """A lesion and the segmenter's outlines of it.

    Attributes:
        passes: the outline after each pass against the true one.
        number: the index of the lesion in its image.
    """

    image: str
    patient: str
    lesion: SeenLesion
    passes: tuple[Overlap, ...]
    number: int = 0

    @property
    def own(self) -> Overlap:
        """That of the node's pass."""
        return self.passes[self.lesion.own_pass - 1]


def by_true_box(observations: Sequence[Observation]) -> list[Drawn]:
    """Outlines from true boxes."""
    return _outlines(observations, lambda lesion: lesion.by_true_box)


def by_found_box(observations: Sequence[Observation]) -> list[Drawn]:
    """Outlines from the boxes that the detector found."""
    return _outlines(observations, lambda lesion: lesion.by_found_box)


def as_shown(observations: Sequence[Observation]) -> list[Drawn]:
    """Outlines as the node would draw them with its detector; an empty outline for a lesion that was not found."""
    return _outlines(observations, lambda lesion: lesion.by_found_box or tuple(map(_nothing, lesion.by_true_box)))


def _nothing(drawn: Overlap) -> Overlap:
    return replace(drawn, both=0, drawn=0, extra=0, boundary_iou=0.0)


def _outlines(observations: Sequence[Observation], passes: Callable[[SeenLesion], tuple[Overlap, ...]]) -> list[Drawn]:
    return [
        Drawn(observation.name, observation.patient, lesion, passes(lesion), number)
        for observation in observations
        for number, lesion in enumerate(observation.lesions)
        if passes(lesion)
    ]


def counts_of(drawn: Sequence[Drawn]) -> Counts:
    """Patients, images and lesions."""
    return Counts(len({drawing.patient for drawing in drawn}), len({drawing.image for drawing in drawn}), len(drawn))


def segmentation_section(observations: Sequence[Observation], draws: Draws) -> Section:
    """Dice and IoU by pass, against diameter, and by pixel."""
    true, found = by_true_box(observations), by_found_box(observations)
    plots = (passes_plot([[drawing.passes[at].dice for drawing in true] for at in range(_most(true))]),) if true else ()
    if true:
        diameters, dices = [drawing.lesion.diameter_mm for drawing in true], [drawing.own.dice for drawing in true]
        plots = (*plots, diameter_plot(diameters, dices))
    assumed = sum(observation.spacing_assumed for observation in observations)
    spacing = f" Millimetres are assumed of {counted(assumed, 'image')} without a pixel spacing." if assumed else ""
    return Section(
        "segmentation",
        "Segmentation",
        "The segmenter's outlines against the true ones, with the true box and with the detector's box as prompt; the "
        "segmenter enlarges both. DSC is the Dice coefficient." + spacing,
        (
            _by_pass(true, found, draws),
            _found_or_not(observations, found, draws),
            _against_diameter(true, found, draws),
            _pixels(true, found, draws),
        ),
        plots,
    )


def _most(drawn: Sequence[Drawn]) -> int:
    return max((len(drawing.passes) for drawing in drawn), default=0)


def overlap_row(name: str, drawn: Sequence[Drawn], pick: Callable[[Drawn], Overlap], draws: Draws) -> Row:
    """DSC, IoU and boundary IoU, means over lesions."""
    return _row(
        name,
        drawn,
        lambda drawing: (pick(drawing).dice, pick(drawing).iou, pick(drawing).boundary_iou or 0.0),
        3,
        draws,
    )


def boundary_row(name: str, drawn: Sequence[Drawn], draws: Draws) -> Row:
    """A row of paper B's Table 3."""
    return _row(name, drawn, _of_boundary, 2, draws)


def pixel_row(name: str, drawn: Sequence[Drawn], draws: Draws) -> Row:
    """A row of paper B's Tables 4 and 5."""
    return _row(name, drawn, _of_pixels, 4, draws)


def boundary_means(drawn: Sequence[Drawn]) -> list[float]:
    """The figures of `boundary_row`."""
    return _means([_of_boundary(drawing) for drawing in drawn])


def pixel_means(drawn: Sequence[Drawn]) -> list[float]:
    """The figures of `pixel_row`."""
    return _means([_of_pixels(drawing) for drawing in drawn])


def _of_boundary(drawing: Drawn) -> tuple[float, float]:
    return drawing.own.iou, drawing.own.boundary_iou or 0.0


def _of_pixels(drawing: Drawn) -> tuple[float, float, float, float]:
    return drawing.own.tpr, drawing.own.fpr, drawing.own.accuracy, drawing.own.dice


def _means(rows: Sequence[tuple[float, ...]]) -> list[float]:
    """The mean of each column over the rows in which it is defined; NaN if it is defined in none."""
    columns = ([figure for figure in column if not math.isnan(figure)] for column in zip(*rows, strict=True))
    return [fmean(known) if known else math.nan for known in columns]


def border_note(drawn: Sequence[Drawn]) -> str:
    """A note on the border's width and the lesions that consist only of border."""
    whole = sum(drawing.lesion.all_border for drawing in drawn)
    return f"{BOUNDARY_NOTE} {whole} of {len(drawn)} lesions are so small that they consist only of border."


def _row(
    name: str, drawn: Sequence[Drawn], values: Callable[[Drawn], tuple[float, ...]], width: int, draws: Draws
) -> Row:
    table = {id(drawing): values(drawing) for drawing in drawn}

    def means(some: list[Drawn]) -> list[float]:
        return _means([table[id(drawing)] for drawing in some])

    return Row(name, figures(drawn, lambda drawing: drawing.patient, means, width, draws, NO_OUTLINE), counts_of(drawn))


def _pass(at: int, drawing: Drawn) -> Overlap:
    return drawing.passes[at]


def _best(drawing: Drawn) -> Overlap:
    return max(drawing.passes, key=lambda overlap: overlap.dice)


def _by_pass(true: Sequence[Drawn], found: Sequence[Drawn], draws: Draws) -> Table:
    rows: list[Row] = []
    for boxes, drawn in (("true box", true), ("found box", found)):
        if not drawn:
            rows.append(Row(boxes, (Absent(NO_OUTLINE if boxes == "true box" else _NONE_FOUND),) * 3))
        for at in range(_most(drawn)):
            reached = [drawing for drawing in drawn if len(drawing.passes) > at]
            rows.append(overlap_row(f"{boxes}, pass {at + 1}", reached, partial(_pass, at), draws))
        if _most(drawn) > 1:
            best = overlap_row(f"{boxes}, best pass", drawn, _best, draws)
            rows.append(Row(best.name, best.cells, best.counts, oracle=True))
    for kind in FindingKind:
        those = [drawing for drawing in true if drawing.lesion.kind is kind]
        rows.append(overlap_row(f"true box, of the kind {kind}", those, lambda drawing: drawing.own, draws))
    notes = (
        "Oracle: the best pass by DSC is chosen by the true outline, as in the paper; a node cannot do that.",
        border_note(true),
    )
    return paper_table("A4", "Dice and IoU by pass", _PASS_COLUMNS, rows, notes, "passes")


_NONE_FOUND = "The detector found none of the outlined lesions, or was not run."


def _found_or_not(observations: Sequence[Observation], found: Sequence[Drawn], draws: Draws) -> Table:
    """Dice with detected boxes, and the same with 0 for lesions that were not found."""
    outlined = [
        (observation.patient, lesion.found_dice or 0.0)
        for observation in observations
        if observation.proposals is not None
        for lesion in observation.lesions
        if lesion.by_true_box
    ]
    images = {observation.name for observation in observations for lesion in observation.lesions if lesion.by_true_box}
    every = figures(
        outlined, lambda item: item[0], lambda some: (fmean(item[1] for item in some),), 1, draws, NO_OUTLINE
    )
    shown = figures(
        found,
        lambda drawing: drawing.patient,
        lambda some: (fmean(drawing.own.dice for drawing in some),),
        1,
        draws,
        _NONE_FOUND,
    )
    return Table(
        "found",
        "Dice with the detector's boxes",
        ("DSC",),
        (
            Row("of lesions that were found", shown, counts_of(found)),
            Row(
                "of all lesions, 0 for those not found",
                every,
                Counts(len({patient for patient, _ in outlined}), len(images) if outlined else 0, len(outlined)),
            ),
        ),
    )


def size_bands() -> list[tuple[str, float, float]]:
    """Name, lower and upper limit (mm, half-open) of each diameter group."""
    named = {0: "below {high:g} mm", len(SIZES_MM) - 2: "{low:g} mm and more"}
    return [
        (named.get(at, "{low:g} to {high:g} mm").format(low=low, high=high), low, high)
        for at, (low, high) in enumerate(pairwise(SIZES_MM))
    ]


def _against_diameter(true: Sequence[Drawn], found: Sequence[Drawn], draws: Draws) -> Table:
    rows = [
        *_diameter_rows("true box", true, "No outlined lesion is of this size, or no segmenter was run.", draws),
        *_diameter_rows(
            "found box", found, "No outlined lesion of this size was found, or no detector was run.", draws
        ),
    ]
    theirs = tuple(
        Row(row.name, (row.cells[0], "< 0.0001"), theirs=row.theirs) for row in printed("A5", ("Pearson r",))
    )
    return Table(
        "diameter",
        "Dice against the lesion's diameter",
        ("value", "p"),
        (*rows, *theirs),
        "paper A, Figure 5",
        notes=(
            "After the node's pass; the rows of the found box are of the lesions that were found. p assumes "
            "independent lesions.",
        ),
    )


def _diameter_rows(boxes: str, drawn: Sequence[Drawn], none: str, draws: Draws) -> list[Row]:
    """The correlation, and Dice of each diameter group."""

    def correlation(some: list[Drawn]) -> tuple[float]:
        return (pearson([drawing.lesion.diameter_mm for drawing in some], [drawing.own.dice for drawing in some])[0],)

    few = "Fewer than three outlined lesions, or all of one size or one Dice."
    (r,) = figures(drawn, lambda drawing: drawing.patient, correlation, 1, draws, few)
    p: Cell = Absent(few)
    if not isinstance(r, Absent):
        p = pearson([drawing.lesion.diameter_mm for drawing in drawn], [drawing.own.dice for drawing in drawn])[1]
    rows = [Row(f"{boxes}, Pearson's r of DSC and diameter", (r, p), counts_of(drawn))]
    for name, low, high in size_bands():
        band = [drawing for drawing in drawn if low <= drawing.lesion.diameter_mm < high]
        (dice,) = figures(
            band,
            lambda drawing: drawing.patient,
            lambda some: (fmean(drawing.own.dice for drawing in some),),
            1,
            draws,
            none,
        )
        rows.append(Row(f"{boxes}, DSC, {name}", (dice, ""), counts_of(band)))
    return rows


def _pixels(true: Sequence[Drawn], found: Sequence[Drawn], draws: Draws) -> Table:
    return Table(
        "pixels",
        "By pixel",
        B4_COLUMNS,
        (
            pixel_row("true box", true, draws),
            pixel_row("found box", found, draws),
            *printed("B4", B4_COLUMNS),
            *printed("B5", B4_COLUMNS, ("HQ-SAM, mean", "Yolo-MLSAM, mean")),
        ),
        "paper B, Tables 4 and 5",
        percent=True,
        notes=(PIXEL_NOTE,),
    )
