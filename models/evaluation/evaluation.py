"""Evaluates a bundle: from images to a report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from models.bundles.bundle import ROLES, Bundle
from models.datasets.case import Case, LeftOut
from models.evaluation.detection import detection_section
from models.evaluation.loading import digest, load_for_measuring
from models.evaluation.malignancy import malignancy_section
from models.evaluation.observations import EvaluationError, Observation, ObservationFile
from models.evaluation.observe import Progress, observe_all
from models.evaluation.segmentation import segmentation_section
from models.evaluation.subgroups import subgroups_section
from models.evaluation.tables import About, Draws, Plot, Report


@dataclass(frozen=True)
class Observed:
    """The results of a bundle's models.

    Attributes:
        test: on the images that are evaluated.
        validation: on other patients' images, only their scores; None if there are none.
        left_out: images that could not be read.
    """

    test: tuple[Observation, ...]
    validation: tuple[Observation, ...] | None
    left_out: tuple[LeftOut, ...]


def observe_bundle(
    bundle: Bundle,
    test: Sequence[Case],
    validation: Sequence[Case] | None,
    folder: Path,
    device: torch.device,
    mixed_precision: bool,
    progress: Progress,
    roles: Collection[str] = ROLES,
) -> Observed:
    """Runs a bundle on images; results that are already in `folder` are not computed again.

    Args:
        folder: holds observations.jsonl and validation.jsonl; created if missing.
        roles: the parts that are evaluated.

    Raises:
        BundleError: the bundle's weights are missing, damaged or do not fit.
        EvaluationError: there are no images, none could be read, or `folder` holds another bundle's observations.
    """
    if not test:
        raise EvaluationError("There is no image to measure: the data, or this side of the split, are empty.")
    models = digest(bundle, roles)
    folder.mkdir(parents=True, exist_ok=True)
    kept, kept_scores = (
        ObservationFile(folder / "observations.jsonl", models),
        ObservationFile(folder / "validation.jsonl", models),
    )
    parts = load_for_measuring(bundle, device, mixed_precision, roles)
    observations, left_out = observe_all(parts, test, kept, progress)
    if not observations:
        raise EvaluationError(f"None of {len(test)} images could be read. The first: {left_out[0].reason}")
    scores: tuple[Observation, ...] | None = None
    if validation and parts.classifier is not None:
        # Only the image's score is needed of these, so their lesions are not read.
        bare = [replace(case, marked_up=False, read_lesions=lambda _: ()) for case in validation if case.label_is_fair]
        seen, unread = observe_all(parts, bare, kept_scores, progress)
        scores, left_out = tuple(seen), [*left_out, *unread]
    return Observed(tuple(observations), scores, tuple(left_out))


def make_report(
    about: About, observed: Observed, bundle: Bundle, draws: Draws, examples: Sequence[Plot] = ()
) -> Report:
    """The report with all sections; `examples` are pictures of outlines (`draw_examples`)."""
    segmentation = segmentation_section(observed.test, draws)
    lost = tuple((left_out.name, left_out.reason) for left_out in observed.left_out)
    return Report(
        replace(about, left_out=(*about.left_out, *lost)),
        (
            detection_section(observed.test, draws),
            replace(segmentation, plots=(*segmentation.plots, *examples)),
            malignancy_section(observed.test, observed.validation, bundle.calibration, draws),
            subgroups_section(observed.test, draws),
        ),
    )
