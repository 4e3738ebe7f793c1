"""Trains the detector (YOLOv8 with CBAM) on CDD-CESM and measures it on patients it never saw.

The loss is ultralytics' for YOLOv8: CIoU, distribution focal loss and binary cross-entropy with task-aligned
assignment. (Yolo-MLSAM's text calls its box loss CIoU; the formula it prints, eq. 3, is closer to SIoU. The text is
followed.)
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from models.breast import breast_box, breast_mask
from models.datasets.cdd_cesm import DatasetError, LeftOut, Record, read_dataset, read_lesions, read_pixels
from models.detectors.yolo_cbam import KINDS, YoloCbam, build, start_classes
from models.framing import Frame, frame
from models.training.augment import Picture, mosaic, moved, relit
from models.training.held_out import hold_out, patient_of
from models.training.measures import Figure, ImageResult, froc_score, match, sensitivity, threshold, with_interval
from models.training.recipe import DetectorRecipe, Progress
from models.training.start import read_start, take_start
from models.training.stepping import average_into, half_weights, schedule
from models.types import Box, FindingKind, Mammogram, Mask

WEIGHTS = "detector.safetensors"
_GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
"""ultralytics' defaults for the three losses."""
_LARGEST_GRADIENT = 10.0
_MEASURED_FROM = 0.005
"""Figures look at all proposals of at least this confidence."""
_NMS_IOU = 0.5
_EVALUATION_BATCH = 4
_PLAIN_SHARE = 0.2
"""The last epochs see no mosaics, but pictures as they will be."""


@dataclass(frozen=True, eq=False)
class Sample:
    """An image with its lesions in source pixels; for training, framed."""

    record: Record
    lesions: tuple[Mask, ...]
    mammogram: Mammogram


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
    pictures = [_picture(sample, recipe.input_px) for sample in _samples(sides.train, left_out)]
    validation, test = list(_samples(sides.validation, left_out)), list(_samples(sides.test, left_out))
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


def measure_weights(
    weights: Path, validation: Sequence[Sample], test: Sequence[Sample], recipe: DetectorRecipe, device: torch.device
) -> dict[str, Any]:
    """The figures of weights as they are stored.

    Returns:
        "confidence": what the validation images would choose, the lowest with one false positive an image;
        "test": see `measure`.
    """
    network = build(recipe.scale)
    network.load_state_dict(load_file(weights))
    reader = _reader(network.to(device), recipe, device)
    return {
        "confidence": threshold(_results(reader, validation), 1.0),
        "test": measure(_results(reader, test), test, recipe.split.seed),
    }


def measure(results: Sequence[ImageResult], samples: Sequence[Sample], seed: int) -> dict[str, Any]:
    """Sensitivity at 1/2, 1 and 2 false positives an image, with 95 % intervals; by kind and by part of the set.

    The false positives of a part are those in its own images.
    """

    def at(chosen: Sequence[int], point: float) -> float:
        return sensitivity([results[index] for index in chosen], point)

    def part(chosen: Sequence[int]) -> dict[str, Any]:
        patients = [results[index].patient for index in chosen]
        lesions = sum(results[index].lesions for index in chosen)
        points = (0.5, 1.0, 2.0) if lesions else ()
        return {
            "images": len(chosen),
            "patients": len(set(patients)),
            "lesions": lesions,
            "sensitivity": {str(point): asdict(_interval(patients, chosen, point, at, seed)) for point in points},
        }

    everything = range(len(results))
    return {
        "all": part(everything),
        "native": part([index for index in everything if samples[index].record.native]),
        "calcification_images": part(
            [index for index in everything if samples[index].record.kind is not FindingKind.MASS]
        ),
        "mass_images": part(
            [index for index in everything if samples[index].record.kind is not FindingKind.CALCIFICATION]
        ),
    }


def _interval(
    patients: Sequence[str],
    chosen: Sequence[int],
    point: float,
    at: Callable[[Sequence[int], float], float],
    seed: int,
) -> Figure:
    return with_interval(patients, lambda indices: at([chosen[index] for index in indices], point), seed)


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
            score = froc_score(_results(_reader(running, recipe, device), validation))
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


def _samples(records: Sequence[Record], left_out: list[LeftOut]) -> Iterator[Sample]:
    """Images a detector can be trained or measured on; what is not used is added to `left_out`."""
    for record in records:
        if not record.for_detection:
            left_out.append(LeftOut(record.name, "its findings name no lesion, or none is drawn where one may be"))
            continue
        pixels = read_pixels(record)
        lesions, faulty = read_lesions(record, breast_mask(pixels))
        left_out.extend(faulty)
        if record.mask is not None and not lesions:
            left_out.append(LeftOut(record.name, "none of its drawn regions can be a lesion"))
            continue
        yield Sample(record, lesions, Mammogram(pixels))


def _picture(sample: Sample, side: int) -> Picture:
    pixels = sample.mammogram.pixels
    shown = frame(pixels, breast_box(pixels), side)
    outlines = tuple(points for points in (_outline(mask, shown) for mask in sample.lesions) if len(points))
    kind = KINDS.index(sample.record.kind) if sample.record.kind is not None else 0
    return Picture(shown.pixels, outlines, (kind,) * len(outlines))


def _outline(mask: Mask, shown: Frame) -> NDArray[np.float32]:
    """Points round a lesion, x and y in frame pixels."""
    found, _ = cv2.findContours(shown.draw(mask).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    points = [outline.reshape(-1, 2) for outline in found]
    return np.concatenate(points).astype(np.float32) if points else np.zeros((0, 2), dtype=np.float32)


def _reader(network: nn.Module, recipe: DetectorRecipe, device: torch.device) -> YoloCbam:
    """The network as the node would run it, but for the threshold."""
    return YoloCbam(
        copy.deepcopy(network),
        device,
        recipe.mixed_precision,
        input_px=recipe.input_px,
        confidence=_MEASURED_FROM,
        iou=_NMS_IOU,
        most=50,
    )


def _results(detector: YoloCbam, samples: Sequence[Sample]) -> list[ImageResult]:
    results = []
    for first in range(0, len(samples), _EVALUATION_BATCH):
        batch = samples[first : first + _EVALUATION_BATCH]
        found = detector.detect([sample.mammogram for sample in batch])
        for sample, detections in zip(batch, found, strict=True):
            lesions: list[Box] = [mask.box for mask in sample.lesions]
            proposals = match([(one.box, one.confidence) for one in detections], lesions)
            results.append(ImageResult(patient_of(sample.record), len(lesions), proposals))
    return results


def _without_classes(start: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The last layers of the class branches tell other classes apart: those start anew."""
    return {name: tensor for name, tensor in start.items() if ".cv3." not in name or name.split(".")[4] != "2"}
