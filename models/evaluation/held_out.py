"""Checks, as far as possible, that the evaluated images are of patients who were not used in training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from models.bundles.bundle import REQUIRED_ROLES, ROLES
from models.datasets.case import Case
from models.evaluation.observations import EvaluationError

NOT_HELD_OUT = "Not held out, as far as we can tell"
ARCHIVE = "archive"


def seen_in_training(
    bundle: Path, cases: Sequence[Case], measured: Sequence[Case], tested: bool, *, is_base: bool = False
) -> list[str]:
    """Warnings, one sentence each; empty if the images are held out.

    Args:
        bundle: its folder, in which a training writes `training/KIND/split.json`.
        cases: all images of the data.
        measured: the images that are evaluated.
        tested: whether they are the test side of a given split.
        is_base: the bundle is that of `ablate --base`, which the recipes' splits do not concern.

    Raises:
        EvaluationError: such a file cannot be read.
    """
    warnings: list[str] = []
    checked = []
    for role in ROLES:
        path = bundle / "training" / role / "split.json"
        if not path.is_file():
            continue
        checked.append(role)
        names = _trained_on(path)
        patients = {patient for case in cases if case.name in names for patient in case.patients}
        known = sum(case.name in names or not patients.isdisjoint(case.patients) for case in measured)
        if known:
            warnings.append(
                f"{NOT_HELD_OUT}: {known} of {len(measured)} images are of patients that the {role} was trained on or "
                f"chosen by (training/{role}/split.json of the bundle). The figures are too good."
            )
    if warnings or tested or set(REQUIRED_ROLES) <= set(checked):
        return warnings
    if is_base:
        warnings.append(
            f"{NOT_HELD_OUT}: the bundle of --base may have been trained on these patients; it does not have a "
            "training/KIND/split.json for each of its parts. The models trained here were not trained on them."
        )
    else:
        warnings.append(
            f"{NOT_HELD_OUT}: these are not the test images of a split, so the models may have been trained on them. "
            "Give the split.json of the training with --split."
        )
    return warnings


def made_of_own_outlines(measured: Sequence[Case]) -> list[str]:
    """A warning if the truth is made of a node's corrected outlines."""
    own = sum(case.dataset == ARCHIVE for case in measured)
    if not own:
        return []
    return [
        f"The truth of {own} of {len(measured)} images starts from the node's own outlines, which experts corrected: "
        "it is biased towards them, and the figures are too good."
    ]


def not_asked_for(cases: int, measured: int, left_out: int, where: str) -> tuple[str, ...]:
    """The images that were not evaluated because they are not on the requested side of a split, a sentence per group.

    Args:
        left_out: the number of images that may belong to a patient of two sides.
        where: the requested images.
    """
    others = cases - measured - left_out
    sentences = [f"{others} images that are not {where}."] if others else []
    return (*sentences, *([f"{left_out} images that may be of a patient of two sides."] if left_out else []))


def _trained_on(path: Path) -> set[str]:
    try:
        split = json.loads(path.read_text(encoding="utf-8"))
        return {*map(str, split["train"]), *map(str, split["validation"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{path} is not a split. Restore it, or delete it.") from error
