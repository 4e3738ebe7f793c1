"""What a bundle's probabilities are worth on patients that were held out, and which BI-RADS categories they imply.

    .venv/bin/python benchmarks/calibration.py --data cdd-cesm:FOLDER --split split.json [--bundle research-default]

Every test image whose label is fair is read once, as the node reads it. Findings and images are measured as they are;
breasts and exams are put together from the images of different patients
(`models/training/calibration/composing.py`), so that their figures have no intervals. Probabilities stand at these
data's own prevalence, categories at --prevalence. A slope of 1 and an intercept of 0 are those of a perfect
calibration (Cox 1958); a slope below 1 is that of one that is too sure.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from dicom_io.case_reader import CaseReader
from models.birads.calibration import SCREENING_PREVALENCE, Calibration, prior_of
from models.bundles.bundle import find_bundle, read_bundle
from models.catalog import load_pipeline
from models.datasets.catalog import open_data
from models.datasets.split import read_split, sides
from models.measures.detection import auc, with_intervals
from models.measures.scores import brier, calibration_curve, calibration_line
from models.training.calibration.composing import composed
from models.training.calibration.fitting import ScoredCase
from models.training.calibration.scoring import scores

NAMES = ("AUC", "Brier score", "calibration error", "slope", "intercept")
EDGES = (0.0, 0.2, 0.4, 0.6, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="NAME:FOLDER of a data set")
    parser.add_argument("--split", type=Path, required=True, help="split.json of the training")
    parser.add_argument("--bundle", default="research-default", help="a shipped bundle's name, or a folder")
    parser.add_argument("--prevalence", type=float, default=SCREENING_PREVALENCE, help="of cancers among exams")
    arguments = parser.parse_args()
    cases = open_data([arguments.data], CaseReader()).cases
    _, _, test = sides(cases, read_split(arguments.split, cases))
    bundle = read_bundle(find_bundle(arguments.bundle))
    found = scores(replace(load_pipeline(bundle, torch.device("cpu"), False), calibration={}), test)
    for level, calibration in bundle.calibration.items():
        own = [one for one in found if one.level is level]
        show(calibration, own or composed(found, level), arguments.prevalence, drawn=not own)


def show(calibration: Calibration, some: Sequence[ScoredCase], prevalence: float, *, drawn: bool) -> None:
    """Prints everything about one level."""
    malignant = np.array([one.malignant for one in some])
    patients = [one.patient for one in some]
    counted = f"{malignant.sum()} malignant and {(~malignant).sum()} not, {len(set(patients))} patients"
    print(f"\n{calibration.level}: {counted}{', composed of different patients' if drawn else ''}")
    at_home = calibration.at_prevalence(float(malignant.mean()))
    said = np.array([at_home.probability(one.score) for one in some])
    if drawn:
        figures = [f"{value:.2f}" for value in measures(said, malignant)]
    else:
        found = with_intervals(patients, lambda at: measures(said[at], malignant[at]), seed=1)
        figures = [f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})" for one in found]
    for name, figure in zip(NAMES, figures, strict=True):
        print(f"  {name}: {figure}")
    for low, high in pairwise(EDGES):
        within = (said >= low) & (said < high)
        if within.any():
            seen, expected = malignant[within].mean(), said[within].mean()
            print(f"  said {low:.1f} to {high:.1f}: {within.sum()}, mean {expected:.2f}, malignant {seen:.2f}")
    at_site = calibration.at_prevalence(prior_of(calibration.level, prevalence))
    for sort in (True, False):
        implied = Counter(at_site.likelihood(one.score).category for one in some if one.malignant is sort)
        shares = ", ".join(
            f"{category} {count / implied.total():.0%} ({count})" for category, count in sorted(implied.items())
        )
        print(f"  {'malignant' if sort else 'not malignant'} at {prevalence:g}: {shares}")
    for score in (0.5, max(one.score for one in some), 0.99):
        worth = at_site.likelihood(score)
        print(f"  a score of {score:.2f} means {worth.probability:.4f}: {worth.category}")


def measures(said: np.ndarray, malignant: np.ndarray) -> tuple[float, ...]:
    """`NAMES`, NaN where they are not defined."""
    intercept, slope = calibration_line(said, malignant)
    return auc(said, malignant), brier(said, malignant), calibration_curve(said, malignant).error, slope, intercept


if __name__ == "__main__":
    main()
