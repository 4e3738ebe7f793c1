"""Trains the detector: the `Task` of YOLOv8 with or without attention, on any data set whose lesions are all drawn.

The loss is ultralytics' for YOLOv8 (box loss, distribution focal loss, binary cross-entropy, task-aligned assignment)
with a choice of box loss (`box_loss.py`). The best epoch is chosen by the FROC score on the validation patients,
measured with the adapter that the node uses. The defaults are Yolo-MLSAM's (section 3.1) where the paper states them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from models.anatomy.film import with_spacing
from models.checkpoints.reading import read_start
from models.datasets.case import Case, DatasetError
from models.detectors.attention import Attention
from models.detectors.yolov8 import ATTENDED_LAYERS, KINDS, Finest, Scale, Stage, YoloDetector, build
from models.framing import Frame, breast_framing, rows_columns
from models.measures.detection import ImageResult, froc_score, match, sensitivity, threshold
from models.runner import Runner
from models.training.augment import Picture, changed, mosaic, moved
from models.training.batching import made_ahead
from models.training.detector.box_loss import ALPHA, BETA, BoxLoss, detection_loss
from models.training.detector.framed import Framed, TrainingImage, framed, training_images
from models.training.detector.planting import planted
from models.training.kept import IN_MEMORY, Kept
from models.training.recipe import Chance, FitRecipe, Recipe, RecipeTable
from models.training.start import take_start
from models.training.task import groups_by_decay
from models.types.mammogram import Mammogram

_PLAIN_SHARE = 0.2
"""The last epochs (this share of all) train without mosaics, on images as they are at inference."""
_MEASURED_FROM = 0.005
"""The validation measures use all proposals of at least this confidence."""
_MOST = 50
_EVALUATION_BATCH = 8

Batch = tuple[Tensor, dict[str, Tensor]]


InputSide = Annotated[int, Field(ge=64, multiple_of=32)]


class Model(RecipeTable):
    """The network.

    Attributes:
        scale: YOLOv8's size.
        attention: the attention module after each attended stage.
        attended: ultralytics' numbers of those stages.
        finest: the stride of the head's finest grid: 8, or 4 with a fourth grid for small lesions.
        input_px: size of the frame that shows the breast, and of the training pictures: the side of a square, or rows
            and columns.
        mm_per_px: if given, each breast has a frame of its own size at this scale, and the training pictures are
            windows of `input_px` onto such frames.
    """

    scale: Scale = "s"
    attention: Attention = "cbam"
    attended: tuple[Stage, ...] = ATTENDED_LAYERS
    finest: Finest = 8
    input_px: InputSide | tuple[InputSide, InputSide] = 640
    mm_per_px: float | None = Field(default=None, gt=0)


class TaskSettings(RecipeTable):
    """Augmentation, loss and batches of the training; and the detector's settings at inference.

    Attributes:
        batch: images per step.
        mosaic: probability that four images are combined to one; 0 in the last fifth of the epochs.
        planted: probability that an image that is not a mosaic gets a lesion of another image (`planting.py`).
        augment: strength of the augmentation (`augment.py`): 0 none, 1 the usual strength.
        unmarked: images without a lesion per epoch, drawn anew for each epoch: at most this many per image with one.
        box_loss: "ciou" or "eq3" (see `box_loss.py`).
        alpha: in eq. 3, the weight of the distance.
        beta: in eq. 3, the weight of the angle.
        summed: the loss is summed over a batch's images, not averaged: ultralytics' learning rates for SGD expect that.
        keep_classes: of start weights, the classification layers are loaded too. False if their classes are others.
        confidence: the node proposes no box below it (0.2: Yolo-MLSAM, Table 2).
        false_positives: if given, `confidence` is instead the lowest one with at most this many per validation image.
        iou: of two boxes that overlap by more, the less confident one is dropped.
        most: the maximum number of boxes that the node proposes per image.
        mirrored: the node also runs the network on the mirrored breast and averages the two outputs.
        assumed_spacing_mm: of digital images without a spacing (models/anatomy/film.py).
    """

    batch: int = Field(default=8, ge=1)
    mosaic: Chance = 1.0
    planted: Chance = 0.0
    augment: float = Field(default=1.0, ge=0, le=1)
    unmarked: float = Field(default=1.0, ge=0)
    box_loss: BoxLoss = "ciou"
    alpha: float = Field(default=ALPHA, ge=0)
    beta: float = Field(default=BETA, ge=0)
    summed: bool = False
    keep_classes: bool = True
    confidence: Chance = 0.2
    false_positives: float | None = Field(default=None, ge=0)
    iou: Chance = 0.5
    most: int = Field(default=50, ge=1)
    mirrored: bool = False
    assumed_spacing_mm: float = Field(default=0.1, gt=0)


class Detecting:
    """The detector's `models.training.task.Task`."""

    figure = "froc"

    def __init__(
        self,
        network: nn.Module,
        model: Model,
        task: TaskSettings,
        fit: FitRecipe,
        pictures: Sequence[TrainingImage],
        validation: Sequence[Framed],
    ) -> None:
        self.network = network
        self._model, self._task, self._fit = model, task, fit
        self._pictures, self._validation = pictures, validation
        self._size = rows_columns(model.input_px)[::-1]
        self._marked = [number for number, picture in enumerate(pictures) if picture.kinds]
        self._unmarked = [number for number, picture in enumerate(pictures) if not picture.kinds]
        self._loss_of: tuple[nn.Module, Any] | None = None

    def parameter_groups(self) -> list[dict[str, Any]]:
        return groups_by_decay(self.network)

    def steps(self) -> int:
        return -(-(len(self._marked) + self._unmarked_per_epoch) // self._task.batch)

    @property
    def _unmarked_per_epoch(self) -> int:
        return min(len(self._unmarked), round(self._task.unmarked * len(self._marked)))

    def batches(self, epoch: int) -> Iterator[Batch]:
        """See the protocol. Images are augmented in threads, one batch ahead, each with its own random generator."""
        seed, size = self._fit.seed, self._task.batch
        draw = np.random.default_rng((seed, epoch))
        unmarked = draw.permutation(self._unmarked)[: self._unmarked_per_epoch].tolist()
        order = self._mixed(draw.permutation([*self._marked, *unmarked]).astype(int).tolist())
        mosaics = self._task.mosaic if epoch < self._fit.epochs * (1 - _PLAIN_SHARE) else 0.0

        def augmented(number: int) -> Picture:
            return self._augmented(number, mosaics, np.random.default_rng((seed, epoch, number)))

        yield from map(_tensors, made_ahead(augmented, order, size))

    def _mixed(self, shuffled: Sequence[int]) -> list[int]:
        """The same pictures, those of each data set spread evenly: film and digital ones stand in every batch."""
        of_set: dict[str, list[int]] = {}
        for number in shuffled:
            of_set.setdefault(self._pictures[number].dataset, []).append(number)
        place = {
            number: (rank + 0.5) / len(members) for members in of_set.values() for rank, number in enumerate(members)
        }
        return sorted(shuffled, key=place.__getitem__)

    def _augmented(self, number: int, mosaics: float, draw: np.random.Generator) -> Picture:
        strength = self._task.augment
        if draw.random() < mosaics:
            others = draw.integers(0, len(self._pictures), 3).tolist()
            parts = [moved(self._pictures[index].picture, draw, strength, self._size) for index in (number, *others)]
            return changed(mosaic(parts, draw), draw, strength)
        picture = self._pictures[number].picture
        if draw.random() < self._task.planted:
            picture = planted(picture, self._pictures[int(draw.choice(self._marked))].picture, draw)
        return changed(moved(picture, draw, strength, self._size), draw, strength)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        device = next(network.parameters()).device
        pixels, targets = batch
        images = pixels.to(device)[:, None].expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        outputs = network(images)
        # Sums over thousands of grid cells and boxes need more than half precision.
        with torch.autocast(device.type, enabled=False):
            outputs = {name: _float(value) for name, value in outputs.items()}
            losses, _ = self._criterion(network)(outputs, {name: target.to(device) for name, target in targets.items()})
        losses = losses / len(pixels)
        box, classes, focal = losses.detach().tolist()
        factor = len(pixels) if self._task.summed else 1
        return losses.sum() * factor, {"box": box, "classes": classes, "focal": focal}

    def _criterion(self, network: nn.Module) -> Any:
        if self._loss_of is None or self._loss_of[0] is not network:
            task = self._task
            self._loss_of = network, detection_loss(network, task.box_loss, task.alpha, task.beta)
        return self._loss_of[1]

    def validate(self, network: nn.Module) -> dict[str, float]:
        """ "froc": the mean sensitivity at 1/4, 1/2, 1, 2 and 4 false positives per image; "sensitivity at 1": at 1."""
        results = self._results(network)
        return {"froc": froc_score(results), "sensitivity at 1": sensitivity(results, 1.0)}

    def operating_point(self, network: nn.Module, false_positives: float) -> float:
        """The lowest confidence, in thousandths, with at most this many false positives per validation image."""
        least = threshold(self._results(network), false_positives)
        return min(0.999, math.floor(max(least, _MEASURED_FROM) * 1000 + 1) / 1000)

    def chosen(self, network: nn.Module) -> dict[str, Any]:
        """Settings that are chosen on the validation patients: the confidence, if the recipe has `false_positives`."""
        wanted = self._task.false_positives
        return {} if wanted is None else {"confidence": self.operating_point(network, wanted)}

    def _results(self, network: nn.Module) -> list[ImageResult]:
        device = next(network.parameters()).device
        detector = YoloDetector(
            copy.deepcopy(network),
            Runner.on(device, self._fit.mixed_precision),
            input_px=self._model.input_px,
            mm_per_px=self._model.mm_per_px,
            confidence=_MEASURED_FROM,
            iou=self._task.iou,
            most=_MOST,
            mirrored=self._task.mirrored,
        )
        results = []
        for first in range(0, len(self._validation), _EVALUATION_BATCH):
            batch = self._validation[first : first + _EVALUATION_BATCH]
            found = detector.detect_framed([image.shown for image in batch])
            for image, detections in zip(batch, found, strict=True):
                proposals = match([(each.box, each.confidence) for each in detections], image.lesions)
                results.append(ImageResult(image.patient, len(image.lesions), proposals))
        return results


def prepare(
    recipe: Recipe,
    train: Sequence[Case],
    validation: Sequence[Case],
    start: Path | None,
    device: torch.device,
    kept: Kept = IN_MEMORY,
) -> Detecting:
    """Reads and frames the images and builds the network.

    Args:
        recipe: with `Model` and `TaskSettings` as its tables.
        train: training images; those not marked up are skipped.
        validation: validation images; the same.
        start: start weights, a state dict or a checkpoint of ultralytics; None for random ones.
        device: not used.
        kept: holds the frames.

    Raises:
        DatasetError: a case cannot be read, or no image has a lesion.
        StartError: the start weights cannot be read, or cover less than half of the network (attention and the
            classification layers not counted).
    """
    model: Model = recipe.model
    task: TaskSettings = recipe.task
    torch.manual_seed(recipe.fit.seed)
    network = build(model.scale, model.attention, model.attended, model.finest)
    if start is not None:
        weights = read_start(start)
        taken = {name: tensor for name, tensor in weights.items() if task.keep_classes or not _is_classes(name)}
        take_start(network, taken, start, lambda name: _is_classes(name) or model.attention in name.split("."))
    workers = torch.get_num_threads()
    shown = breast_framing(model.input_px, model.mm_per_px)

    def framing(image: Mammogram) -> Frame:
        return shown(with_spacing(image, task.assumed_spacing_mm))

    pictures = training_images([case for case in train if case.marked_up], framing, KINDS, workers, kept)
    judged = framed([case for case in validation if case.marked_up], framing, workers, kept)
    for name, marked, offered in (
        ("training", [picture.kinds for picture in pictures], train),
        ("validation", [image.lesions for image in judged], validation),
    ):
        if not any(marked):
            raise DatasetError(
                f"No {name} image has a lesion that can be used. Of {len(offered)} images {len(offered) - len(marked)} "
                "were skipped because not all their lesions are drawn. Give more images, or split them in another way."
            )
    return Detecting(network, model, task, recipe.fit, pictures, judged)


def part(network: nn.Module, recipe: Recipe) -> tuple[str, dict[str, Any]]:
    """The architecture's name and settings, as written to bundle.toml."""
    model: Model = recipe.model
    task: TaskSettings = recipe.task
    return "yolov8", {
        **model.model_dump(mode="json"),
        **task.model_dump(mode="json", include={"confidence", "iou", "most", "mirrored"}),
    }


def _tensors(batch: Sequence[Picture]) -> Batch:
    """Images (batch × rows × columns) and targets in the format of ultralytics' loss: boxes as centre and size,
    0..1."""
    rows, columns = batch[0].pixels.shape
    corners = torch.from_numpy(np.concatenate([picture.boxes() for picture in batch]))
    corners /= torch.tensor([columns, rows, columns, rows])
    targets = {
        "batch_idx": torch.tensor([number for number, picture in enumerate(batch) for _ in picture.kinds]),
        "cls": torch.tensor([kind for picture in batch for kind in picture.kinds], dtype=torch.float32),
        "bboxes": torch.cat(((corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]), dim=1),
    }
    return torch.from_numpy(np.stack([picture.pixels for picture in batch])), targets


def _float(value: Any) -> Any:
    return [part.float() for part in value] if isinstance(value, list) else value.float()


def _is_classes(name: str) -> bool:
    """Whether a tensor belongs to the last layers of the class branches: their width is the number of classes."""
    return ".cv3." in name and name.split(".")[4] == "2"
