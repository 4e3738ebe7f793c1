"""Trains the detector (YOLOv8 with CBAM) on CDD-CESM and measures it on patients it never saw.

The loss is ultralytics' for YOLOv8: CIoU, distribution focal loss and binary cross-entropy with task-aligned
assignment. (Yolo-MLSAM's text calls its box loss CIoU; the formula it prints, eq. 3, is closer to SIoU. The text is
followed.)
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from models.datasets.cdd_cesm import DatasetError, read_dataset
from models.detectors.yolo_cbam import KINDS, build, start_classes
from models.training.augment import Picture, mosaic, moved, relit
from models.training.detector_figures import measure_weights, reader_of, results_of
from models.training.held_out import hold_out
from models.training.measures import froc_score
from models.training.recipe import DetectorRecipe, Progress
from models.training.samples import Sample, picture_of, samples_of
from models.training.start import read_start, take_start
from models.training.stepping import average_into, half_weights, schedule

WEIGHTS = "detector.safetensors"
_GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
"""ultralytics' defaults for the three losses."""
_LARGEST_GRADIENT = 10.0
_PLAIN_SHARE = 0.2
"""The last epochs see no mosaics, but pictures as they will be."""


def train_detector(
    recipe: DetectorRecipe, data: Path, out: Path, start: Path | None, device: torch.device, progress: Progress
) -> dict[str, Any]:
    """Trains, then writes `detector.safetensors`, `split.json` and `detector-figures.json` into `out`.

    Args:
        recipe: every number of it.
        data: the data set's folder (see `models.datasets.cdd_cesm`).
        out: an existing folder.
        start: weights to start from; None for random ones.
        device: where to train.
        progress: told after each step.

    Returns:
        The figures, as they are written.

    Raises:
        DatasetError: the data set is incomplete or has no image with a lesion.
        SplitError: it cannot be split by patient.
        StartError: the start weights do not fit.
    """
    torch.manual_seed(recipe.seed)
    dataset = read_dataset(data)
    sides = hold_out(dataset, recipe.split, out)
    left_out = list(dataset.left_out)
    pictures = [picture_of(sample, recipe.input_px, KINDS) for sample in samples_of(sides.train, left_out)]
    validation, test = list(samples_of(sides.validation, left_out)), list(samples_of(sides.test, left_out))
    for name, lesions in (
        ("training", sum(len(picture.outlines) for picture in pictures)),
        ("validation", sum(len(sample.lesions) for sample in validation)),
        ("test", sum(len(sample.lesions) for sample in test)),
    ):
        if not lesions:
            raise DatasetError(f"No {name} image of {data} has a lesion that can be used. Give more images.")

    network = build(recipe.scale)
    if start is not None:
        take_start(network, _without_classes(read_start(start, start_classes())))
    best = _fit(network.to(device), pictures, validation, recipe, device, progress)
    save_file(half_weights(best), out / WEIGHTS)

    figures = {
        "images": {"train": len(pictures), "validation": len(validation), "test": len(test)},
        "left_out": [asdict(one) for one in left_out],
        **measure_weights(out / WEIGHTS, validation, test, recipe, device),
    }
    (out / "detector-figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return figures


def _fit(
    network: nn.Module,
    pictures: Sequence[Picture],
    validation: Sequence[Sample],
    recipe: DetectorRecipe,
    device: torch.device,
    progress: Progress,
) -> nn.Module:
    """The running average of the weights at the epoch with the highest FROC score on the validation images."""
    from ultralytics.utils.loss import v8DetectionLoss

    draw = np.random.default_rng(recipe.seed)
    network.args = _GAINS  # type: ignore[assignment]  # where ultralytics' loss looks for its gains
    criterion = v8DetectionLoss(network)
    optimizer = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps_an_epoch = -(-len(pictures) // recipe.batch)
    total = steps_an_epoch * recipe.epochs
    course = schedule(optimizer, recipe.warmup, total)
    running = copy.deepcopy(network).requires_grad_(False)
    best, best_score = copy.deepcopy(running), -1.0
    for epoch in range(recipe.epochs):
        network.train()
        mosaics = recipe.mosaic if epoch < recipe.epochs * (1 - _PLAIN_SHARE) else 0.0
        for step, batch in enumerate(_batches(pictures, recipe.batch, mosaics, draw), start=1):
            images, targets = _tensors(batch, device)
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.mixed_precision):
                outputs = network(images)
            outputs = {name: _float(value) for name, value in outputs.items()}
            loss = criterion(outputs, targets)[0].sum() / len(batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
            optimizer.step()
            course.step()
            average_into(running, network, recipe.average)
            done = epoch * steps_an_epoch + step
            progress(
                done, total, f"epoch {epoch + 1}, loss {loss.item():.2f}, best FROC score {max(0, best_score):.3f}"
            )
        if (epoch + 1) % recipe.validate_every == 0 or epoch + 1 == recipe.epochs:
            score = froc_score(results_of(reader_of(running, recipe, device), validation))
            if score >= best_score:
                best, best_score = copy.deepcopy(running), score
    return best


def _batches(
    pictures: Sequence[Picture], size: int, mosaics: float, draw: np.random.Generator
) -> Iterator[list[Picture]]:
    order = draw.permutation(len(pictures)).tolist()
    for first in range(0, len(order), size):
        yield [_augmented(pictures, index, mosaics, draw) for index in order[first : first + size]]


def _augmented(pictures: Sequence[Picture], index: int, mosaics: float, draw: np.random.Generator) -> Picture:
    if draw.random() < mosaics:
        others = draw.integers(0, len(pictures), 3).tolist()
        made = mosaic([moved(pictures[one], draw) for one in (index, *others)], draw)
    else:
        made = moved(pictures[index], draw)
    return Picture(relit(made.pixels, draw), made.outlines, made.kinds)


def _tensors(batch: Sequence[Picture], device: torch.device) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Images (batch × 3 × side × side) and targets as ultralytics' loss takes them: boxes as centre and size, 0..1."""
    side = batch[0].pixels.shape[0]
    images = torch.from_numpy(np.stack([picture.pixels for picture in batch]))[:, None].expand(-1, 3, -1, -1)
    corners = torch.from_numpy(np.concatenate([picture.boxes() for picture in batch])) / side
    targets = {
        "batch_idx": torch.tensor([number for number, picture in enumerate(batch) for _ in picture.kinds]),
        "cls": torch.tensor([kind for picture in batch for kind in picture.kinds], dtype=torch.float32),
        "bboxes": torch.cat(((corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]), dim=1),
    }
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    return images, {name: tensor.to(device) for name, tensor in targets.items()}


def _float(value: Any) -> Any:
    return [one.float() for one in value] if isinstance(value, list) else value.float()


def _without_classes(start: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The last layers of the class branches tell other classes apart: those start anew."""
    return {name: tensor for name, tensor in start.items() if ".cv3." not in name or name.split(".")[4] != "2"}
