"""Trains a segmenter: the `Task` of every prompted network, on any data set whose lesions are outlined.

Which parts learn is the recipe's choice (`trained`): MedSAM's mask decoder, or all of it (Guo, Cai and Dungey);
HQ-SAM's and MLSAM's additions alone, with all of SAM frozen (Ke et al., "Segment Anything in High Quality", NeurIPS
2023, section 4; Chen, Liu and Wang, 3.2). While the image encoder is frozen, every view of a lesion is embedded once
and kept.

A lesion is prompted as a detector would: with its box, moved a little. Views are mirrored, turned by right angles and
relit, and everything else is done by the code that reads (`prompts_of`, the network's `picture`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from models.catalog import untrained
from models.checkpoints.reading import StartError, read_start
from models.datasets.case import Case, DatasetError
from models.segmenters.network import Embedded, PartName, PromptedNet
from models.segmenters.prompts import Settings, prompts_of
from models.training.mask_loss import dice_and_cross_entropy, uncertain_points
from models.training.recipe import FitRecipe, Recipe, RecipeTable
from models.training.scanners import relit
from models.types import Box, Mammogram, Mask

_EMBEDDED_AT_ONCE = 4
_FINER = 2
"""Views are relit at so many times the network's resolution: what is finer is lost to it anyway."""


class Model(RecipeTable):
    """The network.

    Attributes:
        architecture: a segmenter's name in models/catalog.py.
        settings: what bundle.toml gives its `load`: which network, and how a lesion is shown and prompted.
    """

    architecture: str = "lite-medsam"
    settings: dict[str, Any] = Field(default_factory=dict)


class TaskSettings(RecipeTable):
    """Views, loss and batches.

    Attributes:
        batch: lesions a step.
        trained: the parts that learn; the others stay as they started.
        loss: "dice+bce", of all pixels; "uncertain-points", the same of 112² points that are mostly the least sure
            ones (HQ-SAM's).
        views: of each lesion, made once before the training.
        jitter: a box's sides are moved by up to this share of its height and width.
        assumed_spacing_mm: where an image gives none.
    """

    batch: int = Field(default=8, ge=1)
    trained: tuple[PartName, ...] = ("mask_decoder",)
    loss: Literal["dice+bce", "uncertain-points"] = "dice+bce"
    views: int = Field(default=4, ge=1)
    jitter: float = Field(default=0.1, ge=0, lt=0.5)
    assumed_spacing_mm: float = Field(default=0.1, gt=0)


@dataclass(frozen=True, eq=False)
class View:
    """One lesion as the network is shown it.

    Attributes:
        shown: the picture (one of 1 × 3 × side × side) or, from a frozen encoder, its embedding in half precision.
        box: left, top, right, bottom in the picture's pixels.
        point: x, y in the picture's pixels.
        drawn: L × L, the lesion as the logits should have it: the share of each place that it covers, 0..1.
    """

    shown: Embedded
    box: Tensor
    point: Tensor
    drawn: Tensor


Batch = list[View]


