"""How well a bundle's detector of calcifications finds simulated clusters in breasts that were held out, and real ones.

    .venv/bin/python benchmarks/simulated_clusters.py CDD-CESM --bundle BUNDLE --split SPLIT.json

SPLIT.json is that of the training (BUNDLE/training/calcifications/split.json). Every test picture of the set
simulated-clusters is looked at once, at the bundle's own threshold: clusters by thirds of their contrast (the median
over a cluster's grains of the peak contrast over the local noise), false clusters on the shams, and the overlap of the
marked grains in proposed clusters with the true ones, where a pixel counts as right if there is one of the other within
a pixel. Then the real calcifications of the set's native images, as a count: these images were used to look at the
detector, and never to fit it. Intervals are of 95 %, by bootstrap over patients.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from safetensors.torch import load_file

from models.anatomy.film import with_spacing
from models.bundles.bundle import find_bundle, read_bundle
from models.datasets.case import Case
from models.datasets.cdd_cesm import read_with_calcifications, read_without_calcifications
from models.datasets.simulated_clusters import PER_IMAGE, SPACING_MM, inserted_into, read_simulated_clusters
from models.datasets.split import read_split
from models.detectors.grains import GrainDetector, load
from models.framing import Frame, scaled_frame
from models.measures.detection import Figure, match, with_interval
from models.phantom.insertion import Inserted
from models.runner import Runner
from models.types.reading import Detection

SEED = 1
TOLERANCE = np.ones((3, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Looked:
    """A picture that was looked at.

    Attributes:
        contrast: of its cluster; 0 for a sham.
        found: whether a proposal finds the cluster.
        false: the number of other proposals.
        dice: of the grains; NaN for a sham.
    """

    patient: str
    contrast: float
    found: bool
    false: int
    dice: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of CDD-CESM")
    parser.add_argument("--bundle", required=True, help="a shipped bundle's name, or a folder")
    parser.add_argument("--split", type=Path, required=True, help="split.json of the training")
    parser.add_argument("--side", choices=("validation", "test"), default="test")
    arguments = parser.parse_args()
    part = read_bundle(find_bundle(arguments.bundle)).calcifications
    if part is None:
        parser.error(f"{arguments.bundle} has no detector of calcifications: train one into it first.")
    settings = dict(part.settings)
    detector = load(load_file(part.weights), Runner(torch.device("cpu")), **settings)
    grain, mm_per_px = float(settings.get("grain", 0.3)), float(settings.get("mm_per_px", 0.1))

    names = set(getattr(read_split(arguments.split, read_simulated_clusters(arguments.folder).cases), arguments.side))
    bases = [base for base in read_without_calcifications(arguments.folder) if f"{base.name}-sham" in names]
    pictures = [(base, number) for base in bases for number in (None, *range(1, PER_IMAGE + 1))]
    looked = [look(detector, grain, mm_per_px, base, number) for base, number in track(pictures, "looking")]
    show(looked)
    show_real(detector, arguments.folder)


def look(detector: GrainDetector, grain: float, mm_per_px: float, base: Case, number: int | None) -> Looked:
    """A base image with its cluster of this number, or (None) as a sham."""
    image = with_spacing(base.read(), SPACING_MM)
    inserted = inserted_into(image, base.name, number)
    seen = replace(image, pixels=inserted.pixels)
    (proposed,) = detector.detect([seen])
    lesions = [] if inserted.cluster is None else [inserted.cluster.box]
    met = match([(found.box, found.confidence) for found in proposed], lesions)
    hits = sum(number is not None for _, number in met)
    dice = float("nan")
    if inserted.cluster is not None:
        shown = scaled_frame(seen, mm_per_px)
        dice = grain_dice(marked(detector.marks([shown])[0] >= grain, shown, proposed), true_grains(inserted, shown))
    return Looked(base.patient, inserted.contrast, hits > 0, len(met) - hits, dice)


def marked(marks: NDArray[np.bool_], shown: Frame, proposed: Sequence[Detection]) -> NDArray[np.bool_]:
    """The marked pixels inside the proposals."""
    inside = np.zeros(marks.shape, dtype=np.bool_)
    for found in proposed:
        top, bottom = ((row - shown.part.top) * shown.scale + shown.top for row in (found.box.top, found.box.bottom))
        left, right = (
            (column - shown.part.left) * shown.scale + shown.left for column in (found.box.left, found.box.right)
        )
        inside[max(0, round(top)) : round(bottom), max(0, round(left)) : round(right)] = True
    return marks & inside


def true_grains(inserted: Inserted, shown: Frame) -> NDArray[np.bool_]:
    """The grains in a frame."""
    drawn = np.zeros(shown.pixels.shape, dtype=np.bool_)
    for mask in inserted.grains:
        drawn |= shown.draw(mask)
    return drawn


def grain_dice(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Dice in which a pixel is right if the other picture has one within a pixel of it."""
    near_true, near_found = (cv2.dilate(pixels.astype(np.uint8), TOLERANCE) > 0 for pixels in (true, found))
    total = int(found.sum()) + int(true.sum())
    return float((found & near_true).sum() + (true & near_found).sum()) / total if total else float("nan")


