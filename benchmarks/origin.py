"""Whether a bundle's classifier reads where an image was made, in place of what it shows.

    .venv/bin/python benchmarks/origin.py --data cbis-ddsm-masses:FOLDER --data cdd-cesm:FOLDER --bundle BUNDLE \
        --split SPLIT.json

On the test images with a fair label, each classified with its true lesions:

- how well the hospital is told from the embedding of the whole breast (logistic regression, five folds by patient; area
  under the ROC curve of each hospital against the rest), and how well from the four simplest measures of its greys:
  0.5 is chance. That an embedding tells the hospital is no fault by itself; that a score follows it is;
- how well the hospital's share of malignant images in the training tells malignancy, and the score's area within
  hospitals beside the pooled one;
- how far the image's score moves if its greys become those of an image of another set or hospital (histogram matching
  inside the breast), or if everything outside the breast (borders, labels, air) becomes that image's, and what that
  does to the area.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from skimage.exposure import match_histograms
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dicom_io.case_reader import CaseReader
from models.anatomy.breast import breast_mask
from models.anatomy.film import with_spacing
from models.bundles.bundle import find_bundle, read_bundle
from models.catalog import load_part
from models.classifiers.pictures import image_picture
from models.datasets.case import Case, Pathology
from models.datasets.catalog import open_data
from models.datasets.split import read_split, sides
from models.framing import breast_framing
from models.measures.detection import auc, auc_within, with_interval, with_intervals
from models.protocols import ToScore
from models.training.classifier.samples import origin_of
from models.types.mammogram import Mammogram

SEED = 1
ASSUMED_MM = 0.1
FOLDS = 5


@dataclass(frozen=True)
class Seen:
    """A test image: its labels, its score as it is and in each disguise (`DISGUISES`), and its embedding."""

    patient: str
    origin: str
    malignant: bool
    score: float
    disguised: Mapping[str, float]
    embedding: NDArray[np.float32]
    greys: NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, action="append", help="NAME:FOLDER of a data set")
    parser.add_argument("--bundle", required=True, help="a shipped bundle's name, or a folder")
    parser.add_argument("--split", type=Path, required=True, help="split.json of the training")
    parser.add_argument("--side", choices=("validation", "test"), default="test")
    arguments = parser.parse_args()
    cases = open_data(arguments.data, CaseReader()).cases
    train, validation, test = sides(cases, read_split(arguments.split, cases))
    chosen = [case for case in (test if arguments.side == "test" else validation) if case.label_is_fair]
    bundle = read_bundle(find_bundle(arguments.bundle))
    classifier: Any = load_part(bundle, bundle.classifier, torch.device("cpu"), False)
    seen = look(classifier, chosen)
    told_apart(seen)
    areas(seen, train)
    in_disguise(seen)


def look(classifier: Any, cases: Sequence[Case]) -> list[Seen]:
    """Scores every image as it is and in each disguise, of a random image of another origin."""
    draw = np.random.default_rng(SEED)
    settings = classifier._settings
    framed = breast_framing(settings.frame_px, settings.mm_per_px)
    seen = []
    for case in track([case for case in cases if case.pathology is not None], "scoring"):
        image = with_spacing(case.read(), ASSUMED_MM)
        masks = [lesion.mask for lesion in case.read_lesions(image)]
        others = [other for other in cases if origin_of(other) != origin_of(case)]
        other = others[int(draw.integers(len(others)))].read()
        with torch.inference_mode():
            picture = torch.from_numpy(image_picture(framed(image).pixels, settings.image_px))[None]
            embedding = classifier._network.features(picture)[0].numpy()
        breast = image.pixels[breast_mask(image.pixels)]
        greys = np.array([breast.mean(), breast.std(), *np.percentile(breast, (5, 95))], dtype=np.float32)
        seen.append(
            Seen(
                case.patient,
                origin_of(case),
                case.pathology is Pathology.MALIGNANT,
                classifier.classify([ToScore(image, masks)])[0][0],
                {
                    name: classifier.classify([ToScore(disguise(image, other), masks)])[0][0]
                    for name, disguise in DISGUISES.items()
                },
                embedding,
                greys,
            )
        )
    return seen


def with_greys_of(image: Mammogram, other: Mammogram) -> Mammogram:
    """The image with the distribution of greys that another has inside the breast."""
    breast, reference = breast_mask(image.pixels), breast_mask(other.pixels)
    pixels = image.pixels.copy()
    pixels[breast] = match_histograms(image.pixels[breast], other.pixels[reference])
    return replace(image, pixels=pixels.astype(np.float32))


def in_frame_of(image: Mammogram, other: Mammogram) -> Mammogram:
    """The breast in another image's surroundings: what lies outside that breast, stretched to this image's shape."""
    rows, columns = image.pixels.shape
    outside = np.where(breast_mask(other.pixels), 0, other.pixels).astype(np.float32)
    around = cv2.resize(outside, (columns, rows), interpolation=cv2.INTER_AREA)
    return replace(image, pixels=np.where(breast_mask(image.pixels), image.pixels, around).astype(np.float32))


DISGUISES: Mapping[str, Callable[[Mammogram, Mammogram], Mammogram]] = MappingProxyType(
    {
        "with another's greys": with_greys_of,
        "in another's surroundings": in_frame_of,
        "both": lambda image, other: with_greys_of(in_frame_of(image, other), other),
    }
)


def told_apart(seen: Sequence[Seen]) -> None:
    """How well each origin is told from the rest, out of fold."""
    table = Table(title="Is the origin told? Area under the ROC curve, out of fold by patient")
    for heading in ("origin", "images", "from the embedding", "from four measures of the greys"):
        table.add_column(heading, justify="left" if heading == "origin" else "right")
    patients = [item.patient for item in seen]
    for origin in sorted({item.origin for item in seen}):
        here = np.array([item.origin == origin for item in seen])
        cells = []
        for features in (np.stack([item.embedding for item in seen]), np.stack([item.greys for item in seen])):
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced"))
            said = cross_val_predict(
                model, features, here, groups=patients, cv=GroupKFold(FOLDS), method="decision_function"
            )

            def area(at: list[int], said: NDArray[np.float64] = said, here: NDArray[np.bool_] = here) -> float:
                return auc(said[at], here[at])

            found = with_interval(patients, area, SEED)
            cells.append(f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})")
        table.add_row(origin, str(here.sum()), *cells)
    Console().print(table)


def areas(seen: Sequence[Seen], train: Sequence[Case]) -> None:
    """What the origin alone tells of malignancy, and what the score does."""
    labels: dict[str, list[bool]] = defaultdict(list)
    for case in train:
        if case.label_is_fair and case.pathology is not None:
            labels[origin_of(case)].append(case.pathology is Pathology.MALIGNANT)
    share = {origin: float(np.mean(found)) for origin, found in labels.items()}
    alone = np.array([share.get(item.origin, 0.5) for item in seen])
    scores = np.array([item.score for item in seen])
    show("Malignant against the rest", seen, {"the origin's share alone": alone, "the score, pooled": scores})


def in_disguise(seen: Sequence[Seen]) -> None:
    """What each disguise does to the score."""
    scores = np.array([item.score for item in seen])
    moved = {name: np.array([item.disguised[name] for item in seen]) for name in DISGUISES}
    show("Malignant against the rest, in disguise", seen, {"as it is": scores, **moved})
    for name, other in moved.items():
        change = np.abs(other - scores)
        print(f"{name}: the score moves by {np.median(change):.3f} (median), {np.percentile(change, 95):.3f} (95 %).")


def show(title: str, seen: Sequence[Seen], by_name: dict[str, NDArray[np.float64]]) -> None:
    """Areas with intervals, and the same within origins."""
    labels = np.array([item.malignant for item in seen])
    origins = np.array([item.origin for item in seen])
    table = Table(title=f"{title}: {len(seen)} images, {len({item.patient for item in seen})} patients")
    for heading in ("", "area", "within origins"):
        table.add_column(heading)
    for name, scores in by_name.items():

        def both(at: list[int], scores: NDArray[np.float64] = scores) -> tuple[float, float]:
            return auc(scores[at], labels[at]), auc_within(scores[at], labels[at], origins[at])

        pooled, inside = with_intervals([item.patient for item in seen], both, SEED)
        table.add_row(name, *(f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})" for found in (pooled, inside)))
    Console().print(table)


if __name__ == "__main__":
    main()
