"""Trains a classifier of malignancy: makes the `Task` of each kind of classifier."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.classifiers.efficient_net import Settings
from models.classifiers.medsam_mlp import MedSamMlp, encoder_of
from models.datasets.case import Case, DatasetError, of_kinds
from models.radiomics.texture import Radiomics
from models.training.classifier.efficient_net import EfficientNetTask
from models.training.classifier.medsam_mlp import MedSamMlpTask, start_from
from models.training.classifier.recipe import EfficientNetModel, MedSamMlpModel, TaskSettings
from models.training.classifier.samples import Wanted, read_samples
from models.training.kept import IN_MEMORY, Kept
from models.training.recipe import Recipe


def prepare(
    recipe: Recipe,
    train: Sequence[Case],
    validation: Sequence[Case],
    start: Path | None,
    device: torch.device,
    kept: Kept = IN_MEMORY,
) -> EfficientNetTask | MedSamMlpTask:
    """The task that a classifier's recipe describes. Reads every image.

    Args:
        recipe: its `model` is a `Model`, its `task` a `TaskSettings`.
        train: training images.
        validation: images that choose the best epoch; only those with a fair label are used.
        start: ImageNet weights of the backbone, MedSAM's weights, or those of an earlier training; None: random ones.
        device: where frozen encoders embed the images.
        kept: holds what is made of each image.

    Raises:
        DatasetError: an image cannot be read, or there are not both malignant and other samples.
        StartError: the start weights do not fit.
    """
    if kinds := recipe.task.kinds:
        train, validation = of_kinds(train, kinds), of_kinds(validation, kinds)
    match recipe.model.root:
        case EfficientNetModel() as model:
            return _efficient_net(model, recipe.task, train, validation, start, recipe.fit.seed, kept)
        case MedSamMlpModel() as model:
            return _medsam_mlp(model, recipe, train, validation, start, device, kept)
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


def _efficient_net(
    model: EfficientNetModel,
    settings: TaskSettings,
    train: Sequence[Case],
    validation: Sequence[Case],
    start: Path | None,
    seed: int,
    kept: Kept,
) -> EfficientNetTask:
    _, in_bundle = _as_in_the_bundle(model)
    inputs = Settings(**in_bundle)
    wanted = Wanted(
        images=inputs.sees_images,
        lesions=inputs.sees_lesions,
        frame_px=model.frame_px,
        image_px=model.image_px,
        mm_per_px=model.mm_per_px,
        radiomics=Radiomics(inputs.regions) if inputs.uses_radiomics else None,
        assumed_spacing_mm=settings.assumed_spacing_mm,
    )
    train_samples = read_samples(train, wanted, kept)
    validation_samples = read_samples([case for case in validation if case.label_is_fair], wanted, kept)
    task = EfficientNetTask(model, settings, train_samples, validation_samples, start, seed)
    if inputs.sees_images:
        _both("training images", [image.malignant for image in train_samples.images])
        _both("validation images", [image.malignant for image in validation_samples.images])
    if inputs.sees_lesions:
        _both("training lesions", [lesion.malignant for lesion in task.lesions])
        if not inputs.sees_images:
            _both("validation lesions", [lesion.malignant for lesion in validation_samples.lesions])
    return task


def _medsam_mlp(
    model: MedSamMlpModel,
    recipe: Recipe,
    train: Sequence[Case],
    validation: Sequence[Case],
    start: Path | None,
    device: torch.device,
    kept: Kept,
) -> MedSamMlpTask:
    torch.manual_seed(recipe.fit.seed)
    network = MedSamMlp(encoder_of(model.encoder), model.reads, model.tuned)
    if start is not None:
        start_from(network, start)
    mixed = recipe.fit.mixed_precision
    task = MedSamMlpTask(network, recipe.task, train, validation, device, recipe.fit.seed, mixed, kept)
    _both("training images", [sample.malignant for sample in task.train])
    _both("validation images", [sample.malignant for sample in task.validation])
    return task


def _both(what: str, malignant: Sequence[bool]) -> None:
    """Raises DatasetError if there are not both malignant and other samples."""
    if len(set(malignant)) != 2:
        raise DatasetError(
            f"The {what} must include malignant and other ones, but there are {sum(malignant)} malignant and "
            f"{len(malignant) - sum(malignant)} other ones with a fair label. Give more images, or change the shares "
            "([split] of the recipe)."
        )
