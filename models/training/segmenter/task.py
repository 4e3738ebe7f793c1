"""Trains a segmenter: the `Task` of every prompted network, on any data set whose lesions are outlined.

The recipe's `trained` names the trained parts: MedSAM's mask decoder, or all of MedSAM (Guo, Cai and Dungey); only
HQ-SAM's and MLSAM's additions, with all of SAM frozen (Ke et al., "Segment Anything in High Quality", NeurIPS 2023,
section 4; Chen, Liu and Wang, 3.2). If the image encoder is frozen, every view is embedded once and kept (kept.py).

views.py makes the training data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.catalog import untrained
from models.checkpoints.reading import StartError, read_start
from models.datasets.case import Case, DatasetError
from models.segmenters.network import Embedded, PromptedNet
from models.segmenters.prompts import Settings
from models.training.kept import IN_MEMORY, Kept
from models.training.recipe import FitRecipe, Recipe
from models.training.segmenter.mask_loss import dice_and_cross_entropy, uncertain_points
from models.training.segmenter.recipe import Model, TaskSettings
from models.training.segmenter.views import Shown, View, pictures_of, read_views
from models.training.task import groups_by_decay

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
        return groups_by_decay(self.network)

    def steps(self) -> int:
        return -(-len(self._views) // self._task.batch)

    def batches(self, epoch: int) -> Iterator[Batch]:
        order = np.random.default_rng((self._fit.seed, epoch)).permutation(len(self._views)).tolist()
        for first in range(0, len(order), self._task.batch):
            yield [self._views[number] for number in order[first : first + self._task.batch]]

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        with _only_new_token(network, self._task.token_only):
            logits, drawn = self._logits(network, batch)
        if self._task.loss == "uncertain-points":
            logits, drawn = uncertain_points(logits, drawn)
        dice, entropy = dice_and_cross_entropy(logits, drawn)
        return dice + entropy, {"dice": dice.item(), "cross entropy": entropy.item()}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """ "dice" and "iou": means over the validation lesions, with their true boxes as prompts, at the logits'
        size."""
        overlaps = []
        for first in range(0, len(self._validation), self._task.batch):
            logits, drawn = self._logits(network, self._validation[first : first + self._task.batch])
            found, truth = logits > 0, drawn >= 0.5
            both = (found & truth).sum(dim=(1, 2)).double()
            sizes = found.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
            overlaps += [(common, float(size)) for common, size in zip(both.tolist(), sizes.tolist(), strict=True)]
        return {
            "dice": float(np.mean([2 * both / max(1.0, sizes) for both, sizes in overlaps])),
            "iou": float(np.mean([both / max(1.0, sizes - both) for both, sizes in overlaps])),
        }

    def _logits(self, network: nn.Module, batch: Sequence[View]) -> tuple[Tensor, Tensor]:
        """A batch's logits and its truth, both views × L × L."""
        assert isinstance(network, PromptedNet)
        device, prompt_kind = next(network.parameters()).device, self._prompts.prompt
        shown = list(dict.fromkeys(view.shown for view in batch))
        embedded = self._embedded(network, shown, device)
        index = torch.tensor([shown.index(view.shown) for view in batch], device=device)
        boxes = torch.stack([view.box for view in batch]).to(device)
        points = torch.stack([view.point for view in batch]).to(device)
        # As at inference (models/segmenters/prompted.py): half precision is not exact enough for positions of boxes.
        with torch.autocast(device.type, enabled=False):
            logits = network.decode(
                embedded,
                index,
                boxes=None if prompt_kind == "point" else boxes,
                points=None if prompt_kind == "box" else points,
            )
        return logits, torch.stack([view.drawn for view in batch]).to(device)

    def _embedded(self, network: PromptedNet, shown: Sequence[Shown], device: torch.device) -> Embedded:
        if self._frozen_encoder:
            parts = zip(*(picture.content for picture in shown), strict=True)
            return tuple(torch.cat([tensor.to(device).float() for tensor in part]) for part in parts)
        return tuple(part.float() for part in network.embed(pictures_of(network, shown).to(device)))


@contextmanager
def _only_new_token(network: Any, wanted: bool) -> Iterator[None]:
    """Within this context, and if wanted, HQ-SAM's or MLSAM's network returns only the new token's mask."""
    if not wanted:
        yield
        return
    before, network.hq_token_only = network.hq_token_only, True
    try:
        yield
    finally:
        network.hq_token_only = before


def prepare(
    recipe: Recipe,
    train: Sequence[Case],
    validation: Sequence[Case],
    start: Path | None,
    device: torch.device,
    kept: Kept = IN_MEMORY,
) -> Segmenting:
    """Builds the network, freezes what is not trained, and makes the views.

    Args:
        recipe: with `Model` and `TaskSettings` as its tables.
        train: training images; lesions without an outline are skipped.
        validation: validation images; the same.
        start: start weights, which may lack the additions; None for random ones.
        device: where the views are embedded.
        kept: holds the views' greys or embeddings.

    Raises:
        DatasetError: a case cannot be read, or no lesion is outlined.
        StartError: the start weights do not fit, or the network lacks a part that [task] names.
    """
    model: Model = recipe.model
    task: TaskSettings = recipe.task
    torch.manual_seed(recipe.fit.seed)
    try:
        network, prompts = untrained(model.architecture, model.settings)
    except (TypeError, ValueError, KeyError) as error:
        raise StartError(f"The recipe {recipe.name} names an unknown network or setting: {error}.") from error
    _check(network, model.architecture, task)
    if start is not None:
        try:
            network.start_from(read_start(start))
        except RuntimeError as error:
            raise StartError(f"{start} does not fit {model.architecture}: {error}.") from error
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(network.part_of(name) in task.trained and not name.startswith(network.unused))
    network.to(device).eval()
    draw = np.random.default_rng(recipe.fit.seed)
    views = read_views(network, prompts, task, train, device, draw, kept)
    validation_views = read_views(network, prompts, task, validation, device, None, kept)
    for name, some in (("training", views), ("validation", validation_views)):
        if not some:
            raise DatasetError(f"No lesion of a {name} image is outlined. Give a data set with masks.")
    return Segmenting(network.cpu(), prompts, task, recipe.fit, views, validation_views)


def _check(network: PromptedNet, architecture: str, task: TaskSettings) -> None:
    """Raises StartError if the network lacks a part that [task] names."""
    parts = network.parts()
    lacking = [name for name in task.trained if not parts[name]]
    if lacking or not task.trained:
        there = ", ".join(name for name, parameters in parts.items() if parameters)
        wrong = f"has no {' and no '.join(lacking)}" if lacking else "would not be trained"
        raise StartError(f"{architecture} {wrong}: give [task] trained some of {there}.")
    if task.token_only and not hasattr(network, "hq_token_only"):
        raise StartError(f"{architecture} has only SAM's tokens: remove token_only from the recipe's [task].")


def part(network: nn.Module, recipe: Recipe) -> tuple[str, dict[str, Any]]:
    """The architecture's name and settings, as written to bundle.toml."""
    return recipe.model.architecture, dict(recipe.model.settings)
