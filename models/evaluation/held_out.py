"""Whether the measured images are of patients that the models have not seen, as far as can be told."""

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
    """Sentences of warning; none where the images are held out.

    Args:
        bundle: its folder, beside whose weights a training leaves `training/KIND/split.json`.
        cases: all images of the data.
        measured: those that are measured.
        tested: they are the test side of a split that was given.
        is_base: the bundle is that of `ablate --base`, which no split of the recipes is about.

    Raises:
        EvaluationError: such a file cannot be read.
    """
    said, told = [], []
    for role in ROLES:
        path = bundle / "training" / role / "split.json"
        if not path.is_file():
            continue
        told.append(role)
        names = _trained_on(path)
        patients = {patient for case in cases if case.name in names for patient in case.patients}
        known = sum(case.name in names or not patients.isdisjoint(case.patients) for case in measured)
        if known:
            said.append(
                f"{NOT_HELD_OUT}: {known} of {len(measured)} images are of patients that the {role} was trained on or "
                f"chosen by (training/{role}/split.json of the bundle). The figures flatter."
            )
    if said or tested or set(REQUIRED_ROLES) <= set(told):
        return said
    if is_base:
        said.append(
            f"{NOT_HELD_OUT}: the bundle of --base may have been trained on these patients; it has no "
            "training/KIND/split.json for each of its parts that would tell. What is trained here has not seen them."
        )
    else:
        said.append(
            f"{NOT_HELD_OUT}: these are not the test images of a split, so the models may have been trained on them. "
            "Give the split.json of the training with --split."
        )
    return said


def made_of_own_outlines(measured: Sequence[Case]) -> list[str]:
    """A warning where truth started from what a node drew."""
    own = sum(case.dataset == ARCHIVE for case in measured)
    if not own:
        return []
    return [
        f"The truth of {own} of {len(measured)} images starts from the node's own outlines, which experts corrected: "
        "it leans towards them, and the figures flatter."
    ]


def not_asked_for(cases: int, measured: int, left_out: int, where: str) -> tuple[str, ...]:
    """What of the data was not measured because a split does not ask for it.

    Args:
        left_out: images that could be of a patient of two sides.
        where: the images that were asked for.
    """
    others = cases - measured - left_out
    said = [f"{others} images that are not {where}."] if others else []
    return (*said, *([f"{left_out} images that may be of a patient of two sides."] if left_out else []))


def _trained_on(path: Path) -> set[str]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return {*map(str, told["train"]), *map(str, told["validation"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{path} is not a split. Restore it, or delete it.") from error
