"""Trains a classifier of malignancy: which kinds there are, and what the training frame asks of any of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.calibration import Level
from models.classifiers.efficient_net import Settings
from models.classifiers.medsam_mlp import MedSamMlp, encoder_of
from models.datasets.case import Case, DatasetError, Pathology
from models.protocols import Classifier
from models.radiomics.texture import Radiomics
from models.training.calibrating import Scored
from models.training.classifier_recipe import EfficientNetModel, MedSamMlpModel, Model, TaskSettings
from models.training.classifier_samples import Wanted, read_samples
from models.training.efficient_net import EfficientNetTask
from models.training.medsam_mlp import MedSamMlpTask, start_from
from models.training.recipe import Recipe
from models.types import Laterality

__all__ = ["Model", "TaskSettings", "part", "prepare", "scores"]


def prepare(
    recipe: Recipe, train: Sequence[Case], validation: Sequence[Case], start: Path | None, device: torch.device
) -> EfficientNetTask | MedSamMlpTask:
    """The task that a classifier's recipe describes. Reads every image.

    Args:
        recipe: its `model` is a `Model`, its `task` a `TaskSettings`.
        train: images to learn from.
        validation: images that choose the best epoch; of them those whose label is fair.
        start: ImageNet weights of the backbone, MedSAM's weights, or those of an earlier training; None: random ones.
        device: where frozen encoders embed the pictures.

    Raises:
        DatasetError: an image cannot be read, or there are not both sorts, malignant and other.
        StartError: the start weights do not fit.
    """
    match recipe.model.root:
        case EfficientNetModel() as model:
            return _efficient_net(model, recipe.task, train, validation, start, recipe.fit.seed)
        case MedSamMlpModel() as model:
            return _medsam_mlp(model, recipe.task, train, validation, start, device, recipe.fit.seed)
    raise TypeError(f"No classifier is trained from {type(recipe.model.root).__name__}")


def part(network: nn.Module, recipe: Recipe) -> tuple[str, dict[str, Any]]:
    """The architecture's name in models/catalog.py and its settings in bundle.toml."""
    match recipe.model.root:
        case EfficientNetModel() as model:
            return _as_in_the_bundle(model)
        case MedSamMlpModel() as model:
            return "medsam-mlp", model.model_dump(include={"encoder", "reads"})
    raise TypeError(f"No classifier is trained from {type(recipe.model.root).__name__}")


def _as_in_the_bundle(model: EfficientNetModel) -> tuple[str, dict[str, Any]]:
    return "efficientnet", model.model_dump(exclude={"kind", "dropout"})


def scores(classifier: Classifier, cases: Sequence[Case], assumed_spacing_mm: float = 0.1) -> list[Scored]:
    """What a classifier says of cases whose truth is known, at every level, by the true outlines.

    A breast's score is the highest of its images, an exam's the highest of its breasts (`models/exam.py`). There is one
    only where at least two images show the breast, and both breasts the exam: the highest of fewer would be lower than
    what the node reports. Cases whose label is not fair say nothing (`Case.label_is_fair`), nor do images whose score
    depends on their findings: with the true outlines it is another than with a detector's.

    Args:
        classifier: as the node uses it.
        cases: usually the validation side.
        assumed_spacing_mm: millimetres a pixel where a header gives none.

    Raises:
        DatasetError: a file cannot be read.
    """
    found: list[Scored] = []
    exams: dict[str, dict[Laterality, list[Scored]]] = {}
    for case in cases:
        if not case.label_is_fair:
            continue
        image = case.read().with_spacing(assumed_spacing_mm)
        lesions = case.read_lesions(image)
        whole, each = classifier.classify(image, [lesion.mask for lesion in lesions])
        for lesion, score in zip(lesions, each, strict=True):
            if (pathology := lesion.pathology or case.pathology) is not None:
                found.append(Scored(Level.LESION, score, pathology is Pathology.MALIGNANT, case.patient))
        if case.pathology is None or not classifier.scores_images_alone:
            continue
        found.append(Scored(Level.IMAGE, whole, case.pathology is Pathology.MALIGNANT, case.patient))
        if case.exam is not None and case.laterality is not None:
            exam = exams.setdefault(f"{case.dataset}/{case.patient}/{case.exam}", {})
            exam.setdefault(case.laterality, []).append(found[-1])
    for exam in exams.values():
        breasts = [_highest(Level.BREAST, images) for images in exam.values() if len(images) > 1]
        found.extend(breasts)
        if len(breasts) == len(Laterality):
            found.append(_highest(Level.EXAM, breasts))
    return found


def _highest(level: Level, some: Sequence[Scored]) -> Scored:
    return Scored(level, max(one.score for one in some), any(one.malignant for one in some), some[0].patient)


def _efficient_net(
    model: EfficientNetModel,
    settings: TaskSettings,
    train: Sequence[Case],
    validation: Sequence[Case],
    start: Path | None,
    seed: int,
) -> EfficientNetTask:
    _, said = _as_in_the_bundle(model)
    seen = Settings(**said)
    wanted = Wanted(
        images=seen.sees_images,
        lesions=seen.sees_lesions,
        frame_px=model.frame_px,
        radiomics=Radiomics(seen.regions) if seen.uses_radiomics else None,
        assumed_spacing_mm=settings.assumed_spacing_mm,
    )
    learnt = read_samples(train, wanted)
    judged = read_samples([case for case in validation if case.label_is_fair], wanted)
    task = EfficientNetTask(model, settings, learnt, judged, start, seed)
    if seen.sees_images:
        _both("training images", [one.malignant for one in learnt.images])
        _both("validation images", [one.malignant for one in judged.images])
    if seen.sees_lesions:
        _both("training lesions", [one.malignant for one in task.lesions])
        if not seen.sees_images:
            _both("validation lesions", [one.malignant for one in judged.lesions])
    return task


def _medsam_mlp(
    model: MedSamMlpModel,
    settings: TaskSettings,
    train: Sequence[Case],
    validation: Sequence[Case],
    start: Path | None,
    device: torch.device,
    seed: int,
) -> MedSamMlpTask:
    torch.manual_seed(seed)
    network = MedSamMlp(encoder_of(model.encoder), model.reads, model.tuned)
    if start is not None:
        start_from(network, start)
    task = MedSamMlpTask(network, settings, train, validation, device, seed)
    _both("training images", [one.malignant for one in task.train])
    _both("validation images", [one.malignant for one in task.validation])
    return task


def _both(what: str, malignant: Sequence[bool]) -> None:
    """Raises DatasetError where there is but one sort."""
    if len(set(malignant)) != 2:
        raise DatasetError(
            f"The {what} are not of both sorts: {sum(malignant)} malignant and {len(malignant) - sum(malignant)} other "
            "whose label is fair. Give more images, or another share to that side ([split] of the recipe)."
        )