def show(looked: Sequence[Looked]) -> None:
    clusters = sorted((seen for seen in looked if seen.contrast > 0), key=lambda seen: seen.contrast)
    shams = [seen for seen in looked if seen.contrast == 0]
    table = Table(title=f"Simulated clusters: {len(bases_of(looked))} patients")
    for heading in ("", "pictures", "contrast", "sensitivity", "Dice of grains"):
        table.add_column(heading, justify="right" if heading else "left")
    thirds = [clusters[len(clusters) * at // 3 : len(clusters) * (at + 1) // 3] for at in range(3)]
    for name, some in zip(("lowest third", "middle third", "highest third", "all"), (*thirds, clusters), strict=True):
        table.add_row(
            name,
            str(len(some)),
            f"{some[0].contrast:.1f} to {some[-1].contrast:.1f}",
            of(some, [float(seen.found) for seen in some]),
            of(some, [seen.dice for seen in some]),
        )
    Console().print(table)
    for name, some in (("shams", shams), ("pictures with a cluster", clusters)):
        figure = of(some, [float(seen.false) for seen in some])
        print(f"False clusters a picture, on {len(some)} {name}: {figure}")


def bases_of(looked: Sequence[Looked]) -> set[str]:
    return {seen.patient for seen in looked}


def of(some: Sequence[Looked], values: Sequence[float]) -> str:
    """The mean, with its interval."""
    numbers = np.array(values)
    found: Figure = with_interval([seen.patient for seen in some], lambda at: float(np.mean(numbers[at])), SEED)
    return f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})"


def show_real(detector: GrainDetector, folder: Path) -> None:
    """The native images whose findings name calcifications: in how many a cluster is found in a drawn region.

    The set draws regions and does not say which of them has the calcifications: a cluster counts if its centre lies in
    one, whatever the region's kind.
    """
    table = Table(title="Real calcifications of the native images")
    for heading in ("image", "pathology", "regions drawn", "clusters in them", "clusters elsewhere"):
        table.add_column(heading, justify="left" if heading in ("image", "pathology") else "right")
    images = hits = 0
    for case in read_with_calcifications(folder):
        image = with_spacing(case.read(), SPACING_MM)
        regions = [lesion.mask.box for lesion in case.read_lesions(image)]
        (proposed,) = detector.detect([image])
        inside = sum(any(region.holds_centre_of(found.box) for region in regions) for found in proposed)
        images, hits = images + 1, hits + (inside > 0)
        counts = (len(regions), inside, len(proposed) - inside)
        table.add_row(case.name, str(case.pathology), *map(str, counts))
    Console().print(table)
    print(f"A cluster was found in a drawn region of {hits} of {images} images.")


if __name__ == "__main__":
    main()
