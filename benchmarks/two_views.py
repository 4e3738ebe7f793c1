"""How well one lesion keeps its distance from the nipple over two views, and how far off the nipple is.

    .venv/bin/python benchmarks/two_views.py CDD-CESM

Breasts of CDD-CESM with exactly one drawn lesion in CC and one in MLO, both of one kind. A pair of two lesions is a
breast's CC lesion and the MLO lesion of another patient, put at the same share of this breast's depth. Test patients
are 60 to 119, as for the models; all others stand under "set by". The set gives no spacing: see docs/two_views.md.

nipples.csv has the rows of nipples that can be seen, marked by eye on the MLO images of 512 pixels.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.anatomy.breast import breast_box, breast_side
from models.anatomy.film import known_or_assumed
from models.anatomy.landmarks import find_nipple
from models.anatomy.two_views import ODDS
from models.datasets.case import Case
from models.datasets.cdd_cesm import read_cdd_cesm
from models.types.mammogram import Laterality
from models.types.reading import FindingKind

TEST = range(60, 120)
NATIVE_SPACING_MM = 0.1
DRAWS = 500


@dataclass(frozen=True)
class View:
    """One lesion in one view.

    Attributes:
        distance_px, depth_px: from the nipple to the lesion, and to the breast's edge at the chest wall.
    """

    patient: str
    laterality: Laterality | None
    view: str | None
    kind: FindingKind
    distance_px: float
    depth_px: float
    spacing_mm: float


@dataclass(frozen=True)
class Pair:
    """One lesion in two views."""

    cc: View
    mlo: View

    def difference_mm(self, by: str, lesion: Pair | None = None) -> float:
        """Between the distances; with the MLO lesion of another pair in this breast, where one is given.

        Args:
            by: "spacing": the set's assumed spacing in both views; "depth": millimetres a pixel of the MLO view from
                the CC view's, so that the breast is as deep in both.
        """
        own = self.mlo
        other = own if lesion is None else lesion.mlo
        spacing = own.spacing_mm if by == "spacing" else self.cc.spacing_mm * self.cc.depth_px / own.depth_px
        distance_px = other.distance_px * own.depth_px / other.depth_px
        return abs(spacing * distance_px - self.cc.spacing_mm * self.cc.distance_px)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="CDD-CESM, its part with pictures of regions")
    cases = read_cdd_cesm(parser.parse_args().folder).cases
    cv2.setNumThreads(1)
    _show_nipples(cases)
    pairs = _pairs(cases)
    sides = {
        "set by": [pair for pair in pairs if not _tested(pair.cc.patient)],
        "test": [pair for pair in pairs if _tested(pair.cc.patient)],
    }
    for by in ("depth", "spacing"):
        for name, some in sides.items():
            _show(f"{name}, MLO scaled by {by}", some, by)


def _show_nipples(cases: Sequence[Case]) -> None:
    with (Path(__file__).parent / "nipples.csv").open(encoding="utf-8") as file:
        marked = {line["image"]: int(line["row"]) for line in csv.DictReader(file)}
    for name, tested in (("set by", False), ("test", True)):
        off = np.array(
            [
                abs(nipple[0] - marked[case.name]) / image.shape[0]
                for case in cases
                if case.name in marked and _tested(case.patients[0]) == tested
                for image in [case.read()]
                if (nipple := find_nipple(image.pixels, case.view))
            ]
        )
        median, most = np.quantile(off, (0.5, 0.9))
        print(f"nipple, {name}: {off.size} MLO images, off by {median:.1%} of their rows (median), {most:.1%} (90 %)")


def _pairs(cases: Sequence[Case]) -> list[Pair]:
    views = [view for case in cases if len(case.patients) == 1 and (view := _view(case)) is not None]
    return [
        Pair(cc, mlo)
        for cc in views
        for mlo in views
        if (cc.view, mlo.view) == ("CC", "MLO")
        and (cc.patient, cc.laterality, cc.kind) == (mlo.patient, mlo.laterality, mlo.kind)
    ]


def _view(case: Case) -> View | None:
    """None where the image has not exactly one lesion, or no nipple."""
    image = case.read()
    lesions = case.read_lesions(image)
    nipple, side, box = find_nipple(image.pixels, case.view), breast_side(image.pixels), breast_box(image.pixels)
    if len(lesions) != 1 or nipple is None:
        return None
    centre = np.argwhere(lesions[0].mask.full(image.shape)).mean(axis=0)
    wall = box.left if side == "left" else box.right
    return View(
        case.patients[0],
        case.laterality,
        case.view,
        lesions[0].kind.basic,
        float(np.hypot(*(centre - nipple))),
        float(abs(nipple[1] - wall)),
        known_or_assumed(image, NATIVE_SPACING_MM)[0],
    )


def _show(title: str, pairs: Sequence[Pair], by: str) -> None:
    patients = len({pair.cc.patient for pair in pairs})
    same = np.array([pair.difference_mm(by) for pair in pairs])
    print(f"\n{title}: {len(pairs)} lesions, {patients} patients")
    print(f"  one lesion differs by {np.median(same):.1f} mm (median), {np.quantile(same, 0.9):.1f} mm (90 %)")
    print(f"  own lesion nearer than another: {_interval(_nearer, pairs, by)}")
    least = 0.0
    for most, odds in ODDS:
        print(f"  {least:.0f} to {most:.0f} mm: {_shares(pairs, by, least, most)}; in the code {odds / (1 + odds):.2f}")
        least = most


def _shares(pairs: Sequence[Pair], by: str, least: float, most: float) -> str:
    def right(some: Sequence[Pair], by: str) -> float:
        one, two = (np.mean((least < each) & (each <= most)) for each in _differences(some, by))
        return float(one / (one + two)) if one + two else float("nan")

    one, two = (int(np.sum((least < each) & (each <= most))) for each in _differences(pairs, by))
    sizes = [each.size for each in _differences(pairs, by)]
    return f"{one} of {sizes[0]} pairs of one lesion, {two} of {sizes[1]} of two; right {_interval(right, pairs, by)}"


def _differences(pairs: Sequence[Pair], by: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of pairs of one lesion, and of two."""
    strangers = [
        pair.difference_mm(by, other)
        for pair in pairs
        for other in pairs
        if pair.cc.kind is other.cc.kind and pair.cc.patient != other.cc.patient
    ]
    return np.array([pair.difference_mm(by) for pair in pairs]), np.array(strangers)


def _nearer(pairs: Sequence[Pair], by: str) -> float:
    own = [
        pair.difference_mm(by) < pair.difference_mm(by, other)
        for pair in pairs
        for other in pairs
        if pair.cc.kind is other.cc.kind and pair.cc.patient != other.cc.patient
    ]
    return float(np.mean(own))


def _interval(figure: Callable[[Sequence[Pair], str], float], pairs: Sequence[Pair], by: str) -> str:
    """The figure with its 95 % interval by bootstrap over patients."""
    of = {patient: [pair for pair in pairs if pair.cc.patient == patient] for patient in {p.cc.patient for p in pairs}}
    draw, names = np.random.default_rng(0), sorted(of)
    drawn = [figure([pair for name in draw.choice(names, len(names)) for pair in of[name]], by) for _ in range(DRAWS)]
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return f"{figure(pairs, by):.2f} ({low:.2f}–{high:.2f})"


def _tested(patient: str) -> bool:
    return int(re.findall(r"\d+", patient)[-1]) in TEST


if __name__ == "__main__":
    main()