class Segmenting:
    """The segmenter's `models.training.task.Task`."""

    figure = "dice"

    def __init__(
        self,
        network: PromptedNet,
        prompts: Settings,
        task: TaskSettings,
        fit: FitRecipe,
        views: Sequence[View],
        validation: Sequence[View],
    ) -> None:
        self.network: nn.Module = network
        self._prompts, self._task, self._fit = prompts, task, fit
        self._views, self._validation = views, validation
        self._frozen_encoder = "image_encoder" not in task.trained

    def parameter_groups(self) -> list[dict[str, Any]]:
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        return [
            {"params": [one for one in trained if one.ndim > 1], "lr_scale": 1.0},
            {"params": [one for one in trained if one.ndim <= 1], "lr_scale": 1.0, "weight_decay": 0.0},
        ]

    def steps(self) -> int:
        return -(-len(self._views) // self._task.batch)

    def batches(self, epoch: int) -> Iterator[Batch]:
        order = np.random.default_rng((self._fit.seed, epoch)).permutation(len(self._views)).tolist()
        for first in range(0, len(order), self._task.batch):
            yield [self._views[number] for number in order[first : first + self._task.batch]]

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        logits, drawn = self._logits(network, batch)
        if self._task.loss == "uncertain-points":
            logits, drawn = uncertain_points(logits, drawn)
        dice, entropy = dice_and_cross_entropy(logits, drawn)
        return dice + entropy, {"dice": dice.item(), "cross entropy": entropy.item()}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """ "dice" and "iou": means over the validation lesions, prompted by their own boxes, at the logits' size."""
        overlaps = []
        for first in range(0, len(self._validation), self._task.batch):
            logits, drawn = self._logits(network, self._validation[first : first + self._task.batch])
            found, truth = logits > 0, drawn >= 0.5
            both = (found & truth).sum(dim=(1, 2)).double()
            sizes = found.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
            overlaps += [(one, float(size)) for one, size in zip(both.tolist(), sizes.tolist(), strict=True)]
        return {
            "dice": float(np.mean([2 * both / max(1.0, sizes) for both, sizes in overlaps])),
            "iou": float(np.mean([both / max(1.0, sizes - both) for both, sizes in overlaps])),
        }

    def _logits(self, network: nn.Module, batch: Sequence[View]) -> tuple[Tensor, Tensor]:
        """A batch's logits and its truth, both views × L × L."""
        assert isinstance(network, PromptedNet)
        device, told = next(network.parameters()).device, self._prompts.prompt
        shown = tuple(torch.cat(parts).to(device).float() for parts in zip(*(one.shown for one in batch), strict=True))
        embedded = shown if self._frozen_encoder else network.embed(shown[0])
        boxes = torch.stack([one.box for one in batch]).to(device)
        points = torch.stack([one.point for one in batch]).to(device)
        logits = network.decode(
            embedded,
            torch.arange(len(batch), device=device),
            boxes=None if told == "point" else boxes,
            points=None if told == "box" else points,
        )
        return logits.float(), torch.stack([one.drawn for one in batch]).to(device)


def prepare(
    recipe: Recipe, train: Sequence[Case], validation: Sequence[Case], start: Path | None, device: torch.device
) -> Segmenting:
    """Builds the network, freezes what is not trained, and makes the views.

    Args:
        recipe: with `Model` and `TaskSettings` as its tables.
        train: images to learn from; lesions without an outline are passed over.
        validation: images to be judged by; the same.
        start: weights to start from, which may lack the additions; None for random ones.
        device: where the views are embedded.

    Raises:
        DatasetError: a case cannot be read, or no lesion is outlined.
        StartError: the start weights do not fit.
    """
    model: Model = recipe.model
    task: TaskSettings = recipe.task
    torch.manual_seed(recipe.fit.seed)
    try:
        network, prompts = untrained(model.architecture, model.settings)
    except (TypeError, ValueError, KeyError) as error:
        raise StartError(f"The recipe {recipe.name} asks for no network there is: {error}.") from error
    if start is not None:
        try:
            network.start_from(read_start(start))
        except RuntimeError as error:
            raise StartError(f"{start} does not fit {model.architecture}: {error}.") from error
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(network.part_of(name) in task.trained)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise DatasetError(f"Nothing of {model.architecture} is trained: its [task] trained names no part it has.")
    network.to(device).eval()
    draw = np.random.default_rng(recipe.fit.seed)
    views = list(_views(network, prompts, task, train, device, draw))
    judged = list(_views(network, prompts, task, validation, device, None))
    for name, some in (("training", views), ("validation", judged)):
        if not some:
            raise DatasetError(f"No lesion of a {name} image is outlined. Give a data set with masks.")
    return Segmenting(network.cpu(), prompts, task, recipe.fit, views, judged)


def part(network: nn.Module, recipe: Recipe) -> tuple[str, dict[str, Any]]:
    """The architecture's name and settings, as bundle.toml has them."""
    return recipe.model.architecture, dict(recipe.model.settings)


def _views(
    network: PromptedNet,
    prompts: Settings,
    task: TaskSettings,
    cases: Sequence[Case],
    device: torch.device,
    draw: np.random.Generator | None,
) -> Iterator[View]:
    """Each outlined lesion, embedded where the encoder is frozen: `task.views` times, or once as it is (no `draw`)."""
    waiting: list[View] = []
    for case in cases:
        image = case.read()
        if image.spacing_mm is None:
            image = replace(image, spacing_mm=(task.assumed_spacing_mm, task.assumed_spacing_mm))
        for lesion in case.read_lesions(image):
            if lesion.outlined:
                times = 1 if draw is None else task.views
                waiting += [_view(network, prompts, image, lesion.mask, task.jitter, draw) for _ in range(times)]
        if len(waiting) >= _EMBEDDED_AT_ONCE:
            yield from _embedded(network, task, waiting, device)
            waiting = []
    yield from _embedded(network, task, waiting, device)


def _embedded(network: PromptedNet, task: TaskSettings, views: Sequence[View], device: torch.device) -> list[View]:
    if "image_encoder" in task.trained:
        return list(views)
    kept = []
    for first in range(0, len(views), _EMBEDDED_AT_ONCE):
        some = views[first : first + _EMBEDDED_AT_ONCE]
        with torch.no_grad():
            embedded = network.embed(torch.cat([one.shown[0] for one in some]).float().to(device))
        halves = [part.half().cpu() for part in embedded]
        kept += [
            replace(one, shown=tuple(part[number : number + 1].clone() for part in halves))
            for number, one in enumerate(some)
        ]
    return kept


def _view(
    network: PromptedNet,
    prompts: Settings,
    image: Mammogram,
    mask: Mask,
    jitter: float,
    draw: np.random.Generator | None,
) -> View:
    if draw is not None:
        image, mask = _turned(image, mask, int(draw.integers(8)))
    box = mask.box if draw is None else _moved(mask.box, image.shape, jitter, draw)
    (prompt,) = prompts_of(image, [box], prompts)
    crop = prompt.crop
    pixels = np.ascontiguousarray(image.pixels[crop.slices])
    shape, picture = (crop.height, crop.width), network.picture
    if draw is not None:
        pixels = relit(_shrunk(pixels, _FINER * picture.side), draw)
    scale = picture.scale(shape)
    return View(
        shown=(picture.prepare(pixels)[None].half(),),
        box=torch.from_numpy(prompt.box_in(scale)),
        point=torch.from_numpy(prompt.point_in(scale)),
        drawn=torch.from_numpy(_drawn(mask, crop, scale, picture.side, _places(network))),
    )


def _shrunk(pixels: NDArray[np.float32], longest: int) -> NDArray[np.float32]:
    share = longest / max(pixels.shape)
    if share >= 1:
        return pixels
    rows, columns = (max(1, round(length * share)) for length in pixels.shape)
    return np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _places(network: PromptedNet) -> int:
    """Rows and columns of its logits: what SAM's prompt encoder expects of an earlier mask."""
    encoder: Any = network.prompt_encoder
    return int(encoder.mask_input_size[0])


def _drawn(mask: Mask, crop: Box, scale: tuple[float, float], side: int, places: int) -> NDArray[np.float32]:
    """The share of each of places × places logits that the lesion covers."""
    inside = np.zeros((crop.height, crop.width), dtype=np.float32)
    top, left = max(mask.box.top, crop.top), max(mask.box.left, crop.left)
    bottom, right = min(mask.box.bottom, crop.bottom), min(mask.box.right, crop.right)
    if top < bottom and left < right:
        inside[top - crop.top : bottom - crop.top, left - crop.left : right - crop.left] = mask.crop[
            top - mask.box.top : bottom - mask.box.top, left - mask.box.left : right - mask.box.left
        ]
    rows, columns = (
        max(1, round(length * one * places / side)) for length, one in zip(inside.shape, scale, strict=True)
    )
    whole = np.zeros((places, places), dtype=np.float32)
    whole[:rows, :columns] = cv2.resize(inside, (columns, rows), interpolation=cv2.INTER_AREA)
    return whole


def _turned(image: Mammogram, mask: Mask, which: int) -> tuple[Mammogram, Mask]:
    """One of the eight ways to lay a square on itself: mirrored up, mirrored across, transposed."""
    pixels, crop, box, spacing = image.pixels, mask.crop, mask.box, image.spacing_mm
    rows, columns = pixels.shape
    if which & 1:
        pixels, crop = pixels[::-1], crop[::-1]
        box = Box(rows - box.bottom, box.left, rows - box.top, box.right)
    if which & 2:
        pixels, crop = pixels[:, ::-1], crop[:, ::-1]
        box = Box(box.top, columns - box.right, box.bottom, columns - box.left)
    if which & 4:
        pixels, crop, box = pixels.T, crop.T, Box(box.left, box.top, box.right, box.bottom)
        spacing = None if spacing is None else spacing[::-1]
    return replace(image, pixels=pixels, spacing_mm=spacing), Mask(box, np.ascontiguousarray(crop))


def _moved(box: Box, shape: tuple[int, int], jitter: float, draw: np.random.Generator) -> Box:
    """The box as a detector might have drawn it, within the image."""
    down, across = box.height * jitter, box.width * jitter
    top, bottom = box.top + draw.uniform(-down, down), box.bottom + draw.uniform(-down, down)
    left, right = box.left + draw.uniform(-across, across), box.right + draw.uniform(-across, across)
    first_row, first_column = max(0, round(top)), max(0, round(left))
    return Box(
        first_row,
        first_column,
        max(first_row + 1, min(shape[0], round(bottom))),
        max(first_column + 1, min(shape[1], round(right))),
    )
